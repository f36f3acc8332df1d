// SPDX-License-Identifier: GPL-2.0
//! What is counted for one execution of a program, under the program's lock.

use super::{Areas, BUCKETS};
use crate::{mm::AreasVersion, mmset::MmId, task, till::Till, watch::Fault};
use kernel::prelude::*;
use model::{
    cow::{Kind, Outcome},
    ledger::{index_len, Bucket, Ledger},
};

/// Where the root of a generation is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
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

pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) root: Root,
    /// The root's areas when it ended, or at the last report.
    pub(super) areas: Areas,
    /// Of which version they are, while the root is alive.
    pub(super) version: Option<AreasVersion>,
    /// Without the copies that are in the till.
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
    /// Before the first execution.
    pub(super) fn new() -> Result<Self> {
        let buckets = KVVec::from_elem(Bucket::EMPTY, BUCKETS, GFP_KERNEL_ACCOUNT)?;
        let index = KVVec::from_elem(0_u16, index_len(BUCKETS), GFP_KERNEL_ACCOUNT)?;
        Ok(Self {
            number: 0,
            root: Root::Never,
            areas: Areas::new()?,
            version: None,
            ledger: Ledger::new(buckets, index).ok_or(EINVAL)?,
            pending: Pending::NONE,
        })
    }

    /// Begins the next one.
    pub(super) fn begin(&mut self, till: &Till) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.version = None;
        self.ledger.clear();
        self.pending = Pending::NONE;
        till.begin(self.number);
        self.number
    }

    /// The counts, complete.
    pub(super) fn ledger(&mut self, till: &Till) -> &Ledger<KVVec<Bucket>, KVVec<u16>> {
        till.collect(|start, copies| self.ledger.count(start, Kind::Copied, copies));
        &self.ledger
    }

    /// Enters a fault that was not counted in the till.
    #[inline]
    pub(super) fn enter(&mut self, till: &Till, fault: Fault<'_>, outcome: Outcome) {
        match outcome {
            Outcome::Count(kind) if self.pending.task == 0 => {
                let start = fault.area_start();
                self.ledger.count(start, kind, 1);
                if kind == Kind::Copied {
                    till.open(start, |start, copies| {
                        self.ledger.count(start, Kind::Copied, copies);
                    });
                }
            }
            _ => self.enter_rare(till, fault, outcome),
        }
    }

    fn enter_rare(&mut self, till: &Till, fault: Fault<'_>, outcome: Outcome) {
        let start = fault.area_start();
        let pending = core::mem::replace(&mut self.pending, Pending::NONE);
        let goes_on = pending.task == task::current_id();
        match outcome {
            Outcome::Nothing => {}
            Outcome::Unshare => self.pending = Pending::now(None),
            Outcome::HugeZero => {
                self.pending = Pending::now(fault.address());
                self.ledger.count(start, Kind::ZeroFilled, 1);
            }
            Outcome::Count(Kind::ZeroFilled)
                if goes_on
                    && pending.huge_zero.is_some()
                    && pending.huge_zero == fault.address() =>
            {
                self.ledger.count(start, Kind::Split, 1);
            }
            Outcome::Count(kind) => self.ledger.count(start, kind, 1),
            Outcome::Takeover { .. } if goes_on && pending.huge_zero.is_none() => {}
            Outcome::Takeover { was, is_remote } => match (was, is_remote) {
                (Kind::Copied, true) => {}
                (was, false) => {
                    till.collect_of(start, |start, copies| {
                        self.ledger.count(start, Kind::Copied, copies);
                    });
                    self.ledger.turn_into_reuse(start, was);
                }
                (_, true) => self.ledger.count(start, Kind::Remote, 1),
            },
        }
        if self.pending.task != 0 {
            // The next fault has to come here.
            till.close(|start, copies| self.ledger.count(start, Kind::Copied, copies));
        }
    }
}
