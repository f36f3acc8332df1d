// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What a page-table entry of x86-64 Linux says, from its 64 bits alone.
//!
//! Only present entries are decoded. What a non-present one means depends on the kernel's
//! configuration; the kernel says it, as an [`Absent`].

/// Pages of 4 KiB that an entry of a page table maps.
pub const PAGES_PER_PTE: u64 = 1;
/// Pages of 4 KiB that a leaf entry of a page middle directory maps.
pub const PAGES_PER_PMD: u64 = 512;
/// Pages of 4 KiB that a leaf entry of a page upper directory maps.
pub const PAGES_PER_PUD: u64 = 512 * 512;

const PRESENT: u64 = 1;
const RW: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// On a leaf above the lowest level. On the lowest level the bit belongs to the memory type.
const PSE: u64 = 1 << 7;
/// Means "global" in a present entry.
const PROTNONE: u64 = 1 << 8;
const SPECIAL: u64 = 1 << 9;
/// Where the kernel keeps "dirty" of what may not be written, as a shadow stack would have that bit.
const SAVED_DIRTY: u64 = 1 << 58;

/// The level at which an entry is a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 4 KiB.
    Pte,
    /// 2 MiB.
    Pmd,
    /// 1 GiB.
    Pud,
}

impl Level {
    /// Pages of 4 KiB that a leaf maps.
    #[inline]
    pub const fn pages(self) -> u64 {
        match self {
            Self::Pte => PAGES_PER_PTE,
            Self::Pmd => PAGES_PER_PMD,
            Self::Pud => PAGES_PER_PUD,
        }
    }
}

/// What an entry that is neither empty nor present stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Memory that is in swap.
    Swapped,
    /// A page on its way to another frame: the entry will soon map that one.
    Moving,
    /// A page in a device, or lent to one, perhaps for ever.
    InDevice,
    /// No memory: a marker, or a poisoned page.
    Nothing,
}

impl Absent {
    /// Whether the resident set counts it.
    #[inline]
    pub const fn is_in_rss(self) -> bool {
        matches!(self, Self::Moving | Self::InDevice)
    }
}

/// A leaf entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry's 64 bits.
    pub value: u64,
    /// Where it stands.
    pub level: Level,
}

impl Entry {
    /// Whether nothing was ever put here.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.value == 0
    }

    /// Whether it maps memory, accessible or not: `PROT_NONE` and NUMA-hinting entries count, and
    /// so does a huge entry that is just being split.
    #[inline]
    pub const fn is_present(self) -> bool {
        let present = match self.level {
            Level::Pte => PRESENT | PROTNONE,
            Level::Pmd | Level::Pud => PRESENT | PROTNONE | PSE,
        };
        self.value & present != 0
    }

    /// Whether the processor may use it. If not, a present entry tells nothing about the
    /// permissions: it is `PROT_NONE`, or waits for a NUMA hint, or is being split.
    #[inline]
    pub const fn is_accessible(self) -> bool {
        self.value & PRESENT != 0
    }

    /// Whether it is one that the resident set does not count: the zero page, the huge zero page,
    /// or memory without a `struct page`.
    #[inline]
    pub const fn is_special(self) -> bool {
        self.value & SPECIAL != 0
    }

    /// Whether the processor may write through it. (Shadow stacks are writable without it; their
    /// VMA tells.)
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.value & RW != 0
    }

    /// Whether the processor has used it since that was asked last.
    #[inline]
    pub const fn is_accessed(self) -> bool {
        self.value & ACCESSED != 0
    }

    /// Whether it was written through.
    #[inline]
    pub const fn is_dirty(self) -> bool {
        self.value & (DIRTY | SAVED_DIRTY) != 0
    }

    /// The number of the first frame of a present entry. `pfn_mask` says which bits of an entry
    /// hold the physical address on this machine.
    #[inline]
    pub const fn pfn(self, pfn_mask: u64) -> u64 {
        // Without the present bit the address is stored inverted (against L1TF).
        let plain = if self.is_accessible() {
            self.value
        } else {
            !self.value
        };
        let pfn = (plain & pfn_mask) >> 12;
        // Below that, a huge entry has no address; its bit 12 belongs to the memory type.
        pfn & !(self.level.pages() - 1)
    }
}
