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

pub use crate::leaves::{Leaves, Table};

use crate::leaves::visit_slot;
use core::ops::{Deref, Range};
use kernel::{
    mm::virt::flags,
    page::PAGE_SIZE,
    prelude::*,
    time::{Instant, Monotonic},
};
use kx_base::sched;
use kx_mm::mm::{self, AreaIdentity, MmWithUser, Patience, ReadGuard, VmaRef};
use model::pte::PAGES_PER_PMD;

/// How long the mmap lock is held at a stretch, in nanoseconds, plus [`STEPS`] steps of the walk
/// (the copy of one table and a visit of it, or a look at one VMA).
pub const STRETCH_NS: i64 = 250_000;

/// Steps between looks at the clock.
const STEPS: usize = 8;

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
    /// Called where the walk comes to a VMA, at `from`: whether its entries are wanted; `None` if
    /// [`Visitor::prepare`] must be called before that can be said. `from` is within the VMA if the
    /// walk began there, or if the VMA is what became of one that the walk had seen a part of.
    fn wants(&mut self, vma: &VmaRef, from: usize) -> Option<bool>;
    /// Called with the mmap lock held: must not sleep for long, allocate, or touch user memory.
    fn visit(&mut self, vma: &VmaRef, leaves: Leaves<'_>) -> Step;
    /// Called likewise at each step: a table, a huge page, a hole, or a VMA.
    #[inline]
    fn step(&mut self) {}
    /// Called likewise where a table is corrupt, so that what it maps, so many pages, cannot be told.
    /// The walk goes on behind it.
    fn corrupt(&mut self, _pages: u64) {}
    /// Called likewise for a wanted VMA of hugetlb pages, whose entries have rules of their own and
    /// are never visited.
    fn not_walked(&mut self, _pages: u64) {}
    /// Called likewise behind what was wanted of a VMA; `is_changed` if it is gone or another before
    /// the walk came to its end, so that some of it may have been missed.
    fn leave(&mut self, _is_changed: bool) {}
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
    /// The lock could not be had in time, or what is moved all the time had no end.
    LeftOut,
}

/// Steps that any walk may take: areas, tables, and holes, of which there may be one for each gigabyte
/// of addresses.
const STEPS_MORE: u64 = 1 << 20;

/// A walk that goes on where it stopped.
pub struct Walk {
    /// Where to go on.
    from: usize,
    end: usize,
    /// How many steps it may take before it is endless, once that is known.
    steps: Option<u64>,
    /// The wanted VMA within which it stopped.
    open: Option<AreaIdentity>,
    longest_lock: i64,
}

impl Walk {
    /// Over `range`, whose borders are those of pages.
    pub fn over(range: Range<usize>) -> Self {
        Self {
            from: range.start,
            end: range.end,
            steps: None,
            open: None,
            longest_lock: 0,
        }
    }

    /// The longest time, in nanoseconds, for which the mmap lock was held at a stretch.
    pub fn longest_lock(&self) -> i64 {
        self.longest_lock
    }

    /// Goes on for one stretch in the address space that `pin` pins for so long; `None` if there is
    /// more to come.
    ///
    /// # Errors
    ///
    /// Those of [`sched::yield_unless_killed_or_frozen`], of `pin` and of the visitor's `prepare`. The walk may go
    /// on after them.
    pub fn stretch<P: Deref<Target = MmWithUser>>(
        &mut self,
        pin: &mut impl FnMut() -> Result<Option<P>>,
        patience: &mut Patience,
        table: &mut Table,
        visitor: &mut impl Visitor,
    ) -> Result<Option<End>> {
        sched::yield_unless_killed_or_frozen()?;
        visitor.prepare()?;
        let Some(mm) = pin()? else {
            return Ok(Some(End::Gone));
        };
        let steps = *self.steps.get_or_insert_with(|| most_steps(&mm));
        let Some(guard) = mm::read_lock_within(&mm, patience)? else {
            return Ok(Some(End::LeftOut));
        };
        let mut hold = Hold {
            pace: Pace::start(&guard),
            steps,
            table,
        };
        let next = hold.walk(self.from..self.end, &mut self.open, visitor);
        self.steps = Some(hold.steps);
        self.longest_lock = hold.pace.held().max(self.longest_lock);
        Ok(match next {
            Some(_) if hold.steps == 0 => Some(End::LeftOut),
            Some(next) => {
                self.from = next;
                None
            }
            None => Some(End::Whole),
        })
    }
}

/// Walks all of an address space that is `pin`ned for each stretch anew, and let go after it: a walk
/// takes as long as the address space is large, and for so long nobody may be kept from ending. The
/// walk ends when there is nothing to be pinned any more.
///
/// # Errors
///
/// Those of [`Walk::stretch`].
pub fn walk_while<P: Deref<Target = MmWithUser>>(
    mut pin: impl FnMut() -> Option<P>,
    patience: &mut Patience,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> Result<Walked> {
    let mut walk = Walk::over(0..usize::MAX);
    loop {
        if let Some(end) = walk.stretch(&mut || Ok(pin()), patience, table, visitor)? {
            return Ok(Walked {
                longest_lock: walk.longest_lock,
                end,
            });
        }
    }
}

/// Walks the addresses of `range`, whose borders are those of pages, of a process that the caller
/// named, and waits for its mmap lock.
///
/// # Errors
///
/// Those of [`Walk::stretch`]; [`EAGAIN`] if what is moved all the time had no end.
pub fn walk_range(
    mm: &MmWithUser,
    range: Range<usize>,
    table: &mut Table,
    visitor: &mut impl Visitor,
) -> Result {
    let (mut walk, mut patience) = (Walk::over(range), Patience::for_ever());
    loop {
        match walk.stretch(&mut || Ok(Some(mm)), &mut patience, table, visitor)? {
            None => {}
            Some(End::LeftOut) => return Err(EAGAIN),
            Some(End::Whole | End::Gone) => return Ok(()),
        }
    }
}

/// How many steps a walk may take before it is endless. Each area is one, and each table of the address
/// space has at most as many as it has entries. All may double meanwhile, which is more than is likely;
/// but nobody may map and unmap ahead of the walk for days.
fn most_steps(mm: &MmWithUser) -> u64 {
    let tables = mm::page_table_bytes(mm) / PAGE_SIZE as u64;
    tables
        .saturating_mul(PAGES_PER_PMD)
        .saturating_add(mm::area_count(mm))
        .saturating_mul(2)
        .saturating_add(STEPS_MORE)
}

/// One hold of the lock.
struct Hold<'a> {
    pace: Pace<'a>,
    /// From which those are taken off that the walk takes.
    steps: u64,
    table: &'a mut Table,
}

impl Hold<'_> {
    /// Walks `range` as far as this hold goes. `open` is the wanted VMA within which the walk stopped,
    /// and stops. Returns where to go on.
    fn walk(
        &mut self,
        range: Range<usize>,
        open: &mut Option<AreaIdentity>,
        visitor: &mut impl Visitor,
    ) -> Option<usize> {
        let (guard, mut address) = (self.pace.guard, range.start);
        loop {
            let vma = guard
                .find_vma(address)
                .filter(|vma| vma.start() < range.end);
            let vma = vma.filter(|_| address < range.end);
            if open.is_some() && *open != vma.map(AreaIdentity::of) {
                *open = None;
                visitor.leave(true);
            }
            let vma = vma?;
            address = address.max(vma.start());
            let end = vma.end().min(range.end);
            let wanted = match open {
                Some(_) => Some(true),
                None => visitor.wants(vma, address),
            };
            let mut step = Step::Continue;
            match wanted {
                Some(true) => {
                    *open = Some(AreaIdentity::of(vma));
                    (address, step) = self.visit(vma, address..end, visitor);
                    if address >= end {
                        *open = None;
                        visitor.leave(false);
                    }
                }
                Some(false) => address = end,
                None => step = Step::Pause,
            }
            self.step(visitor);
            if step == Step::Pause || self.pace.is_over() || self.steps == 0 {
                return Some(address);
            }
        }
    }

    /// Visits `range`, a part of a VMA, as far as this hold goes. Returns where to go on.
    fn visit(
        &mut self,
        vma: &VmaRef,
        range: Range<usize>,
        visitor: &mut impl Visitor,
    ) -> (usize, Step) {
        let (mut address, mut step) = (range.start, Step::Continue);
        if vma.flags() & flags::HUGETLB != 0 {
            visitor.not_walked((range.end.saturating_sub(address) / PAGE_SIZE) as u64);
            return (range.end, step);
        }
        let mm = self.pace.guard.mm();
        while address < range.end && step == Step::Continue {
            (address, step) = visit_slot(mm, vma, address..range.end, self.table, visitor);
            self.step(visitor);
            if self.pace.is_over() || self.steps == 0 {
                step = Step::Pause;
            }
        }
        (address, step)
    }

    fn step(&mut self, visitor: &mut impl Visitor) {
        self.steps = self.steps.saturating_sub(1);
        visitor.step();
    }
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
