// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client of `pf_stat`: copy-on-write faults of named programs, by memory area.
//!
//! A CoW fault is a write fault on a private page that was present and write-protected because
//! others may see it: it was copied, taken over, or filled anew in place of the zero page. Faults
//! are counted, not pages.

#![allow(unsafe_code)]

use std::fs;
use std::ops::Range;

pub use abi::pf_stat::WORDS;
use abi::pf_stat::{
    COUNT, ENDS, FAULTS, MAX_AREAS, NR_CLEANUP, NR_GET_INFO, NR_SET_PARAM, STARTS, TOTAL,
};

use crate::error::{Error, Result};
use crate::syscall::call;

/// A memory area and the faults in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaFaults {
    /// Its addresses.
    pub addresses: Range<u64>,
    /// CoW faults in it.
    pub faults: u64,
}

/// CoW faults of the last execution of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// In all areas, also those that are not listed or gone.
    pub total: u64,
    /// The first 128 areas by address: as they are, or as they were when the program ended.
    pub areas: Vec<AreaFaults>,
}

impl Faults {
    /// Faults in the area that holds `address`, if it is listed.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<u64> {
        let mut areas = self.areas.iter();
        let area = areas.find(|area| area.addresses.contains(&address))?;
        Some(area.faults)
    }
}

/// Tracks the programs of a name of at most 15 bytes, from their next execution on.
///
/// # Errors
/// [`Error::Call`].
pub fn set_param(name: &[u8]) -> Result<()> {
    let arguments = [name.as_ptr() as usize, name.len(), 0];
    // SAFETY: The call reads the name, which is as long as it says.
    done("pf_set_param", unsafe { call(NR_SET_PARAM, arguments) })
}

/// What happened in the last execution of a program.
///
/// # Errors
/// [`Error::Call`].
pub fn get_info(name: &[u8]) -> Result<Faults> {
    let mut words = [0; WORDS];
    get_info_raw(name, &mut words)?;
    Ok(faults(&words))
}

/// As [`get_info`], but leaves the `struct pf_stat` as its words (see `abi::pf_stat`).
///
/// # Errors
/// [`Error::Call`].
pub fn get_info_raw(name: &[u8], words: &mut [u64; WORDS]) -> Result<()> {
    let arguments = [
        name.as_ptr() as usize,
        name.len(),
        words.as_mut_ptr() as usize,
    ];
    // SAFETY: The call reads the name and writes a `struct pf_stat`, for which there is room.
    done("pf_get_info", unsafe { call(NR_GET_INFO, arguments) })
}

/// Tracks nothing any more.
///
/// # Errors
/// [`Error::Call`].
pub fn cleanup() -> Result<()> {
    // SAFETY: The call takes no argument.
    done("pf_cleanup", unsafe { call(NR_CLEANUP, [0; 3]) })
}

fn done(name: &'static str, result: std::io::Result<usize>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Call { call: name, source }),
    }
}

fn faults(words: &[u64; WORDS]) -> Faults {
    let areas = (0..MAX_AREAS).take(words[COUNT] as u32 as usize);
    Faults {
        total: words[TOTAL],
        areas: areas
            .map(|number| AreaFaults {
                addresses: words[STARTS + number]..words[ENDS + number],
                faults: words[FAULTS + number],
            })
            .collect(),
    }
}

/// One line of `/proc/pf_stat`: all faults of the last execution of a program, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The execution's number since the name is tracked; 0: none yet.
    pub generation: u64,
    /// CoW faults: the sum of the next three.
    pub faults: u64,
    /// Pages that were copied.
    pub copied: u64,
    /// Pages that were taken over.
    pub reused: u64,
    /// Zero pages that were replaced.
    pub zero_filled: u64,
    /// Huge pages that were split for one of these faults.
    pub split: u64,
    /// Private pages of files that were written to before they were present.
    pub first_write: u64,
    /// Writes by other tasks, through ptrace or `/proc/PID/mem`.
    pub remote: u64,
    /// CoW faults in ranges that no area holds any more.
    pub gone: u64,
    /// CoW faults in more areas than the module can tell apart.
    pub unplaced: u64,
    /// Processes that could not be followed for want of room: their faults are missing.
    pub lost: u64,
}

impl Ledger {
    /// Where the ledger is.
    pub const PATH: &'static str = "/proc/pf_stat";

    /// The ledger of a name; `None` if it is not tracked.
    ///
    /// # Errors
    /// [`Error::Open`] without the module or without the right, [`Error::Answer`].
    pub fn of(name: &str) -> Result<Option<Self>> {
        let text = fs::read(Self::PATH).map_err(|source| Error::Open {
            path: Self::PATH.into(),
            source,
        })?;
        let text = String::from_utf8_lossy(&text);
        for line in text.lines().skip(1) {
            let (ledger, found) = Self::parse(line).ok_or_else(|| Error::Answer {
                line: line.to_owned(),
                why: "eleven numbers and a name were expected",
            })?;
            if found == name {
                return Ok(Some(ledger));
            }
        }
        Ok(None)
    }

    fn parse(line: &str) -> Option<(Self, &str)> {
        let mut words = line.splitn(12, ' ');
        let mut next = || words.next()?.parse().ok();
        let ledger = Self {
            generation: next()?,
            faults: next()?,
            copied: next()?,
            reused: next()?,
            zero_filled: next()?,
            split: next()?,
            first_write: next()?,
            remote: next()?,
            gone: next()?,
            unplaced: next()?,
            lost: next()?,
        };
        Some((ledger, words.next()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_areas() {
        let mut words = [0; WORDS];
        (words[COUNT], words[TOTAL]) = (2, 9);
        (words[FAULTS + 1], words[STARTS + 1], words[ENDS + 1]) = (7, 0x1000, 0x3000);
        let faults = faults(&words);
        assert_eq!((faults.total, faults.areas.len()), (9, 2));
        assert_eq!(faults.at(0x2FFF), Some(7));
        assert_eq!(faults.at(0x3000), None);
    }

    #[test]
    fn a_line_of_the_ledger_is_taken_apart() {
        let (ledger, name) = Ledger::parse("2 6 1 2 3 4 5 7 8 9 10 a name").unwrap();
        assert_eq!(name, "a name");
        assert_eq!((ledger.generation, ledger.faults, ledger.copied), (2, 6, 1));
        assert_eq!((ledger.remote, ledger.gone), (7, 8));
        assert_eq!((ledger.unplaced, ledger.lost), (9, 10));
        assert_eq!(Ledger::parse("2 6 1"), None);
    }
}
