// SPDX-License-Identifier: GPL-2.0
//! Walking the page tables of an address space, without changing anything in it.
//!
//! # Locks
//!
//! mmap lock (read), then RCU, then the lock of one page table.
//!
//! The mmap lock and a user reference keep the VMAs and the upper tables. The lowest tables may be
//! freed all the same, so each is copied as a whole, at most 512 entries, under RCU and its own
//! lock; the entries are looked at after that. The mmap lock is given up after [`STRETCH_NS`] at
//! the latest, and whenever somebody waits for it, and is taken again for the address where the
//! walk stopped: mappings that change meanwhile are seen before or after the change.
//!
//! # Cost
//!
//! A copy and a look per entry of the tables that exist; a step per 1 GiB that has none. No
//! allocation.

use crate::sys;
use core::ops::{Deref, Range};
use kernel::{
    ffi::c_ulong,
    mm::virt::flags,
    page::PAGE_SIZE,
    prelude::*,
    time::{Instant, Monotonic},
};
use kx_base::{charged::Words, sched};
use kx_mm::mm::{self, MmWithUser, Patience, ReadGuard, VmaRef};
use model::pte::{Entry, Level, PAGES_PER_PMD};

/// How long the mmap lock is held at a stretch, in nanoseconds, plus [`STEPS`] steps of the walk
/// (the copy of one table and a visit of it, or a look at one VMA).
pub const STRETCH_NS: i64 = 250_000;

/// Bytes that an entry of a page middle directory maps.
const PMD_SIZE: usize = PAGES_PER_PMD as usize * PAGE_SIZE;

/// Entries of a page table.
const ENTRIES: usize = PAGES_PER_PMD as usize;

/// Steps between looks at the clock.
const STEPS: usize = 8;

/// Room for the copy of a page table.
pub struct Table(Words);

impl Table {
    /// An empty table.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new() -> Result<Self> {
        Words::zeroed(ENTRIES).map(Self)
    }
}

/// What the walk found for consecutive addresses of one VMA: entries of one level, of which the
/// first maps `start`.
pub struct Leaves<'a> {
    /// The address that the first entry maps.
    pub start: usize,
    /// The entries as they are in the table.
    pub values: &'a [u64],
    /// Their level. Above [`Level::Pte`] there is one entry, and only `pages` of it are meant
    /// where the VMA is smaller.
    pub level: Level,
    /// Pages of 4 KiB from `start` that belong to the VMA.
    pub pages: u64,
}

impl Leaves<'_> {
    /// The entries.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let level = self.level;
        self.values.iter().map(move |&value| Entry { value, level })
    }
}

/// Whether the resident set counts what an entry maps: present memory but for the zero pages and
/// what has no `struct page`; and pages on their way to another frame, or in a device.
#[inline]
pub fn is_in_rss(entry: Entry) -> bool {
    if entry.is_present() {
        !entry.is_special()
    } else {
        !entry.is_none() && is_resident(entry)
    }
}

/// Whether an entry that is neither empty nor present still stands for resident memory: for a page
/// on its way to another frame, or one that is in a device or lent to it.
fn is_resident(entry: Entry) -> bool {
    // SAFETY: Both only decode the number.
    unsafe {
        match entry.level {
            Level::Pte => sys::kx_pte_is_resident(entry.value) != 0,
            Level::Pmd => sys::kx_pmd_is_resident(entry.value) != 0,
            Level::Pud => false,
        }
    }
}

/// Whether an entry stands for a page that is on its way to another frame, so that it will soon map
/// that one. What a device keeps may stay with it for ever.
#[inline]
pub fn is_moving(entry: Entry) -> bool {
    if entry.is_present() || entry.is_none() {
        return false;
    }
    // SAFETY: Both only decode the number.
    unsafe {
        match entry.level {
            Level::Pte => sys::kx_pte_is_moving(entry.value) != 0,
            Level::Pmd => sys::kx_pmd_is_moving(entry.value) != 0,
            Level::Pud => false,
        }
    }
}

/// The bits of an entry that hold a physical address on this machine.
pub fn pfn_mask() -> u64 {
    // SAFETY: Reads a constant of the running kernel.
    unsafe { sys::kx_pfn_mask() }
}

/// Whether the walk may go on with the lock held.
#[derive(PartialEq, Eq)]
pub enum Step {
    /// Yes.
    Continue,
    /// No: [`Visitor::prepare`] must be called before the next visit.
    Pause,
}

/// Who is told what a walk finds.
pub trait Visitor {
    /// Called before each stretch, without locks: the place to allocate.
    ///
    /// # Errors
    ///
    /// End the walk.
    fn prepare(&mut self) -> Result;
    /// Whether the entries of a VMA are wanted; `None` if [`Visitor::prepare`] must be called before
    /// that can be said. Those of hugetlb VMAs have rules of their own and are never offered.
    fn wants(&mut self, vma: &VmaRef) -> Option<bool>;
    /// Called with the mmap lock held: must not sleep for long, allocate, or touch user memory.
    fn visit(&mut self, vma: &VmaRef, leaves: Leaves<'_>) -> Step;
    /// Called likewise at each step: a table, a huge page, a hole, or a VMA.
    #[inline]
    fn step(&mut self) {}
    /// Called likewise where a table is corrupt, so that what it maps cannot be told. The walk goes
    /// on behind it.
    fn corrupt(&mut self) {}
}

/// What a walk came to.
pub struct Walked {
    /// The longest time, in nanoseconds, for which the mmap lock was held at a stretch.
    pub longest_lock: i64,
    /// How it ended.
    pub end: End,
}

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of the address space was seen.
    Whole,
    /// There was nothing to be pinned any more.
    Gone,
    /// The lock could not be had in time, or areas that are moved all the time had no end.
    LeftOut,
}

/// Areas that a walk sees at most, besides two for each that there was at the beginning. Who moves
/// those that were seen to where the walk has yet to come could keep it going for days.
const AREAS: u64 = 1 << 17;

/// Walks all of an address space that is `pin`ned for each stretch anew, and let go after it: a walk
/// takes as long as the address space is large, and for so long nobody may be kept from ending. The
/// walk ends when there is nothing to be pinned any more.
///
/// # Errors
///
/// Those of [`sched::yield_unless_killed_or_frozen`], and what the visitor's `prepare` returned.
pub fn walk_while<P: Deref<Target = MmWithUser>>(
    pin: impl FnMut() -> Option<P>,
    patience: &mut Patience,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> Result<Walked> {
    walk_pinned(pin, 0..usize::MAX, patience, table, visitor)
}

/// Walks the addresses of `range`, whose borders are those of pages, of a process that the caller
/// named, and waits for its mmap lock.
///
/// # Errors
///
/// Those of [`walk_while`]; [`EAGAIN`] if areas that are moved all the time had no end.
pub fn walk_range(
    mm: &MmWithUser,
    range: Range<usize>,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> Result {
    let mut patience = Patience::for_ever();
    match walk_pinned(|| Some(mm), range, &mut patience, table, visitor)?.end {
        End::LeftOut => Err(EAGAIN),
        End::Whole | End::Gone => Ok(()),
    }
}

fn walk_pinned<P: Deref<Target = MmWithUser>>(
    mut pin: impl FnMut() -> Option<P>,
    range: Range<usize>,
    patience: &mut Patience,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> Result<Walked> {
    let (mut from, mut longest_lock, mut areas) = (range.start, 0, None);
    let end = loop {
        sched::yield_unless_killed_or_frozen()?;
        visitor.prepare()?;
        let Some(mm) = pin() else {
            break End::Gone;
        };
        let areas = areas.get_or_insert_with(|| most_areas(&mm));
        let Some(guard) = mm::read_lock_within(&mm, patience)? else {
            break End::LeftOut;
        };
        let (next, held) = stretch(&guard, &mm, from..range.end, areas, table, visitor);
        longest_lock = held.max(longest_lock);
        match next {
            Some(_) if *areas == 0 => break End::LeftOut,
            Some(next) => from = next,
            None => break End::Whole,
        }
    };
    Ok(Walked { longest_lock, end })
}

/// How many areas a walk may come to before it is endless.
fn most_areas(mm: &MmWithUser) -> u64 {
    mm::area_count(mm).saturating_mul(2).saturating_add(AREAS)
}

/// Walks `range` as far as one hold of the lock goes, or `areas`, of which it takes off what it comes
/// to. Returns where to go on, and for how long the lock was held.
fn stretch(
    guard: &ReadGuard<'_>,
    mm: &MmWithUser,
    range: Range<usize>,
    areas: &mut u64,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> (Option<usize>, i64) {
    let mut pace = Pace::start(guard);
    let mut address = range.start;
    let next = loop {
        let Some(vma) = guard.find_vma(address) else {
            break None;
        };
        if address <= vma.start() {
            *areas = areas.saturating_sub(1);
        }
        address = address.max(vma.start());
        if address >= range.end {
            break None;
        }
        let end = vma.end().min(range.end);
        let wanted = match vma.flags() & flags::HUGETLB {
            0 => visitor.wants(vma),
            _ => Some(false),
        };
        let mut step = Step::Continue;
        match wanted {
            Some(true) => {}
            Some(false) => address = end,
            None => step = Step::Pause,
        }
        while address < end && step == Step::Continue {
            (address, step) = visit_slot(mm, vma, address..end, table, visitor);
            visitor.step();
            if pace.is_over() {
                step = Step::Pause;
            }
        }
        visitor.step();
        if step == Step::Pause || pace.is_over() || *areas == 0 {
            break Some(address);
        }
    };
    (next, pace.held())
}

/// For how long a stretch has lasted.
struct Pace<'a> {
    guard: &'a ReadGuard<'a>,
    clock: Instant<Monotonic>,
    steps: usize,
}

impl<'a> Pace<'a> {
    fn start(guard: &'a ReadGuard<'a>) -> Self {
        Self {
            guard,
            clock: Instant::now(),
            steps: 0,
        }
    }

    /// Whether it is time to give up the lock. The clock costs more than many a step, so only every
    /// [`STEPS`]th call looks at it.
    fn is_over(&mut self) -> bool {
        self.steps += 1;
        self.guard.is_contended() || (self.steps % STEPS == 0 && self.held() >= STRETCH_NS)
    }

    /// Nanoseconds since the start.
    fn held(&self) -> i64 {
        self.clock.elapsed().as_nanos()
    }
}

/// Visits what one entry of a page middle directory stands for (or a run of huge pages, a larger leaf
/// or a hole), as far as `range`, a part of the VMA, goes. Returns where to go on.
///
/// The mmap lock of `mm`, to which `vma` belongs, is held: `vma` is borrowed from its guard.
fn visit_slot(
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
            table.0.as_mut_ptr(),
            &mut count,
        )
    };
    let pages = next.saturating_sub(address) / PAGE_SIZE;
    let found = table.0.get(..count as usize).unwrap_or_default();
    let (level, values) = match slot {
        sys::KX_HOLE => return (next, Step::Continue),
        sys::KX_CORRUPT => {
            visitor.corrupt();
            return (next, Step::Continue);
        }
        sys::KX_TABLE => match table.copy(mm, address, pages) {
            Some(values) => (Level::Pte, values),
            // The table was exchanged meanwhile: look again.
            None => return (address, Step::Continue),
        },
        sys::KX_PMD => return visit_each(vma, address..next, found, visitor),
        _ => (Level::Pud, found),
    };
    let leaves = Leaves {
        start: address,
        values,
        level,
        pages: pages as u64,
    };
    (next, visitor.visit(vma, leaves))
}

/// Visits leaves of page middle directories one by one: those that map `range`, of which the first
/// and the last may reach beyond it. Returns where to go on.
fn visit_each(
    vma: &VmaRef,
    range: Range<usize>,
    values: &[u64],
    visitor: &mut impl Visitor,
) -> (usize, Step) {
    let mut start = range.start;
    for value in values {
        let next = (start / PMD_SIZE + 1).saturating_mul(PMD_SIZE);
        let next = next.min(range.end);
        let leaves = Leaves {
            start,
            values: core::slice::from_ref(value),
            level: Level::Pmd,
            pages: (next.saturating_sub(start) / PAGE_SIZE) as u64,
        };
        start = next;
        if visitor.visit(vma, leaves) == Step::Pause {
            return (start, Step::Pause);
        }
    }
    (start, Step::Continue)
}

impl Table {
    /// The entry of `address` in the table to which `pmd` pointed. `None` if the table is not there
    /// any more. The mmap lock of `mm` is held, and a VMA holds the address.
    pub(crate) fn entry(&mut self, mm: &MmWithUser, address: usize, pmd: u64) -> Option<u64> {
        *self.0.first_mut()? = pmd;
        self.copy(mm, address, 1)?.first().copied()
    }

    /// Copies entries of the table that the first entry here points to, `count` of them from that
    /// of `address` on. `None` if the table is not there any more.
    fn copy(&mut self, mm: &MmWithUser, address: usize, count: usize) -> Option<&[u64]> {
        let pmd = *self.0.first()?;
        let entries = self.0.get_mut(..count)?;
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
}
