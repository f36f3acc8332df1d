// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page-table entries as the module describes them.

use super::report::{address, number};

/// What an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nothing.
    Empty,
    /// Something that is not in memory.
    NotPresent,
    /// A further table, at this physical address unless it was masked.
    Table(Option<u64>),
    /// Memory, at this physical address unless it was masked.
    Page(Option<u64>),
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownEntry {
    /// What it stands for.
    pub what: What,
    /// The words for its bits: `present`, `writable` or `read-only`, and so on.
    pub flags: Vec<String>,
}

impl ShownEntry {
    /// Whether its description has a word, such as `no-execute`.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.flags.iter().any(|flag| flag == word)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let what = match words.next()? {
            "empty" => What::Empty,
            "not-present" => What::NotPresent,
            word => match word.split_once('=')? {
                ("table", place) => What::Table(physical(place)?),
                ("page", place) => What::Page(physical(place)?),
                _ => return None,
            },
        };
        let flags = words.map(str::to_owned).collect();
        Some(Self { what, flags })
    }
}

fn physical(text: &str) -> Option<Option<u64>> {
    match text {
        "masked" => Some(None),
        text => address(text).map(Some),
    }
}

/// Consecutive entries of the top-level table: one, or several that are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRun {
    /// Index of the first.
    pub first: usize,
    /// Index of the last.
    pub last: usize,
    /// The addresses that they cover, both ends included.
    pub addresses: (u64, u64),
    /// Whether those belong to the program's half.
    pub is_user_half: bool,
    /// What they hold.
    pub entry: ShownEntry,
}

impl ShownRun {
    /// Reads what follows `pgd[` in a line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (indices, rest) = text.split_once("]: ")?;
        let (first, last) = indices.split_once('-').unwrap_or((indices, indices));
        let mut words = rest.splitn(4, ' ');
        Some(Self {
            first: number(first)?,
            last: number(last)?,
            addresses: (address(words.next()?)?, address(words.next()?)?),
            is_user_half: match words.next()? {
                "user-half" => true,
                "kernel-half" => false,
                _ => return None,
            },
            entry: ShownEntry::parse(words.next()?)?,
        })
    }
}

/// An entry on the way to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownStep {
    /// What the kernel calls it: `pgd`, `p4d`, `pud`, `pmd` or `pte`.
    pub level: String,
    /// Its index in its table.
    pub index: usize,
    /// What it holds.
    pub entry: ShownEntry,
}

impl ShownStep {
    /// Reads what follows `walk: ` in a line.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (level, rest) = text.split_once('[')?;
        let (index, rest) = rest.split_once("] ")?;
        Some(Self {
            level: level.to_owned(),
            index: number(index)?,
            entry: ShownEntry::parse(rest)?,
        })
    }
}
