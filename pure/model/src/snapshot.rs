// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What the pages behind a range of addresses add up to.
//!
//! The rules are those of `/proc/PID/smaps` (`smaps_account()` in `fs/proc/task_mmu.c`), so that the
//! sums are equal to its figures before it rounds them to kilobytes. Where they differ:
//!
//! - What is in swap is what the entries say. smaps adds what only the object knows of shared memory.
//! - A poisoned page is no memory here, as for the kernel's own counters; smaps counts it as resident.
//! - The huge zero page and page-table markers are told apart here, as the zero page is.

use crate::pte::{Absent, Entry, Level};
use abi::pagelens::Sums;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// `Sums::pss` counts these parts of a byte.
const PSS_PER_BYTE: u64 = 4096;

/// What the kernel knows of the frame behind an entry, packed into a word as C hands it over:
/// `kx_fact` in `kx/page/shim.h`.
///
/// The lower half is how many entries map the page, where that can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub u64);

impl Facts {
    /// There is a frame, and the rest of this is true.
    pub const KNOWN: u64 = 1 << 32;
    /// Anonymous.
    pub const ANONYMOUS: u64 = 1 << 33;
    /// Its contents go to swap: anonymous, or shared memory.
    pub const SWAP_BACKED: u64 = 1 << 34;
    /// Merged by KSM.
    pub const KSM: u64 = 1 << 35;
    /// Written since it was saved.
    pub const DIRTY: u64 = 1 << 36;
    /// Used, by what the kernel noted.
    pub const REFERENCED: u64 = 1 << 37;
    /// Part of a large folio.
    pub const LARGE: u64 = 1 << 38;
    /// On its way, so that how often it is mapped cannot be told.
    pub const UNSETTLED: u64 = 1 << 39;
    /// Where the number of pages begins that have these facts, where neighbours are told as one.
    const PAGES: u32 = 48;

    /// How many pages have these facts, where neighbours are told as one.
    #[must_use]
    #[inline]
    pub const fn pages(self) -> u64 {
        self.0 >> Self::PAGES
    }

    const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    /// How many entries map it.
    const fn mapcount(self) -> u64 {
        self.0 & 0xFFFF_FFFF
    }
}

/// The bits of [`Facts`] that have a meaning.
const FACTS: u64 = (1 << 40) - 1;

/// What an area says about all of its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Locked in memory.
    pub is_locked: bool,
    /// It may map what is no page (`VM_PFNMAP`, `VM_MIXEDMAP`), so that a special entry need not be
    /// the zero page.
    pub has_frames: bool,
}

const PRESENT: u64 = 1 << 40;
const SPECIAL: u64 = 1 << 41;
const ACCESSED: u64 = 1 << 42;
const DIRTY: u64 = 1 << 43;
const WRITABLE: u64 = 1 << 44;
const SWAPPED: u64 = 1 << 45;
const PMD: u64 = 1 << 46;
const PUD: u64 = 1 << 47;

/// Adds up entries. Neighbours are mostly alike, so they are counted first and added in one go.
#[derive(Debug, Default)]
pub struct Tally {
    traits: Traits,
    /// What the entries counted by `pages` have in common: facts and the bits above.
    kind: u64,
    pages: u64,
    sums: Sums,
}

impl Tally {
    /// Goes to the next area, of so many bytes.
    pub fn begin(&mut self, traits: Traits, size: u64) {
        if traits != self.traits {
            self.settle();
            self.traits = traits;
        }
        self.sums.size = self.sums.size.saturating_add(size);
    }

    /// An entry that stands for `pages` pages, and what is known of each of their frames, if that
    /// was asked for. `absent` is asked what it means if it is neither empty nor present.
    #[inline]
    pub fn add(
        &mut self,
        entry: Entry,
        facts: Facts,
        pages: u64,
        absent: impl FnOnce(Entry) -> Absent,
    ) {
        if entry.is_none() {
            return;
        }
        let kind = match entry.is_present() {
            true => present_kind(entry, facts),
            false => match absent(entry) {
                Absent::Nothing => return,
                Absent::Swapped => SWAPPED,
                Absent::Moving | Absent::InDevice => level_bit(entry.level) | facts.0 & FACTS,
            },
        };
        if kind != self.kind {
            self.settle();
            self.kind = kind;
        }
        self.pages = self.pages.saturating_add(pages);
    }

    /// Pages whose table is corrupt.
    pub fn corrupt(&mut self, pages: u64) {
        let bytes = pages.saturating_mul(PAGE);
        self.sums.corrupt = self.sums.corrupt.saturating_add(bytes);
    }

    /// Pages that are not walked.
    pub fn not_walked(&mut self, pages: u64) {
        let bytes = pages.saturating_mul(PAGE);
        self.sums.not_walked = self.sums.not_walked.saturating_add(bytes);
    }

    /// The sums of all areas since the last time.
    pub fn finish(&mut self) -> Sums {
        self.settle();
        core::mem::take(&mut self.sums)
    }

    /// Adds what was counted.
    fn settle(&mut self) {
        let bytes = core::mem::take(&mut self.pages).saturating_mul(PAGE);
        if bytes == 0 {
            return;
        }
        let (kind, sums) = (self.kind, &mut self.sums);
        if kind & SWAPPED != 0 {
            return add(&mut sums.swapped, bytes, true);
        }
        if kind & SPECIAL != 0 {
            add(&mut sums.special, bytes, self.traits.has_frames);
            return add(&mut sums.zero, bytes, !self.traits.has_frames);
        }
        let is_present = kind & PRESENT != 0;
        add(&mut sums.present, bytes, true);
        add(&mut sums.moving, bytes, !is_present);
        add(&mut sums.huge_2m, bytes, kind & PMD != 0);
        add(&mut sums.huge_1g, bytes, kind & PUD != 0);
        add(
            &mut sums.read_only,
            bytes,
            is_present && kind & WRITABLE == 0,
        );
        add(&mut sums.accessed, bytes, kind & ACCESSED != 0);
        add(&mut sums.written, bytes, kind & DIRTY != 0);
        if kind & Facts::KNOWN != 0 {
            add_frames(sums, kind, bytes, self.traits);
        }
    }
}

const fn level_bit(level: Level) -> u64 {
    match level {
        Level::Pte => 0,
        Level::Pmd => PMD,
        Level::Pud => PUD,
    }
}

/// The kind of a present entry.
#[inline]
fn present_kind(entry: Entry, facts: Facts) -> u64 {
    if entry.is_special() {
        return PRESENT | SPECIAL;
    }
    let bit = |bit, is_set: bool| if is_set { bit } else { 0 };
    PRESENT
        | level_bit(entry.level)
        | bit(ACCESSED, entry.is_accessed())
        | bit(DIRTY, entry.is_dirty())
        | bit(WRITABLE, entry.is_writable())
        | facts.0 & FACTS
}

#[inline]
fn add(sum: &mut u64, bytes: u64, applies: bool) {
    if applies {
        *sum = sum.saturating_add(bytes);
    }
}

/// Adds what depends on the frames.
fn add_frames(sums: &mut Sums, kind: u64, bytes: u64, traits: Traits) {
    let facts = Facts(kind);
    let (is_anonymous, is_swap_backed) =
        (facts.has(Facts::ANONYMOUS), facts.has(Facts::SWAP_BACKED));
    let is_dirty = kind & DIRTY != 0 || facts.has(Facts::DIRTY);
    let is_small = kind & (PMD | PUD) == 0;
    add(&mut sums.anonymous, bytes, is_anonymous);
    add(
        &mut sums.shared_memory,
        bytes,
        !is_anonymous && is_swap_backed,
    );
    add(&mut sums.file, bytes, !is_anonymous && !is_swap_backed);
    add(
        &mut sums.lazy_free,
        bytes,
        is_anonymous && !is_swap_backed && !is_dirty,
    );
    add(&mut sums.large, bytes, is_small && facts.has(Facts::LARGE));
    add(&mut sums.ksm, bytes, facts.has(Facts::KSM));
    let is_referenced = kind & ACCESSED != 0 || facts.has(Facts::REFERENCED);
    add(&mut sums.referenced, bytes, is_referenced);

    let is_unsettled = facts.has(Facts::UNSETTLED);
    let is_private = !is_unsettled && facts.mapcount() < 2;
    add(&mut sums.private_clean, bytes, is_private && !is_dirty);
    add(&mut sums.private_dirty, bytes, is_private && is_dirty);
    add(&mut sums.shared_clean, bytes, !is_private && !is_dirty);
    add(&mut sums.shared_dirty, bytes, !is_private && is_dirty);

    // Divided page by page, as smaps does: the rests are lost for each.
    let mappings = if is_unsettled {
        1
    } else {
        facts.mapcount().max(1)
    };
    let pss = (bytes / PAGE).saturating_mul(PAGE * PSS_PER_BYTE / mappings);
    add(&mut sums.pss, pss, true);
    add(&mut sums.pss_anonymous, pss, is_anonymous);
    add(
        &mut sums.pss_shared_memory,
        pss,
        !is_anonymous && is_swap_backed,
    );
    add(&mut sums.pss_file, pss, !is_anonymous && !is_swap_backed);
    add(&mut sums.pss_dirty, pss, is_dirty);
    add(&mut sums.pss_locked, pss, traits.is_locked);
}

/// Adds the sums of an area to those of all.
pub fn add_all(all: &mut Sums, area: &Sums) {
    for (sum, part) in all.figures_mut().iter_mut().zip(area.figures()) {
        *sum = sum.saturating_add(*part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: u64 = Facts::KNOWN;

    fn pte(value: u64) -> Entry {
        let level = Level::Pte;
        Entry { value, level }
    }

    fn tally(traits: Traits, entries: &[(Entry, u64, u64)], absent: Absent) -> Sums {
        let mut tally = Tally::default();
        tally.begin(traits, 1 << 30);
        for &(entry, facts, pages) in entries {
            tally.add(entry, Facts(facts), pages, |_| absent);
        }
        tally.finish()
    }

    #[test]
    fn nothing_is_nothing() {
        let sums = tally(
            Traits::default(),
            &[(pte(0), KNOWN | 1, 1)],
            Absent::Swapped,
        );
        let size = 1 << 30;
        assert_eq!(
            sums,
            Sums {
                size,
                ..Sums::default()
            }
        );
    }

    #[test]
    fn shares_of_a_page_are_rounded_page_by_page() {
        let entry = (
            pte(0x1027),
            KNOWN | Facts::ANONYMOUS | Facts::SWAP_BACKED | 3,
            1,
        );
        let sums = tally(Traits::default(), &[entry; 3], Absent::Nothing);
        assert_eq!(sums.pss, 3 * ((4096 * 4096) / 3));
        assert_eq!(sums.pss_anonymous, sums.pss);
        assert_eq!((sums.anonymous, sums.present), (3 * 4096, 3 * 4096));
        assert_eq!((sums.shared_clean, sums.private_clean), (3 * 4096, 0));
        assert_eq!(
            (sums.read_only, sums.accessed, sums.written),
            (0, 3 * 4096, 0)
        );
        assert_eq!(sums.pss_locked, 0);
    }

    #[test]
    fn the_frame_and_the_entry_may_both_be_dirty_and_used() {
        for (value, facts, is_dirty, is_used) in [
            (0x1003_u64, 0, false, false),
            (0x1043, 0, true, false),
            (0x1003 | 1 << 58, 0, true, false),
            (0x1003, Facts::DIRTY, true, false),
            (0x1023, 0, false, true),
            (0x1003, Facts::REFERENCED, false, true),
        ] {
            let sums = tally(
                Traits::default(),
                &[(pte(value), KNOWN | facts | 1, 1)],
                Absent::Nothing,
            );
            let page = |is_so: bool| if is_so { 4096 } else { 0 };
            assert_eq!(sums.private_dirty, page(is_dirty), "{value:#x}");
            assert_eq!(sums.private_clean, page(!is_dirty), "{value:#x}");
            assert_eq!(sums.pss_dirty, page(is_dirty) * 4096, "{value:#x}");
            assert_eq!(sums.referenced, page(is_used), "{value:#x}");
            assert_eq!(sums.file, 4096);
            assert_eq!(sums.pss_file, 4096 * 4096);
        }
    }

    #[test]
    fn anonymous_memory_without_swap_may_be_thrown_away_until_it_is_written() {
        let facts = KNOWN | Facts::ANONYMOUS | 1;
        let clean = tally(
            Traits::default(),
            &[(pte(0x1003), facts, 1)],
            Absent::Nothing,
        );
        let dirty = tally(
            Traits::default(),
            &[(pte(0x1043), facts, 1)],
            Absent::Nothing,
        );
        assert_eq!((clean.lazy_free, dirty.lazy_free), (4096, 0));
    }

    #[test]
    fn special_entries_are_the_zero_page_where_all_memory_is_pages() {
        let has_frames = Traits {
            has_frames: true,
            is_locked: false,
        };
        let entry = (pte(0x1205), 0, 1);
        let zero = tally(Traits::default(), &[entry], Absent::Nothing);
        let frames = tally(has_frames, &[entry], Absent::Nothing);
        assert_eq!((zero.zero, zero.special, zero.present), (4096, 0, 0));
        assert_eq!((frames.zero, frames.special, frames.present), (0, 4096, 0));
    }

    #[test]
    fn pages_on_their_way_are_resident_and_shared_for_all_that_is_known() {
        let facts = KNOWN | Facts::ANONYMOUS | Facts::SWAP_BACKED | Facts::UNSETTLED;
        let moving = tally(
            Traits::default(),
            &[(pte(0x1000), facts, 1)],
            Absent::Moving,
        );
        assert_eq!((moving.present, moving.moving), (4096, 4096));
        assert_eq!((moving.shared_clean, moving.pss), (4096, 4096 * 4096));
        assert_eq!(moving.read_only, 0);
        let swapped = tally(
            Traits::default(),
            &[(pte(0x1000), facts, 1)],
            Absent::Swapped,
        );
        assert_eq!((swapped.present, swapped.swapped), (0, 4096));
        let nothing = tally(
            Traits::default(),
            &[(pte(0x1000), facts, 1)],
            Absent::Nothing,
        );
        assert_eq!((nothing.present, nothing.swapped), (0, 0));
    }

    #[test]
    fn entries_of_each_size_and_kind_have_their_sum() {
        let pmd = Entry {
            value: 0x20_0087,
            level: Level::Pmd,
        };
        let pud = Entry {
            value: 0x4000_0087,
            level: Level::Pud,
        };
        let shared = KNOWN | Facts::SWAP_BACKED | 2;
        let entries = [
            (
                pmd,
                KNOWN | Facts::ANONYMOUS | Facts::SWAP_BACKED | Facts::LARGE | 1,
                512,
            ),
            (pud, shared, 512 * 512),
            (pte(0x1005), shared | Facts::LARGE, 1),
            (pte(0x2005), KNOWN | Facts::ANONYMOUS | Facts::KSM | 7, 1),
        ];
        let locked = Traits {
            is_locked: true,
            has_frames: false,
        };
        let sums = tally(locked, &entries, Absent::Nothing);
        assert_eq!((sums.huge_2m, sums.huge_1g), (2 << 20, 1 << 30));
        assert_eq!((sums.large, sums.ksm, sums.read_only), (4096, 4096, 8192));
        assert_eq!(sums.shared_memory, (1 << 30) + 4096);
        assert_eq!(sums.pss_shared_memory, sums.shared_memory / 2 * 4096);
        assert_eq!(sums.pss_locked, sums.pss);
        assert_eq!(sums.private_clean, 2 << 20);
    }

    #[test]
    fn sums_add_up_field_by_field() {
        let entry = (pte(0x1005), KNOWN | 2, 1);
        let one = tally(Traits::default(), &[entry], Absent::Nothing);
        let mut all = one;
        add_all(&mut all, &one);
        let entries = [entry, entry];
        let both = tally(Traits::default(), &entries, Absent::Nothing);
        assert_eq!(
            all,
            Sums {
                size: 2 << 30,
                ..both
            }
        );
    }
}
