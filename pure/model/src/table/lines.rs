// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! How entries are written in a report.

use super::{is_user_half, Paging, Run, TableEntry, Target, PRESENT};
use core::fmt;

/// Whether physical addresses are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Physical {
    /// As they are.
    Shown,
    /// As the word `masked`.
    Masked,
}

/// How entries are shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The levels of this machine.
    pub paging: Paging,
    /// The bits of an entry that hold a physical address.
    pub pfn_mask: u64,
    /// Whether to show it.
    pub physical: Physical,
}

/// The line of a run: `pgd[0-1]: FIRST LAST user|kernel empty`, or of one entry what it points to
/// and its bits.
pub struct RunLine {
    /// How it is shown.
    pub style: Style,
    /// What is shown.
    pub run: Run,
    /// With page-table isolation: whether the table with which programs run has the entry too.
    pub in_user_table: Option<bool>,
}

impl fmt::Display for RunLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.run.indices();
        let (from, to) = self.run.addresses(self.style.paging);
        match first == last {
            true => write!(f, "pgd[{first}]: ")?,
            false => write!(f, "pgd[{first}-{last}]: ")?,
        }
        let half = match is_user_half(first) {
            true => "user",
            false => "kernel",
        };
        write!(f, "{from:#018x} {to:#018x} {half}-half ")?;
        let Run::Entry(_, value) = self.run else {
            return f.write_str("empty");
        };
        let level = self.style.paging.top();
        EntryText(self.style, TableEntry { value, level }).fmt(f)?;
        match self.in_user_table {
            Some(true) => f.write_str(" in-user-table"),
            Some(false) => f.write_str(" not-in-user-table"),
            None => Ok(()),
        }
    }
}

/// The line of an entry on the way to an address: `walk: LEVEL[INDEX] …`.
pub struct StepLine {
    /// How it is shown.
    pub style: Style,
    /// The address.
    pub address: u64,
    /// The entry.
    pub entry: TableEntry,
}

impl fmt::Display for StepLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.entry.level;
        write!(
            f,
            "walk: {}[{}] ",
            level.name(self.style.paging),
            level.index(self.address)
        )?;
        EntryText(self.style, self.entry).fmt(f)
    }
}

/// What an entry points to, and its bits.
struct EntryText(Style, TableEntry);

impl fmt::Display for EntryText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(style, entry) = self;
        let (word, address) = match entry.target(style.pfn_mask) {
            Target::Empty => return f.write_str("empty"),
            Target::NotPresent => return f.write_str("not-present"),
            Target::Table(address) => ("table", address),
            Target::Page(address) => ("page", address),
        };
        match style.physical {
            Physical::Shown => write!(f, "{word}={address:#018x} ")?,
            Physical::Masked => write!(f, "{word}=masked ")?,
        }
        // Such a leaf is PROT_NONE, or waits for a NUMA hint, or is being split.
        f.write_str(match entry.has(PRESENT) {
            true => "present ",
            false => "inaccessible ",
        })?;
        entry.flags().fmt(f)
    }
}
