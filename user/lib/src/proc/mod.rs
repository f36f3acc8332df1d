// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures of `memory_info`, computed from `/proc` alone.
//!
//! This is the slow and independent way to the same figures, and the oracle of the
//! module's tests. It reads `maps`, `statm`, `pagemap` (with frame numbers, so as root),
//! `/proc/kpageflags` and the bytes in `/proc/PID/mem`, and it compares those bytes, not
//! hashes of them. It is exact for processes that stand still; of running ones it gives a
//! picture that may be smeared over the time the reading takes.
//!
//! # What `/proc` does not know
//! A page counts as read-only if its *page-table entry* is, and no file shows that bit.
//! [`Permission`] says what follows from what is shown; where nothing follows, a survey
//! gives bounds. `/proc` does not show either that two processes share one address space
//! (`vfork`, `CLONE_VM`): such memory is counted once per process here, once per name by
//! the module.

mod duplicates;
pub mod kinds;
mod pages;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::fs;

use procfs::process::Process;

use crate::error::{Error, Result};
use crate::program::{Duplicates, Program};
use duplicates::{Compared, Frames};
pub use pages::Permission;

/// What `/proc` says about one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The figures. Its duplicates are the *least* number: pages that may be mapped
    /// either way were taken as writable.
    pub program: Program,
    /// The duplicates if every page that may be mapped either way is mapped read-only.
    pub most: Duplicates,
    /// Frames that were not compared at all, as `/proc/PID/mem` refuses their bytes: those
    /// in mappings without the right to read (see `proc_mem.force_override` in the
    /// kernel's list of parameters).
    pub unread: u64,
}

/// Surveys the programs whose `(pid, name)` is wanted, by lowest pid.
///
/// A process that ends while it is looked at is left out.
///
/// # Errors
/// [`Error::Proc`] or [`Error::Process`] if `/proc` is not there or not readable.
pub fn survey(wanted: impl Fn(u32, &[u8]) -> bool) -> Result<Vec<Survey>> {
    let mut names: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
    for pid in pids()? {
        match comm(pid) {
            Ok(name) if wanted(pid, &name) => names.entry(name).or_default().push(pid),
            Ok(_) => {}
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let mut surveys = Vec::with_capacity(names.len());
    for (name, pids) in names {
        surveys.extend(survey_program(name, &pids)?);
    }
    surveys.sort_by(|a, b| a.program.pids.cmp(&b.program.pids));
    Ok(surveys)
}

fn survey_program(name: Vec<u8>, pids: &[u32]) -> Result<Option<Survey>> {
    let mut program = Program {
        name,
        total: 0,
        valid: 0,
        invalid: 0,
        duplicates: Duplicates::default(),
        pids: Vec::new(),
    };
    let mut frames = Frames::default();
    for &pid in pids {
        match survey_process(pid, &mut frames) {
            Ok((total, valid)) => {
                program.pids.push(pid);
                program.total += total;
                program.valid += valid;
            }
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if program.pids.is_empty() {
        return Ok(None);
    }
    program.invalid = program.total.saturating_sub(program.valid);
    let Compared {
        least,
        most,
        unread,
    } = frames.compare()?;
    program.duplicates = least;
    Ok(Some(Survey {
        program,
        most,
        unread,
    }))
}

/// The process's total and present pages; its pages that may be read-only go to `frames`.
fn survey_process(pid: u32, frames: &mut Frames) -> Result<(u64, u64)> {
    let process = Process::new(i32::try_from(pid).unwrap_or(i32::MAX))?;
    let total = process.statm()?.size;
    if total == 0 {
        return Ok((0, 0)); // a kernel thread or a zombie: no pagemap to read
    }
    let mut valid = 0;
    pages::for_each_present(pid, &process, |page| {
        valid += 1;
        frames.add(pid, page);
    })?;
    Ok((total, valid))
}

/// The process's name as raw bytes; of a kernel worker, the longer name that /proc shows.
fn comm(pid: u32) -> Result<Vec<u8>> {
    let mut name = fs::read(format!("/proc/{pid}/comm")).map_err(|source| Error::Process {
        pid,
        file: "comm",
        source,
    })?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Ok(name)
}

/// The processes that there are now, as this pid namespace numbers them, ascending.
///
/// # Errors
/// [`Error::Proc`].
pub fn pids() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").map_err(procfs::ProcError::from)?;
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Whether the error says that the process is gone.
fn has_ended(error: &Error) -> bool {
    const ESRCH: i32 = 3;
    match error {
        Error::Proc(procfs::ProcError::NotFound(_)) => true,
        Error::Proc(procfs::ProcError::Io(source, _)) | Error::Process { source, .. } => {
            source.kind() == std::io::ErrorKind::NotFound || source.raw_os_error() == Some(ESRCH)
        }
        _ => false,
    }
}
