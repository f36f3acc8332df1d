// SPDX-License-Identifier: GPL-2.0
//! The leaves of page tables, each looked at under the lock of its table.

use crate::{
    sys,
    walk::{Step, Visitor},
};
use core::{ops::Range, slice};
use kernel::{ffi::c_ulong, page::PAGE_SIZE, prelude::*};
use kx_base::charged::Words;
use kx_mm::mm::{MmWithUser, VmaRef};
use model::{
    pte::{Entry, Level, PAGES_PER_PMD},
    snapshot::Facts,
};

/// Bytes that an entry of a page middle directory maps.
const PMD_SIZE: usize = PAGES_PER_PMD as usize * PAGE_SIZE;

/// Entries of a page table.
const ENTRIES: usize = PAGES_PER_PMD as usize;

/// Room for the copy of a page table.
pub struct Table {
    entries: Words,
    counted: Option<Counted>,
}

/// What is told of a table whose entries are counted.
struct Counted {
    facts: Words,
    /// Whether their frames are looked at.
    with_frames: bool,
}

impl Table {
    /// An empty table.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new() -> Result<Self> {
        let entries = Words::zeroed(ENTRIES)?;
        Ok(Self {
            entries,
            counted: None,
        })
    }

    /// A table whose entries are to be counted only ([`Leaves::each`]), with a look at their frames or
    /// without.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn counted(with_frames: bool) -> Result<Self> {
        let facts = Words::zeroed(ENTRIES)?;
        Ok(Self {
            counted: Some(Counted { facts, with_frames }),
            ..Self::new()?
        })
    }
}

/// What the walk found for consecutive addresses of one VMA: entries of one level, of which the
/// first maps `start`.
pub struct Leaves<'a> {
    /// The address that the first entry maps.
    pub start: usize,
    /// The entries as they are in the table; of those that are counted, the first of each run that
    /// are alike.
    pub values: &'a [u64],
    /// Their level. Above [`Level::Pte`] there is one entry, and only `pages` of it are meant
    /// where the VMA is smaller.
    pub level: Level,
    /// Pages of 4 KiB from `start` that belong to the VMA.
    pub pages: u64,
    /// What was known at the same time of the frames of these pages, if entries are counted: of each
    /// run and with its length; above [`Level::Pte`] of each page, or one for all.
    facts: &'a [u64],
}

impl Leaves<'_> {
    /// The entries.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let level = self.level;
        self.values.iter().map(move |&value| Entry { value, level })
    }

    /// Calls `each` with entries of a table that counts, the facts of their frames, and for how many
    /// pages these are: neighbours that are alike are told once, by the first of them.
    #[inline]
    pub fn each(&self, mut each: impl FnMut(Entry, Facts, u64)) {
        let level = self.level;
        match (level, self.facts, self.values) {
            (Level::Pte, facts, values) => {
                for (&value, &facts) in values.iter().zip(facts) {
                    let facts = Facts(facts);
                    each(Entry { value, level }, facts, facts.pages());
                }
            }
            (_, facts @ [_, _, ..], &[value]) => {
                for &facts in facts {
                    each(Entry { value, level }, Facts(facts), 1);
                }
            }
            (_, facts, values) => {
                let facts = Facts(facts.first().copied().unwrap_or_default());
                for &value in values {
                    each(Entry { value, level }, facts, self.pages);
                }
            }
        }
    }
}

/// Visits what one entry of a page middle directory stands for (or a run of huge pages, a larger leaf
/// or a hole), as far as `range`, a part of the VMA, goes. Returns where to go on.
///
/// The mmap lock of `mm`, to which `vma` belongs, is held: `vma` is borrowed from its guard.
pub(crate) fn visit_slot(
    mm: &MmWithUser,
    vma: &VmaRef,
    range: Range<usize>,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> (usize, Step) {
    let address = range.start;
    let (mut next, mut count) = (address, 0);
    // SAFETY: The mmap lock is held and `mm` has users, so that the upper tables stay; the range
    // lies within a VMA. No more entries are written than a table holds.
    let slot = unsafe {
        sys::kx_find_slot(
            mm.as_raw(),
            address as c_ulong,
            range.end as c_ulong,
            &mut next,
            table.entries.as_mut_ptr(),
            &mut count,
        )
    };
    let pages = next.saturating_sub(address) / PAGE_SIZE;
    match slot {
        sys::KX_HOLE => (next, Step::Continue),
        sys::KX_CORRUPT => {
            visitor.corrupt(pages as u64);
            (next, Step::Continue)
        }
        sys::KX_TABLE => match table.take(mm, address, pages) {
            Some((values, facts)) => {
                let leaves = Leaves {
                    start: address,
                    values,
                    level: Level::Pte,
                    pages: pages as u64,
                    facts,
                };
                (next, visitor.visit(vma, leaves))
            }
            // The table was exchanged meanwhile: look again.
            None => (address, Step::Continue),
        },
        sys::KX_PMD => visit_each(mm, vma, address..next, table, count as usize, visitor),
        _ => {
            let leaves = Leaves {
                start: address,
                values: table.entries.get(..1).unwrap_or_default(),
                level: Level::Pud,
                pages: pages as u64,
                facts: &[],
            };
            (next, visitor.visit(vma, leaves))
        }
    }
}

/// Visits leaves of page middle directories one by one: the first `count` of the table, which map
/// `range`; the first and the last may reach beyond it. Returns where to go on.
fn visit_each(
    mm: &MmWithUser,
    vma: &VmaRef,
    range: Range<usize>,
    table: &mut Table,
    count: usize,
    visitor: &mut impl Visitor,
) -> (usize, Step) {
    let mut start = range.start;
    for value in table.entries.get(..count).unwrap_or_default() {
        let next = (start / PMD_SIZE + 1).saturating_mul(PMD_SIZE);
        let next = next.min(range.end);
        let facts = match &mut table.counted {
            Some(Counted {
                facts,
                with_frames: true,
            }) => match facts_of(mm, start..next, *value, facts) {
                Some(facts) => facts,
                // It was exchanged meanwhile: look again.
                None => return (start, Step::Continue),
            },
            _ => &[],
        };
        let leaves = Leaves {
            start,
            values: slice::from_ref(value),
            level: Level::Pmd,
            pages: (next.saturating_sub(start) / PAGE_SIZE) as u64,
            facts,
        };
        start = next;
        // A look at each page of it took as long as a table: time to see who waits.
        let is_long = leaves.facts.len() > 1;
        let step = visitor.visit(vma, leaves);
        if is_long || step == Step::Pause {
            return (start, step);
        }
    }
    (start, Step::Continue)
}

/// What is known of the pages of `range`, which the leaf `pmd` maps: of each, or one for all. `None`
/// if it is not there any more. The mmap lock of `mm` is held, and a VMA holds the range.
fn facts_of<'a>(
    mm: &MmWithUser,
    range: Range<usize>,
    pmd: u64,
    room: &'a mut Words,
) -> Option<&'a [u64]> {
    let (mut count, address) = (0, range.start as c_ulong);
    // SAFETY: The mmap lock is held and `mm` has users, so that the upper tables stay. There is room
    // for the facts of all pages of a leaf.
    let same =
        unsafe { sys::kx_pmd_facts(mm.as_raw(), address, pmd, room.as_mut_ptr(), &mut count) };
    if same == 0 {
        return None;
    }
    if count == 1 {
        return room.get(..1);
    }
    let first = range.start / PAGE_SIZE % ENTRIES;
    let pages = range.end.saturating_sub(range.start) / PAGE_SIZE;
    room.get(first..first.checked_add(pages)?)
}

impl Table {
    /// The entry of `address` in the table to which `pmd` pointed. `None` if the table is not there
    /// any more. The mmap lock of `mm` is held, and a VMA holds the address.
    pub(crate) fn entry(&mut self, mm: &MmWithUser, address: usize, pmd: u64) -> Option<u64> {
        *self.entries.first_mut()? = pmd;
        self.copy(mm, address, 1)?.first().copied()
    }

    /// Copies or counts the `count` entries from that of `address` on of the table that the first
    /// entry here points to. `None` if the table is not there any more.
    fn take(&mut self, mm: &MmWithUser, address: usize, count: usize) -> Option<(&[u64], &[u64])> {
        match self.counted.is_some() {
            true => self.count(mm, address, count),
            false => self
                .copy(mm, address, count)
                .map(|entries| (entries, &[][..])),
        }
    }

    fn copy(&mut self, mm: &MmWithUser, address: usize, count: usize) -> Option<&[u64]> {
        let pmd = *self.entries.first()?;
        let entries = self.entries.get_mut(..count)?;
        // SAFETY: The mmap lock is held and `mm` has users, so that the upper tables stay. No more
        // entries are asked for than there is room for, and they do not reach beyond the table
        // because the slot that was found ends with it.
        let same = unsafe {
            sys::kx_copy_table(
                mm.as_raw(),
                address as c_ulong,
                pmd,
                entries.as_mut_ptr(),
                count as u32,
            )
        };
        (same != 0).then_some(&*entries)
    }

    fn count(&mut self, mm: &MmWithUser, address: usize, count: usize) -> Option<(&[u64], &[u64])> {
        let pmd = *self.entries.first()?;
        let Counted { facts, with_frames } = self.counted.as_mut()?;
        let entries = self.entries.get_mut(..count)?;
        let facts = facts.get_mut(..count)?;
        let mut runs = count as u32;
        // SAFETY: As in `copy`; there is room for as many facts.
        let same = unsafe {
            sys::kx_count_table(
                mm.as_raw(),
                address as c_ulong,
                pmd,
                entries.as_mut_ptr(),
                facts.as_mut_ptr(),
                &mut runs,
                (*with_frames).into(),
            )
        };
        let runs = runs as usize;
        (same != 0).then_some((entries.get(..runs)?, facts.get(..runs)?))
    }
}
