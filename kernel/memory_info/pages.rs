// SPDX-License-Identifier: GPL-2.0
//! The pages of a name: which count as present, and which are candidates for being duplicates.
//!
//! Candidates are collected as frame numbers, 16 bytes each, and nothing is held while they wait:
//! see `kx_frame` for why.

use kernel::{
    mm::virt::{flags, VmaRef},
    prelude::*,
    sync::aref::ARef,
};
use kx_base::{
    chunked::{Chunked, SortSpace},
    sched,
};
use kx_frame::Memory;
use kx_mm::mm::{self, MmWithUser, Patience};
use kx_page::walk::{self, End, Leaves, Step, Table, Visitor};
use model::{
    group::{candidate, group, unite},
    memory_info::{Figures, Look},
    pte::{Entry, Level, PAGES_PER_PMD},
    sort::Pacer,
};

/// Candidates of the largest step of a walk: a table of entries, or a huge page.
const STEP: usize = PAGES_PER_PMD as usize;
/// Candidates for which there is room before each stretch of a walk.
const ROOM: usize = 4 * STEP;
/// Candidates that are collected before those of the same frame are united. Grows with the distinct
/// frames, so that mapping the same frames again and again costs time but no memory.
const UNITE_AT: usize = 1 << 18;
/// How long a snapshot waits for mmap locks, in nanoseconds: forty seconds. Anybody can make a process
/// whose lock nobody gets. The first one has a quarter of that, each further one of what is left,
const WAITING: u64 = 40_000_000_000;
/// but this at least: four milliseconds.
const LEAST_WAITING: u64 = 4_000_000;
/// Waiting for so many nanoseconds takes as long as a unit of work.
const WAITING_PER_WORK: u64 = 1000;
/// More cannot be sorted.
const MAX: usize = u32::MAX as usize;

/// Adds up the figures of one name after the other, in memory that is used again.
pub(crate) struct Pages<'a> {
    memory: &'a Memory,
    figures: Figures,
    candidates: Chunked<u128>,
    unite_at: usize,
    /// What the VMA at hand says about its pages.
    vma: Permissions,
    /// Pages of the name that were on their way from one frame to another.
    moving: u64,
    /// How much there was to look at for the name, in pages or what takes as long.
    work: u64,
    pfn_mask: u64,
    space: SortSpace,
    longest_lock: i64,
    /// For how much longer, in nanoseconds, all mmap locks together may be waited for.
    waiting: u64,
    /// Address spaces of the name that were left out.
    left_out: u64,
}

/// What a step of a walk counts for: most of the steps are copies of a table.
const STEP_WORK: u64 = 8;

impl<'a> Pages<'a> {
    pub(crate) fn new(memory: &'a Memory) -> Result<Self> {
        Ok(Self {
            memory,
            figures: Figures::default(),
            candidates: Chunked::new(),
            unite_at: UNITE_AT,
            vma: Permissions::default(),
            moving: 0,
            work: 0,
            pfn_mask: walk::pfn_mask(),
            space: SortSpace::new()?,
            longest_lock: 0,
            waiting: WAITING,
            left_out: 0,
        })
    }

    /// Adds the address space that `pin` pins, as long as there is something to be pinned. One that
    /// ends meanwhile adds nothing to the sums, nor does one that is left out; what was seen of it is
    /// compared all the same.
    pub(crate) fn add(
        &mut self,
        mut pin: impl FnMut() -> Option<ARef<MmWithUser>>,
        table: &mut Table,
    ) -> Result {
        let (before, mut total) = (self.figures, 0);
        let pin = || {
            let mm = pin()?;
            total = mm::total_vm(&mm);
            Some(mm)
        };
        let share = (self.waiting / 4).max(LEAST_WAITING);
        let mut patience = Patience::of(share);
        let walked = walk::walk_while(pin, &mut patience, table, self)?;
        let waited = share.saturating_sub(patience.left());
        self.waiting = self.waiting.saturating_sub(waited);
        self.work = self.work.saturating_add(waited / WAITING_PER_WORK);
        self.longest_lock = walked.longest_lock.max(self.longest_lock);
        match walked.end {
            End::Whole => self.figures.total = self.figures.total.saturating_add(total),
            End::Gone => self.figures = before,
            End::LeftOut => {
                self.figures = before;
                self.left_out = self.left_out.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Compares the candidates of the name; returns its figures and starts anew.
    pub(crate) fn finish(&mut self) -> Result<Look> {
        let mut pacer = Pacer::new(sched::breathe_or_freeze);
        let found = group(
            &mut self.candidates,
            self.memory,
            &mut self.space.lend(),
            &mut pacer,
        )?;
        self.candidates.truncate(0);
        self.unite_at = UNITE_AT;
        let mut figures = core::mem::take(&mut self.figures);
        figures.may_be_shared = found.frames;
        figures.nb_group = found.groups;
        Ok(Look {
            figures,
            unsettled: core::mem::take(&mut self.moving).saturating_add(found.lost),
            left_out: core::mem::take(&mut self.left_out),
            work: core::mem::take(&mut self.work),
        })
    }

    /// The longest time, in nanoseconds, for which an mmap lock was held at a stretch.
    pub(crate) fn longest_lock(&self) -> i64 {
        self.longest_lock
    }

    /// Takes note of a leaf of which `pages` pages belong to the VMA, the first at `start`.
    #[inline]
    fn note(&mut self, entry: Entry, start: usize, pages: u64) {
        if !walk::is_in_rss(entry) {
            return;
        }
        self.figures.valid = self.figures.valid.saturating_add(pages);
        if self.vma.allows_candidate(entry) {
            let within = (start as u64 >> 12) % entry.level.pages();
            let first = entry.pfn(self.pfn_mask) + within;
            for pfn in first..first + pages {
                self.candidates.push_within_room(candidate(pfn));
            }
        } else if walk::is_moving(entry) {
            // No candidate now, but perhaps one when it has arrived.
            self.moving = self.moving.saturating_add(pages);
        }
    }
}

/// What a VMA says about its pages, beyond their entries.
#[derive(Default)]
struct Permissions {
    /// Ordinary memory, which its entries describe truly.
    is_ordinary: bool,
    is_writable: bool,
}

impl Permissions {
    fn of(vma: &VmaRef) -> Self {
        Self {
            is_ordinary: vma.flags() & (flags::IO | flags::PFNMAP) == 0
                && !mm::is_shadow_stack(vma),
            is_writable: vma.flags() & flags::WRITE != 0,
        }
    }

    /// Whether what the leaf maps is mapped read-only. An entry that the processor may not use does
    /// not tell: it is read-only in a VMA that is, be it `PROT_NONE` or waiting for a NUMA hint.
    fn allows_candidate(&self, entry: Entry) -> bool {
        self.is_ordinary
            && entry.is_present()
            && !entry.is_writable()
            && (entry.is_accessible() || !self.is_writable)
            && entry.level != Level::Pud
    }
}

impl Visitor for Pages<'_> {
    fn prepare(&mut self) -> Result {
        if self.candidates.len() >= self.unite_at {
            let mut pacer = Pacer::new(sched::breathe_or_freeze);
            unite(&mut self.candidates, &mut self.space.lend(), &mut pacer)?;
            self.unite_at = UNITE_AT.saturating_add(self.candidates.len().saturating_mul(2));
        }
        if self.candidates.len() > MAX - ROOM {
            return Err(ENOMEM);
        }
        self.candidates.reserve(ROOM)
    }

    fn wants(&mut self, vma: &VmaRef) -> Option<bool> {
        self.vma = Permissions::of(vma);
        Some(true)
    }

    #[inline]
    fn step(&mut self) {
        self.work = self.work.saturating_add(STEP_WORK);
    }

    fn visit(&mut self, _vma: &VmaRef, leaves: Leaves<'_>) -> Step {
        let before = self.figures.valid;
        if leaves.level == Level::Pte {
            for entry in leaves.entries().filter(|entry| !entry.is_none()) {
                self.note(entry, 0, 1);
            }
        } else {
            for entry in leaves.entries() {
                self.note(entry, leaves.start, leaves.pages);
            }
        }
        let found = self.figures.valid.saturating_sub(before);
        self.work = self.work.saturating_add(found);
        if self.candidates.room() < STEP {
            Step::Pause
        } else {
            Step::Continue
        }
    }
}
