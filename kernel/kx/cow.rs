// SPDX-License-Identifier: GPL-2.0
//! Copy-on-write faults of programs, by memory area.
//!
//! A program is known by its name (`comm`). Executing it under that name begins a new *generation*:
//! all counts are zero, and the address space of that execution is the *root*, whose areas are
//! reported. Children that are forked from a member belong to the generation, too, and their faults
//! are entered by address as if they were the root's, while the owner of their memory bears the
//! name. Members of earlier generations are not counted any more.
//!
//! ```text
//!   fault ──► MmSet: whose? ──► Program ──► RawLock<Generation> ──► Ledger
//!             (no lock)         (by index)   one per program
//! ```
//!
//! # Locks
//!
//! In this order: an mmap lock or a page table's lock; the `RawLock` of one program. Under it
//! nothing is called but the ledger (one hash) and, when a program begins, ends or is reported, the
//! list of areas: at most 128 of them and 512 buckets.
//!
//! # Cost
//!
//! For an address space that is not a member: the probe, and one cache line. For a member also the
//! owner's name, the facts of the page, one uncontended lock and one look at the ledger. Memory: 64
//! KiB for the members, 32 KiB for each program.
//!
//! A program that was running before its name was tracked is not counted until it is executed
//! again.

mod report;

use crate::{
    mm::AreasVersion,
    mmset::{ExitingMm, MmId, MmSet},
    new_raw_lock,
    rawlock::RawLock,
    task::{self, Comm},
    watch::{Fault, Watch, Watcher},
};
use kernel::{
    mm::Mm,
    prelude::*,
    sync::{Arc, SetOnce},
};
use model::{
    cow::{Kind, Outcome},
    generation::Membership,
    ledger::{index_len, Bucket, Ledger},
};
pub use report::{Areas, Report, Tracked};

/// Most programs that can be tracked.
pub const MAX_PROGRAMS: usize = 1024;

/// Most areas that are reported.
pub const MAX_AREAS: usize = 128;

/// Most areas whose faults are told apart.
const BUCKETS: usize = 512;

/// Places of the table of programs: a power of two, at most half of them taken.
const PLACES: usize = 2 * MAX_PROGRAMS;

/// Most processes that can be members at the same time.
const MEMBERS: usize = 3584;

/// Where the root of a generation is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    /// The program was not executed since it is tracked.
    Never,
    /// It is a member of the set, which keeps it.
    Alive(MmId),
    /// It has ended; its areas are kept.
    Exited,
    /// There were too many members for it.
    Lost,
    /// The program is not tracked any more.
    Closed,
}

struct Generation {
    number: u32,
    root: Root,
    /// The root's areas when it ended, or at the last report.
    areas: Areas,
    /// Of which version they are, while the root is alive.
    version: Option<AreasVersion>,
    ledger: Ledger<KVVec<Bucket>, KVVec<u16>>,
    pending: Pending,
}

/// What the last fault says about the next one of the same task.
///
/// There is room for one task; if two threads of a program do such rare things at the same moment,
/// the first one's second event is taken for an ordinary one.
#[derive(Clone, Copy)]
struct Pending {
    /// 0 for nobody.
    task: usize,
    /// The address at which the huge zero page may be split. Without one: the task unshares a page,
    /// and a take-over is not a write's.
    huge_zero: Option<u64>,
}

impl Pending {
    const NONE: Self = Self {
        task: 0,
        huge_zero: None,
    };

    fn now(huge_zero: Option<u64>) -> Self {
        Self {
            task: task::current_id(),
            huge_zero,
        }
    }
}

impl Generation {
    fn begin(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.version = None;
        self.ledger.clear();
        self.pending = Pending::NONE;
        self.number
    }

    #[inline]
    fn enter(&mut self, fault: &Fault<'_>, outcome: Outcome) {
        match outcome {
            Outcome::Count(kind) if self.pending.task == 0 => {
                self.ledger.count(fault.area_start(), kind);
            }
            _ => self.enter_rare(fault, outcome),
        }
    }

    fn enter_rare(&mut self, fault: &Fault<'_>, outcome: Outcome) {
        let start = fault.area_start();
        let pending = core::mem::replace(&mut self.pending, Pending::NONE);
        let goes_on = pending.task == task::current_id();
        match outcome {
            Outcome::Nothing => {}
            Outcome::Unshare => self.pending = Pending::now(None),
            Outcome::HugeZero => {
                self.pending = Pending::now(fault.address());
                self.ledger.count(start, Kind::ZeroFilled);
            }
            Outcome::Count(Kind::ZeroFilled)
                if goes_on
                    && pending.huge_zero.is_some()
                    && pending.huge_zero == fault.address() =>
            {
                self.ledger.count(start, Kind::Split);
            }
            Outcome::Count(kind) => self.ledger.count(start, kind),
            Outcome::Takeover { .. } if goes_on && pending.huge_zero.is_none() => {}
            Outcome::Takeover { was, is_remote } => match (was, is_remote) {
                (Kind::Copied, true) => {}
                (was, false) => self.ledger.turn_into_reuse(start, was),
                (_, true) => self.ledger.count(start, Kind::Remote),
            },
        }
    }
}

/// A program that is tracked.
#[pin_data]
struct Program {
    comm: Comm,
    #[pin]
    generation: RawLock<Generation>,
}

impl Program {
    fn new(comm: Comm) -> Result<Arc<Self>> {
        let buckets = KVVec::from_elem(Bucket::EMPTY, BUCKETS, GFP_KERNEL_ACCOUNT)?;
        let index = KVVec::from_elem(0_u16, index_len(BUCKETS), GFP_KERNEL_ACCOUNT)?;
        let generation = Generation {
            number: 0,
            root: Root::Never,
            areas: Areas::new()?,
            version: None,
            ledger: Ledger::new(buckets, index).ok_or(EINVAL)?,
            pending: Pending::NONE,
        };
        Arc::pin_init(
            pin_init!(Self {
                comm,
                generation <- new_raw_lock!(generation, "kx::cow generation"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }
}

/// What probes and callers share.
struct Programs {
    /// By the hash of their names; filled by [`Tracking::track`], never emptied.
    table: KVVec<SetOnce<Arc<Program>>>,
    members: MmSet,
}

impl Programs {
    fn new() -> Result<Self> {
        let mut table = KVVec::with_capacity(PLACES, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..PLACES {
            table.push(SetOnce::new(), GFP_KERNEL_ACCOUNT)?;
        }
        let members = MmSet::new(MEMBERS)?;
        Ok(Self { table, members })
    }

    /// The place of a program, or the free one where it belongs.
    fn place(&self, comm: &Comm) -> Option<(usize, &SetOnce<Arc<Program>>)> {
        let first = comm.hash() as usize;
        (0..PLACES)
            .map(|step| first.wrapping_add(step) & (PLACES - 1))
            .filter_map(|place| Some((place, self.table.get(place)?)))
            .find(|(_, slot)| slot.as_ref().is_none_or(|program| program.comm == *comm))
    }

    fn find(&self, comm: &Comm) -> Option<(u32, &Arc<Program>)> {
        let (place, slot) = self.place(comm)?;
        Some((u32::try_from(place).ok()?, slot.as_ref()?))
    }

    #[inline(never)]
    fn fault_of_member(&self, fault: &Fault<'_>, tag: u64) {
        let membership = Membership::unpack(tag);
        let Some(program) = self.program(membership) else {
            return;
        };
        let outcome = fault.outcome(&program.comm);
        if outcome == Outcome::Nothing {
            return;
        }
        let mut generation = program.generation.lock();
        if generation.number == membership.generation {
            generation.enter(fault, outcome);
        }
    }

    fn program(&self, membership: Membership) -> Option<&Program> {
        let program = self.table.get(membership.program as usize)?;
        program.as_ref().map(|program| &**program)
    }

    fn program_of(&self, mm: MmId) -> Option<(Membership, &Program)> {
        let membership = Membership::unpack(self.members.get(mm)?);
        Some((membership, self.program(membership)?))
    }
}

impl Drop for Programs {
    /// The references of the members are given up after this; no root may be named any more.
    fn drop(&mut self) {
        for program in self.table.iter().filter_map(SetOnce::as_ref) {
            program.generation.lock().root = Root::Closed;
        }
    }
}

impl Watcher for Programs {
    /// Called for every fault of every process: what the others pay is decided here.
    #[inline(always)]
    fn fault<'a>(&self, mm: MmId, fault: impl FnOnce() -> Fault<'a>) {
        if let Some(tag) = self.members.get(mm) {
            self.fault_of_member(&fault(), tag);
        }
    }

    fn exec(&self, mm: &Mm, comm: Comm) {
        let Some((place, program)) = self.find(&comm) else {
            return;
        };
        let mut generation = program.generation.lock();
        let membership = Membership {
            program: place,
            generation: generation.begin(),
        };
        generation.root = match self.members.insert(mm, membership.pack()) {
            Ok(()) => Root::Alive(MmId::of(mm)),
            Err(_) => Root::Lost,
        };
    }

    fn fork(&self, parent: MmId, child: &Mm) {
        let Some((membership, program)) = self.program_of(parent) else {
            return;
        };
        let generation = program.generation.lock();
        if generation.number == membership.generation {
            // A child too many is not counted.
            let _ = self.members.insert(child, membership.pack());
        }
    }

    fn exit(&self, mm: &ExitingMm<'_>) {
        let Some((_, program)) = self.program_of(mm.id()) else {
            return;
        };
        let mut generation = program.generation.lock();
        if generation.root == Root::Alive(mm.id()) {
            generation.areas.read_last(mm);
            generation.root = Root::Exited;
        }
        drop(generation);
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
    /// [`ENOMEM`]; [`ENOENT`] if the kernel lacks a function that must be hooked.
    pub fn new() -> Result<Self> {
        let programs = Arc::new(Programs::new()?, GFP_KERNEL)?;
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
        slot.populate(program);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The programs of a name. The result outlives the tracking.
    pub fn program(&self, comm: &Comm) -> Option<Tracked> {
        let (_, program) = self.programs.find(comm)?;
        Some(Tracked(program.clone()))
    }

    /// All programs, in no particular order.
    pub fn programs(&self) -> impl Iterator<Item = Tracked> + '_ {
        let programs = self.programs.table.iter().filter_map(SetOnce::as_ref);
        programs.map(|program| Tracked(program.clone()))
    }
}
