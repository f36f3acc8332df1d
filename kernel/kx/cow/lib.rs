// SPDX-License-Identifier: GPL-2.0
//! Copy-on-write faults of programs, by memory area.
//!
//! `shim.c` is as in the other rooms, but for `kx_count_copy`, which also counts what it recognises:
//! see [`till`].
//!
//! A program is known by its name (`comm`). Executing it under that name begins a new *generation*:
//! all counts are zero, and the address space of that execution is the *root*, whose areas are
//! reported. Children that are forked from a member belong to the generation, too, and their faults
//! are entered by address as if they were the root's, while the owner of their memory bears the
//! name. Members of earlier generations are not counted any more.
//!
//! ```text
//!   fault ──► MmSet: whose? ──► Program ──► Till ──► RawLock<Generation> ──► Ledger
//!             (no lock)         (by index)  (no lock)  one per program
//! ```
//!
//! # Locks
//!
//! In this order: an mmap lock or a page table's lock; the `RawLock` of one program; that of the
//! members. Under the program's nothing is called but the ledger (one hash, and seldom a few looks at
//! the root's areas without a lock); buckets and areas are copied out of it, or looked at a few at a
//! time.
//!
//! # Cost
//!
//! For an address space that is not a member: the probe, and one cache line. For a member's plain
//! copy also the owner's name, the facts of the page and one atomic addition; for its other faults
//! an uncontended lock and one look at the ledger instead. Memory: 2 MiB for the members, 40 KiB
//! for each program.
//!
//! A program that was running before its name was tracked is not counted until it is executed
//! again.

mod generation;
mod lockless;
mod mmset;
mod report;
mod root;
mod sys;
mod till;
mod watch;

use crate::{
    lockless::OnceArc,
    mmset::{ExitingMm, MmId, MmSet},
    till::Till,
    watch::{Fault, PageId, Watch, Watcher},
};
use generation::{Generation, Settled};
use kernel::{
    mm::Mm,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow,
    },
};
use kx_base::{new_raw_lock, rawlock::RawLock};
use kx_mm::task::Comm;
use model::{cow::Outcome, generation::Membership, members::Found};
pub use report::{Report, Tracked};
use root::Root;
pub use root::MAX_AREAS;

/// Most programs that can be tracked.
pub const MAX_PROGRAMS: usize = 1024;

/// Most areas whose faults are told apart.
const BUCKETS: usize = 512;

/// Places of the table of programs: a power of two, at most half of them taken.
const PLACES: usize = 2 * MAX_PROGRAMS;

/// A program that is tracked.
#[pin_data]
struct Program {
    till: Till,
    /// Processes of the last generation that could not become members. Changes under the lock.
    lost: Atomic<u64>,
    #[pin]
    generation: RawLock<Generation>,
}

impl Program {
    fn new(comm: Comm) -> Result<Arc<Self>> {
        let generation = Generation::new()?;
        Arc::pin_init(
            pin_init!(Self {
                till <- Till::new(comm),
                lost: Atomic::new(0),
                generation <- new_raw_lock!(generation, "kx::cow generation"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }
}

/// What probes and callers share.
///
/// # Invariants
///
/// The tag of each member is a membership whose program is the number of a filled place.
#[pin_data(PinnedDrop)]
struct Programs {
    /// By the hash of their names; filled by [`Tracking::track`], never emptied.
    table: KVVec<OnceArc<Program>>,
    #[pin]
    members: MmSet,
}

impl Programs {
    fn new() -> Result<impl PinInit<Self>> {
        let mut table = KVVec::with_capacity(PLACES, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..PLACES {
            table.push(OnceArc::new(), GFP_KERNEL_ACCOUNT)?;
        }
        let members = MmSet::new(PLACES, MAX_PROGRAMS)?;
        Ok(pin_init!(Self { table, members <- members }))
    }

    /// The place of a program, or the free one where it belongs.
    fn place(&self, comm: &Comm) -> Option<(usize, &OnceArc<Program>)> {
        let first = comm.hash() as usize;
        (0..PLACES)
            .map(|step| first.wrapping_add(step) & (PLACES - 1))
            .filter_map(|place| Some((place, self.table.get(place)?)))
            .find(|(_, slot)| slot.get().is_none_or(|program| program.till.comm() == comm))
    }

    fn find(&self, comm: &Comm) -> Option<(u32, ArcBorrow<'_, Program>)> {
        let (place, slot) = self.place(comm)?;
        Some((u32::try_from(place).ok()?, slot.get()?))
    }

    /// A fault that was not counted at once: a member's, or of somebody who has to be looked for.
    #[inline(never)]
    fn enter(&self, fault: Fault<'_>) {
        // Again: keeping it would cost those who need not come here.
        let Some((membership, program)) = self.program_of(fault.mm()) else {
            return;
        };
        let outcome = fault.outcome(program.till.comm());
        if outcome == Outcome::Nothing {
            return;
        }
        let mut generation = program.generation.lock();
        if generation.number == membership.generation {
            generation.enter(&program.till, fault, outcome);
        }
    }

    /// As [`Self::program`], without a look whether it is there.
    ///
    /// # Safety
    ///
    /// The membership must be a member's.
    #[inline(always)]
    unsafe fn program_of_member(&self, membership: Membership) -> &Program {
        // SAFETY: By the invariant there is such a place, and it is filled.
        unsafe {
            self.table
                .get_unchecked(membership.program as usize)
                .get_unchecked()
        }
    }

    fn program(&self, membership: Membership) -> Option<ArcBorrow<'_, Program>> {
        self.table.get(membership.program as usize)?.get()
    }

    fn program_of(&self, mm: MmId) -> Option<(Membership, ArcBorrow<'_, Program>)> {
        let membership = self.members.get(mm)?;
        Some((membership, self.program(membership)?))
    }
}

#[pinned_drop]
impl PinnedDrop for Programs {
    /// The references of the members are given up after this; no root may be named any more.
    fn drop(self: Pin<&mut Self>) {
        for program in self.table.iter().filter_map(OnceArc::get) {
            program.generation.lock().root = Root::Closed;
        }
    }
}

impl Watcher for Programs {
    /// Called for every fault of every process: what the others pay is decided here.
    #[inline(always)]
    fn fault(&self, fault: Fault<'_>) {
        let membership = match self.members.look(fault.mm()) {
            Found::Here(tag) => Membership::unpack(tag),
            Found::Elsewhere => return self.enter(fault),
            Found::Nowhere => return,
        };
        // SAFETY: By the invariant.
        let program = unsafe { self.program_of_member(membership) };
        if let Err(fault) = fault.count(&program.till, membership.generation) {
            self.enter(fault);
        }
    }

    fn swap_freed(&self, mm: MmId, page: PageId, is_mapped: bool) {
        let Some((membership, program)) = self.program_of(mm) else {
            return;
        };
        // As a rule nothing is expected: whole processes come here when they end or are swapped in.
        if !program.till.is_resting() {
            return;
        }
        let mut generation = program.generation.lock();
        if generation.number == membership.generation {
            generation.swap_freed(&program.till, page, is_mapped);
        }
    }

    fn exec(&self, mm: &Mm, comm: Comm) {
        let Some((place, program)) = self.find(&comm) else {
            return;
        };
        let mut generation = program.generation.lock();
        let membership = Membership {
            program: place,
            generation: generation.begin(&program.till),
        };
        let joined = self.members.insert(mm, membership);
        program.lost.store(u64::from(joined.is_err()), Relaxed);
        generation.root = match joined {
            Ok(()) => Root::Alive(MmId::of(mm)),
            Err(_) => Root::Lost,
        };
    }

    fn fork(&self, parent: MmId, child: &Mm) {
        let Some((membership, program)) = self.program_of(parent) else {
            return;
        };
        let generation = program.generation.lock();
        if generation.number == membership.generation
            && self.members.insert(child, membership).is_err()
        {
            program.lost.fetch_add(1, Relaxed);
        }
    }

    fn exit(&self, mm: &ExitingMm<'_>) {
        let Some((_, program)) = self.program_of(mm.id()) else {
            return;
        };
        let mut settled = Settled::NOTHING;
        while program
            .generation
            .lock()
            .end(&program.till, mm, &mut settled)
        {}
        self.members.remove(mm);
    }
}

/// Programs are tracked, and the kernel is hooked, as long as the value lives.
pub struct Tracking {
    // Dropped first: no probe runs when the programs go.
    _watch: Watch<Programs>,
    programs: Arc<Programs>,
    count: usize,
}

impl Tracking {
    /// Hooks the kernel; nothing is tracked yet.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; [`ENOENT`] if the kernel lacks a function that must be hooked; [`EBUSY`] if tracing
    /// is switched off.
    pub fn new() -> Result<Self> {
        let programs = Arc::pin_init(Programs::new()?, GFP_KERNEL)?;
        Ok(Self {
            _watch: Watch::new(&programs)?,
            programs,
            count: 0,
        })
    }

    /// Tracks the programs of a name. Nothing changes if they are tracked already.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], also if there are [`MAX_PROGRAMS`] names.
    pub fn track(&mut self, comm: Comm) -> Result {
        if self.programs.find(&comm).is_some() {
            return Ok(());
        }
        if self.count >= MAX_PROGRAMS {
            return Err(ENOMEM);
        }
        let program = Program::new(comm)?;
        let (_, slot) = self.programs.place(&comm).ok_or(ENOMEM)?;
        slot.fill(program);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The programs of a name. The result outlives the tracking.
    pub fn program(&self, comm: &Comm) -> Option<Tracked> {
        let (_, program) = self.programs.find(comm)?;
        Some(Tracked(program.into()))
    }

    /// All programs, in no particular order.
    pub fn programs(&self) -> impl Iterator<Item = Tracked> + '_ {
        let programs = self.programs.table.iter().filter_map(OnceArc::get);
        programs.map(|program| Tracked(program.into()))
    }
}
