// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The page tables of x86-64 above and at the leaves, from the 64 bits of their entries alone.
//!
//! ```text
//! level   name in Linux   one entry covers     index bits of an address
//!   5     pgd             256 TiB              48..56   (only with 5 levels)
//!   4     p4d, or pgd     512 GiB              39..47
//!   3     pud               1 GiB              30..38
//!   2     pmd               2 MiB              21..29
//!   1     pte               4 KiB              12..20
//! ```
//!
//! What a leaf's bits mean in particular is in [`pte`]; this module adds the way there.

mod lines;

use crate::pte;
use core::fmt;
pub use lines::{Physical, RunLine, StepLine, Style};

/// Entries in a table of any level.
pub const ENTRIES: usize = 512;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLED: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const PSE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
/// Bits that the processor ignores and Linux uses.
const SOFT: [u32; 5] = [9, 10, 11, 57, 58];

/// How many levels the machine's page tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Addresses of 48 bits.
    FourLevel,
    /// Addresses of 57 bits.
    FiveLevel,
}

impl Paging {
    /// The number of levels.
    pub const fn levels(self) -> u32 {
        match self {
            Self::FourLevel => 4,
            Self::FiveLevel => 5,
        }
    }

    /// The level of the top-level table.
    pub const fn top(self) -> TableLevel {
        match self {
            Self::FourLevel => TableLevel::P4d,
            Self::FiveLevel => TableLevel::Pgd,
        }
    }

    /// The lowest address that the entry at `index` of the top-level table covers: canonical, that
    /// is with the highest translated bit repeated up to bit 63.
    pub const fn first_address(self, index: usize) -> u64 {
        let shift = self.top().shift();
        let address = (index as u64 & (ENTRIES as u64 - 1)) << shift;
        // The index has nine bits; its highest is the sign.
        let unused = 64 - shift - 9;
        (((address << unused) as i64) >> unused) as u64
    }

    /// The highest address that the entry at `index` of the top-level table covers.
    pub const fn last_address(self, index: usize) -> u64 {
        self.first_address(index) | ((1 << self.top().shift()) - 1)
    }
}

/// The level of a table, by what the kernel calls its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableLevel {
    /// Page table: 4 KiB an entry.
    Pte,
    /// Page middle directory: 2 MiB an entry.
    Pmd,
    /// Page upper directory: 1 GiB an entry.
    Pud,
    /// 512 GiB an entry. The top-level table of machines with four levels, where the kernel calls
    /// it page global directory.
    P4d,
    /// Page global directory of machines with five levels: 256 TiB an entry.
    Pgd,
}

impl TableLevel {
    /// All levels, from the top.
    pub const DOWN: [Self; 5] = [Self::Pgd, Self::P4d, Self::Pud, Self::Pmd, Self::Pte];

    /// Bits of an address below those that index a table of this level.
    pub const fn shift(self) -> u32 {
        match self {
            Self::Pte => 12,
            Self::Pmd => 21,
            Self::Pud => 30,
            Self::P4d => 39,
            Self::Pgd => 48,
        }
    }

    /// Which entry of a table of this level translates `address`.
    pub const fn index(self, address: u64) -> usize {
        (address >> self.shift()) as usize & (ENTRIES - 1)
    }

    /// The leaf level, where there can be leaves.
    const fn leaf(self) -> Option<pte::Level> {
        match self {
            Self::Pte => Some(pte::Level::Pte),
            Self::Pmd => Some(pte::Level::Pmd),
            Self::Pud => Some(pte::Level::Pud),
            Self::P4d | Self::Pgd => None,
        }
    }

    /// The kernel's name for an entry of this level.
    pub const fn name(self, paging: Paging) -> &'static str {
        match (self, paging) {
            (Self::Pgd, _) | (Self::P4d, Paging::FourLevel) => "pgd",
            (Self::P4d, Paging::FiveLevel) => "p4d",
            (Self::Pud, _) => "pud",
            (Self::Pmd, _) => "pmd",
            (Self::Pte, _) => "pte",
        }
    }
}

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing was put here.
    Empty,
    /// The next table, at this physical address.
    Table(u64),
    /// Memory, from this physical address on.
    Page(u64),
    /// Something that is not in memory: swapped out, on its way, or a marker.
    NotPresent,
}

/// An entry of a table of any level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Its 64 bits.
    pub value: u64,
    /// The level of the table in which it stands.
    pub level: TableLevel,
}

impl TableEntry {
    /// What it stands for. `pfn_mask` says which bits hold a physical address on this machine.
    pub const fn target(self, pfn_mask: u64) -> Target {
        if self.value == 0 {
            return Target::Empty;
        }
        if let (true, Some(level)) = (self.is_leaf(), self.level.leaf()) {
            let leaf = pte::Entry {
                value: self.value,
                level,
            };
            return match leaf.is_present() {
                true => Target::Page(leaf.pfn(pfn_mask) << 12),
                false => Target::NotPresent,
            };
        }
        match self.has(PRESENT) {
            true => Target::Table(self.value & pfn_mask & !0xfff),
            false => Target::NotPresent,
        }
    }

    /// Whether it maps memory itself (or would, were it accessible), rather than a further table.
    const fn is_leaf(self) -> bool {
        match self.level {
            TableLevel::Pte => true,
            TableLevel::Pmd | TableLevel::Pud => !self.has(PRESENT) || self.has(PSE),
            TableLevel::P4d | TableLevel::Pgd => false,
        }
    }

    const fn has(self, bits: u64) -> bool {
        self.value & bits != 0
    }

    /// Writes through it are allowed, as far as this level is concerned.
    pub const fn is_writable(self) -> bool {
        self.has(WRITABLE)
    }

    /// Programs may use it, and not only the kernel.
    pub const fn is_user(self) -> bool {
        self.has(USER)
    }

    /// The processor has used it since the bit was last cleared.
    pub const fn is_accessed(self) -> bool {
        self.has(ACCESSED)
    }

    /// Nothing below it may be executed.
    pub const fn is_no_execute(self) -> bool {
        self.has(NO_EXECUTE)
    }

    /// The bits of a present entry in words. Each of the first four has a word either way; the
    /// others are named when they are set.
    pub const fn flags(self) -> Flags {
        Flags(self)
    }
}

/// See [`TableEntry::flags`].
#[derive(Clone, Copy)]
pub struct Flags(TableEntry);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.0;
        f.write_str(match entry.is_writable() {
            true => "writable",
            false => "read-only",
        })?;
        f.write_str(match entry.is_user() {
            true => " user",
            false => " supervisor",
        })?;
        f.write_str(match entry.is_accessed() {
            true => " accessed",
            false => " not-accessed",
        })?;
        f.write_str(match entry.is_no_execute() {
            true => " no-execute",
            false => " execute",
        })?;
        for (bit, word) in [
            (WRITE_THROUGH, " write-through"),
            (CACHE_DISABLED, " cache-disabled"),
        ] {
            if entry.has(bit) {
                f.write_str(word)?;
            }
        }
        // In entries that point to tables the processor ignores these.
        if entry.is_leaf() {
            if entry.has(DIRTY) {
                f.write_str(" dirty")?;
            }
            // Without the present bit it is the one that says PROT_NONE.
            if entry.has(PRESENT) && entry.has(GLOBAL) {
                f.write_str(" global")?;
            }
        }
        for bit in SOFT {
            if entry.has(1 << bit) {
                write!(f, " soft{bit}")?;
            }
        }
        Ok(())
    }
}

/// Consecutive entries of a top-level table, as they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Empty ones, from the first to the last index.
    Empty(usize, usize),
    /// One that is not empty, with its index and value.
    Entry(usize, u64),
}

impl Run {
    /// Its first and last index.
    pub const fn indices(self) -> (usize, usize) {
        match self {
            Self::Empty(first, last) => (first, last),
            Self::Entry(index, _) => (index, index),
        }
    }

    /// Its first and last address.
    pub const fn addresses(self, paging: Paging) -> (u64, u64) {
        let (first, last) = self.indices();
        (paging.first_address(first), paging.last_address(last))
    }
}

/// Whether an entry of the top-level table belongs to the program's half of the addresses; the
/// other half is the kernel's.
pub const fn is_user_half(index: usize) -> bool {
    index < ENTRIES / 2
}

/// The runs of a top-level table: together every one of its entries, in order. A run of empty
/// entries ends where its half of the addresses ends.
pub fn runs(entries: &[u64; ENTRIES]) -> impl Iterator<Item = Run> + '_ {
    let mut next = 0;
    core::iter::from_fn(move || {
        let first = next;
        let value = *entries.get(first)?;
        next += 1;
        if value != 0 {
            return Some(Run::Entry(first, value));
        }
        while entries.get(next) == Some(&0) && is_user_half(next) == is_user_half(first) {
            next += 1;
        }
        Some(Run::Empty(first, next - 1))
    })
}

#[cfg(test)]
mod tests;
