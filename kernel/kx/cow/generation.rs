// SPDX-License-Identifier: GPL-2.0
//! What is counted for one execution of a program, under the program's lock.

use super::{
    root::{Asked, AskedLast, Kept, Root},
    BUCKETS,
};
use crate::{
    fast_counter::FastCounter,
    mmset::ExitingMm,
    watch::{Fault, PageId},
};
use kernel::prelude::*;
use kx_mm::{mm::AreasVersion, task};
use model::{
    cow::{Kind, Outcome},
    ledger::{index_len, Bucket, Entered, Ledger},
};

/// Buckets that are looked at in one go where nobody may wait long.
const LOOKS_AT_ONCE: usize = 16;

/// How far the end of a root is.
pub(super) struct Settled {
    /// The bucket that is looked at next.
    next: usize,
    /// Looks that are still to be made: as many as there can be buckets. Others may add new ones all the
    /// time, which would never end; what they add is told by the areas that are kept.
    left: usize,
}

impl Settled {
    pub(super) const NOTHING: Self = Self {
        next: 0,
        left: BUCKETS,
    };
}

pub(super) struct Generation {
    /// Never 0 from the first execution on: a paused counter has that number.
    pub(super) number: u32,
    pub(super) root: Root,
    /// The root's areas when it ended, or at the last report.
    pub(super) areas: Kept,
    /// Of which version they are, while the root is alive.
    pub(super) version: Option<AreasVersion>,
    /// Without the copies that are in the fast counter. It has a bucket for each area for which that is open.
    ledger: Ledger<KVVec<Bucket>, KVVec<u16>>,
    pending: Pending,
}

/// What the last fault says about the next event of the same task.
///
/// There is room for one task; if two threads of a program do such rare things at the same moment,
/// the first one's second event is taken for an ordinary one.
#[derive(Clone, Copy)]
struct Pending {
    /// 0 for nobody.
    task: usize,
    what: Expected,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The huge zero page may be split, for a fault at this address.
    Split(Option<u64>),
    /// The task unshares a page: a take-over is not a write's.
    Unshared,
    /// The swap cache may let go of this page, which was counted as copied in the area that begins
    /// there. Then it is taken over.
    Swap(PageId, u64),
}

impl Pending {
    const NONE: Self = Self {
        task: 0,
        what: Expected::Unshared,
    };

    fn now(what: Expected) -> Self {
        Self {
            task: task::current_id(),
            what,
        }
    }
}

impl Generation {
    /// Before the first execution.
    pub(super) fn new() -> Result<Self> {
        let buckets = KVVec::from_elem(Bucket::EMPTY, BUCKETS, GFP_KERNEL_ACCOUNT)?;
        let index = KVVec::from_elem(0_u16, index_len(BUCKETS), GFP_KERNEL_ACCOUNT)?;
        Ok(Self {
            number: 0,
            root: Root::Never,
            areas: Kept::new()?,
            version: None,
            ledger: Ledger::new(buckets, index).ok_or(EINVAL)?,
            pending: Pending::NONE,
        })
    }

    /// Begins the next one.
    pub(super) fn begin(&mut self, counter: &FastCounter) -> u32 {
        self.number = self.number.wrapping_add(1).max(1);
        self.version = None;
        self.ledger.clear();
        self.pending = Pending::NONE;
        counter.begin(self.number);
        self.number
    }

    /// The counts, but for what is in the fast counter.
    pub(super) fn ledger(&self) -> &Ledger<KVVec<Bucket>, KVVec<u16>> {
        &self.ledger
    }

    /// Brings what is in the fast counter to the ledger.
    pub(super) fn collect(&mut self, counter: &FastCounter) {
        counter.collect(|start, copies| self.add_copies(counter, start, copies));
    }

    fn count(&mut self, counter: &FastCounter, fault: Fault<'_>, kind: Kind) -> Entered {
        let start = fault.area_start();
        let mut root = Asked::new(self.root, &self.areas, counter).shown(fault.mm(), start);
        self.ledger.count(start, kind, 1, &mut root)
    }

    /// Of the fast counter.
    fn add_copies(&mut self, counter: &FastCounter, start: u64, copies: u64) {
        let mut root = Asked::new(self.root, &self.areas, counter);
        self.ledger.count(start, Kind::Copied, copies, &mut root);
    }

    /// Does a part of what is to be done at the end of an address space, if that is the root: keeps
    /// its areas, and gives up what was counted for others. Returns whether there is more to do;
    /// `settled` says how far the ledger is.
    pub(super) fn end(
        &mut self,
        counter: &FastCounter,
        mm: &ExitingMm<'_>,
        settled: &mut Settled,
    ) -> bool {
        if self.root == Root::Alive(mm.id()) {
            self.root = Root::Ending(mm.id());
            self.version = None;
            self.areas.set(&[]);
        } else if self.root != Root::Ending(mm.id()) {
            return false;
        }
        if self.areas.read_on(mm) {
            return true;
        }
        let mut root = AskedLast { mm, counter };
        if let Some(next) = self.ledger.settle(settled.next, LOOKS_AT_ONCE, &mut root) {
            settled.next = next;
            settled.left = settled.left.saturating_sub(LOOKS_AT_ONCE);
            if settled.left > 0 {
                return true;
            }
        }
        self.root = Root::Exited;
        false
    }

    /// Enters a fault that was not counted in the fast counter.
    #[inline]
    pub(super) fn enter(&mut self, counter: &FastCounter, fault: Fault<'_>, outcome: Outcome) {
        match outcome {
            Outcome::Count(kind) if self.pending.task == 0 => {
                let start = fault.area_start();
                let entered = self.count(counter, fault, kind);
                if kind == Kind::Copied && entered == Entered::There {
                    counter.open(start, |start, copies| {
                        self.add_copies(counter, start, copies)
                    });
                }
            }
            _ => self.enter_rare(counter, fault, outcome),
        }
    }

    fn enter_rare(&mut self, counter: &FastCounter, fault: Fault<'_>, outcome: Outcome) {
        let start = fault.area_start();
        let expected = self.expected(counter);
        match outcome {
            Outcome::Nothing => {}
            Outcome::Unshare => self.expect(counter, Expected::Unshared),
            Outcome::HugeZero => {
                self.count(counter, fault, Kind::ZeroFilled);
                self.expect(counter, Expected::Split(fault.address()));
            }
            Outcome::Swap => {
                self.count(counter, fault, Kind::Copied);
                if let Some(page) = fault.swap_page() {
                    self.expect(counter, Expected::Swap(page, start));
                }
            }
            Outcome::Count(kind) => {
                let is_split = kind == Kind::ZeroFilled
                    && fault.address().is_some()
                    && expected == Some(Expected::Split(fault.address()));
                let kind = if is_split { Kind::Split } else { kind };
                self.count(counter, fault, kind);
            }
            Outcome::Takeover { .. } if expected == Some(Expected::Unshared) => {}
            Outcome::Takeover { was, is_remote } => match (was, is_remote) {
                (Kind::Copied, true) => {}
                (was, false) => self.turn_into_reuse(counter, start, was),
                (_, true) => {
                    self.count(counter, fault, Kind::Remote);
                }
            },
        }
    }

    /// The swap cache lets go of a page, in this task. Who takes it over maps it; if nobody does it was
    /// copied, and this comes of its last copy or of an unmapping.
    pub(super) fn swap_freed(&mut self, counter: &FastCounter, page: PageId, is_mapped: bool) {
        match self.pending.what {
            Expected::Swap(expected, start) if expected == page => {
                if self.expected(counter).is_some() && is_mapped {
                    self.turn_into_reuse(counter, start, Kind::Copied);
                }
            }
            _ => {}
        }
    }

    fn turn_into_reuse(&mut self, counter: &FastCounter, start: u64, was: Kind) {
        counter.collect_of(start, |start, copies| {
            self.add_copies(counter, start, copies)
        });
        let mut root = Asked::new(self.root, &self.areas, counter);
        self.ledger.turn_into_reuse(start, was, &mut root);
    }

    /// The current task's next event has to come here.
    fn expect(&mut self, counter: &FastCounter, what: Expected) {
        self.pending = Pending::now(what);
        counter.pause();
    }

    /// What was expected of this event. Nothing more is.
    fn expected(&mut self, counter: &FastCounter) -> Option<Expected> {
        let pending = core::mem::replace(&mut self.pending, Pending::NONE);
        if pending.task != 0 {
            counter.resume(self.number);
        }
        (pending.task == task::current_id()).then_some(pending.what)
    }
}
