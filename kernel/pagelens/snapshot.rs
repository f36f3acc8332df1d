// SPDX-License-Identifier: GPL-2.0
//! Snapshots: what all processes of a scope have, made while it is read.
//!
//! Nothing of a process is kept but a reference to it and to the empty shell of its address space while
//! it is walked, and for each stretch a user of that: it may end at any time.

use crate::{
    areas::Areas,
    ask,
    shared::{Number, Numbers},
};
use abi::pagelens::{
    Begin, End, Header, LeftOut, Memory, Process, Snapshot, DETAIL_COUNTERS, DETAIL_FRAMES,
    KIND_BEGIN, KIND_END, KIND_LEFT_OUT, KIND_MEMORY, KIND_PROCESS, LEFT_OUT_ABSENT, LEFT_OUT_BUSY,
    LEFT_OUT_REFUSED, MEMORY_BUSY, MEMORY_CHANGED, MEMORY_ENDED, PROCESS_ENDED, PROCESS_KERNEL,
    PROCESS_MAY_BE_TOLD, PROCESS_TOLD, PROTOCOL,
};
use kernel::{page::PAGE_SIZE, prelude::*, sync::aref::ARef};
use kx_base::{charged, sched};
use kx_census::{
    facts,
    scope::{Census, Next},
};
use kx_dev::stream::{self, Answer, Buffer};
use kx_mm::{
    mm::{Mm, MmWithUser, Patience},
    target::Target,
    task,
};
use kx_page::walk::{self, Table, Walk};

/// How long all mmap locks together are waited for, in nanoseconds: five seconds. Anybody can make a
/// process whose lock nobody gets. Each has a tenth of what is left,
const WAITING: u64 = 5_000_000_000;
/// but this at least: four milliseconds.
const LEAST_WAITING: u64 = 4_000_000;
/// How often a process is asked for that is becoming another program, a few milliseconds apart.
const TRIES: u32 = 25;

/// Gives the current task a descriptor of the answer.
///
/// # Errors
///
/// Those of [`ask::scope`] and [`stream::descriptor`].
pub(crate) fn begin(asked: &Snapshot) -> Result<isize> {
    let census = Census::new(ask::scope(asked)?)?;
    let table = match asked.detail {
        DETAIL_COUNTERS => None,
        detail => Some(Table::counted(detail == DETAIL_FRAMES)?),
    };
    let name = KBox::init(pin_init::init_zeroed(), charged::flags())?;
    let Snapshot { detail, flags, .. } = *asked;
    let sees_all = task::may_trace_all();
    let answer = init!(Snapshots {
        detail,
        flags,
        sees_all,
        begun: 0,
        census,
        numbers: Numbers::default(),
        areas <- Areas::new(asked.flags, name),
        table,
        waiting: WAITING,
        at: At::Begin,
        end: End::default(),
    });
    stream::descriptor(c"[pagelens:snapshot]", answer)
}

/// An answer.
struct Snapshots {
    detail: u32,
    flags: u32,
    /// Whether the asker may look into all processes.
    sees_all: bool,
    /// When it began, by CLOCK_MONOTONIC.
    begun: u64,
    census: Census,
    numbers: Numbers,
    areas: Areas,
    /// `None` where no page tables are walked.
    table: Option<Table>,
    /// For how much longer mmap locks may be waited for.
    waiting: u64,
    at: At,
    end: End,
}

/// Where an answer is.
enum At {
    Begin,
    /// Between processes.
    Between,
    /// A process is becoming another program: what it is, and how often it was asked for.
    Busy(u32, Target, u32),
    /// In the memory of a process.
    In(Space),
    Done,
}

/// A memory that is looked at.
struct Space {
    process: Target,
    mm: ARef<Mm>,
    walk: Walk,
    patience: Patience,
    /// What it was given of that.
    share: u64,
    memory: Memory,
}

/// Whether there is an address space to be looked at.
enum Door {
    Open(ARef<Mm>),
    /// There is none.
    Nothing,
    Refused,
    Busy,
}

impl Answer for Snapshots {
    fn go_on(&mut self, out: &mut Buffer) -> Result<bool> {
        let at = core::mem::replace(&mut self.at, At::Between);
        let done = match at {
            At::Begin => self.tell_begin(out),
            At::Between => self.next(out),
            At::Busy(number, process, tries) => self.ask_again(number, process, tries, out),
            At::In(space) => self.look(space, out),
            At::Done => {
                self.at = At::Done;
                return Ok(false);
            }
        };
        done.map(|()| true)
    }
}

impl Snapshots {
    fn tell_begin(&mut self, out: &mut Buffer) -> Result {
        self.begun = sched::now();
        out.push(&Begin {
            header: header::<Begin>(KIND_BEGIN, 0),
            protocol: PROTOCOL,
            page_size: PAGE_SIZE as u32,
            time: self.begun,
            detail: self.detail,
            flags: self.flags,
        })
    }

    /// Goes to the next process.
    fn next(&mut self, out: &mut Buffer) -> Result {
        match self.census.advance()? {
            Next::Process(number, process) => self.meet(number, process, 0, out),
            Next::Absent(number) => tell_left_out(out, number, LEFT_OUT_ABSENT),
            Next::Later => Ok(()),
            Next::End => self.tell_end(out),
        }
    }

    fn tell_end(&mut self, out: &mut Buffer) -> Result {
        self.at = At::Done;
        self.end.header = header::<End>(KIND_END, 0);
        self.end.memories = self.numbers.count();
        self.end.time = sched::now();
        out.push(&self.end)
    }

    /// Asks again for a process that was becoming another program, after a while.
    fn ask_again(&mut self, number: u32, process: Target, tries: u32, out: &mut Buffer) -> Result {
        if let Err(error) = sched::pause() {
            self.at = At::Busy(number, process, tries);
            return Err(error);
        }
        self.meet(number, process, tries.saturating_add(1), out)
    }

    /// Tells a process, and goes to its memory.
    fn meet(&mut self, number: u32, process: Target, tries: u32, out: &mut Buffer) -> Result {
        if process.is_kernel_thread() {
            return match self.sees_all {
                true => self.tell_process(number, &process, PROCESS_KERNEL, 0, out),
                false => self.refuse(number, out),
            };
        }
        let door = match self.knock(&process) {
            Ok(door) => door,
            Err(error) => {
                self.at = At::Busy(number, process, tries);
                return Err(error);
            }
        };
        match door {
            Door::Open(mm) => self.enter(number, process, mm, out),
            Door::Nothing => self.tell_process(number, &process, PROCESS_ENDED, 0, out),
            Door::Refused => self.refuse(number, out),
            Door::Busy if tries < TRIES => {
                self.at = At::Busy(number, process, tries);
                Ok(())
            }
            Door::Busy => {
                self.end.busy = self.end.busy.saturating_add(1);
                tell_left_out(out, number, LEFT_OUT_BUSY)
            }
        }
    }

    /// The address space of a process, if the asker may look into it.
    fn knock(&self, process: &Target) -> Result<Door> {
        if self.sees_all {
            return Ok(process.space()?.map_or(Door::Nothing, Door::Open));
        }
        match process.try_access() {
            Ok(None) => Ok(Door::Busy),
            Ok(Some(found)) => Ok(found.map_or(Door::Nothing, Door::Open)),
            Err(error) if error == EPERM => Ok(Door::Refused),
            Err(error) => Err(error),
        }
    }

    /// Takes note of a process that the asker may not look into.
    fn refuse(&mut self, number: u32, out: &mut Buffer) -> Result {
        // How many others' processes have a name or are in a cgroup may be hidden (`hidepid`).
        if self.sees_all || !self.census.is_filtered() {
            self.end.refused = self.end.refused.saturating_add(1);
        }
        match self.census.is_by_number() {
            true => tell_left_out(out, number, LEFT_OUT_REFUSED),
            false => Ok(()),
        }
    }

    fn tell_process(
        &mut self,
        number: u32,
        process: &Target,
        flags: u16,
        memory: u64,
        out: &mut Buffer,
    ) -> Result {
        self.end.processes = self.end.processes.saturating_add(1);
        out.push(&Process {
            header: header::<Process>(KIND_PROCESS, flags),
            memory,
            ..facts::process(number, process, self.census.namespace())
        })
    }

    /// Tells a process and the counters of its memory, and begins to walk that, unless it was told.
    fn enter(&mut self, number: u32, process: Target, mm: ARef<Mm>, out: &mut Buffer) -> Result {
        let Some(user) = mm.mmget_not_zero() else {
            return self.tell_process(number, &process, PROCESS_ENDED, 0, out);
        };
        let (mut memory, users) = facts::counters(&user);
        drop(user);
        // One user was this function.
        let (live, started) = facts::life(&process);
        let is_shared = users.saturating_sub(1) > live;
        let is_new = started >= self.begun;
        let (id, flags) = match self.numbers.of(&mm, is_shared, is_new) {
            Number::Told(id) => {
                return self.tell_process(number, &process, PROCESS_TOLD, id, out);
            }
            Number::New(id) => (id, 0),
            Number::Uncertain(id) => (id, PROCESS_MAY_BE_TOLD),
        };
        memory.memory = id;
        self.tell_process(number, &process, flags, id, out)?;
        if self.table.is_none() {
            return tell_memory(out, memory);
        }
        self.areas.begin(id);
        let share = (self.waiting / 10).max(LEAST_WAITING);
        self.at = At::In(Space {
            process,
            mm,
            walk: Walk::over(0..usize::MAX),
            patience: Patience::of(share),
            share,
            memory,
        });
        Ok(())
    }

    /// Goes on in a memory for one stretch.
    fn look(&mut self, mut space: Space, out: &mut Buffer) -> Result {
        let Some(table) = &mut self.table else {
            return Err(EINVAL);
        };
        let (process, mm, sees_all) = (&space.process, &space.mm, self.sees_all);
        let mut is_busy = false;
        let mut pin = || pin(process, mm, sees_all, &mut is_busy);
        let mut visit = self.areas.visit(out);
        let end = space
            .walk
            .stretch(&mut pin, &mut space.patience, table, &mut visit);
        let flags = match end {
            Ok(Some(walk::End::Whole)) => 0,
            Ok(Some(walk::End::LeftOut)) => MEMORY_BUSY,
            Ok(Some(walk::End::Gone)) if is_busy => MEMORY_BUSY,
            Ok(Some(walk::End::Gone)) => MEMORY_ENDED,
            goes_on => {
                self.at = At::In(space);
                return goes_on.map(drop);
            }
        };
        visit.end();
        self.leave(space, flags, out)
    }

    /// Tells a memory.
    fn leave(&mut self, mut space: Space, flags: u16, out: &mut Buffer) -> Result {
        let waited = space.share.saturating_sub(space.patience.left());
        self.waiting = self.waiting.saturating_sub(waited);
        if flags & MEMORY_BUSY != 0 {
            self.end.busy = self.end.busy.saturating_add(1);
        }
        let longest = space.walk.longest_lock().unsigned_abs();
        self.end.longest_lock = self.end.longest_lock.max(longest);
        let (sums, is_changed) = self.areas.sums();
        space.memory.sums = sums;
        space.memory.header.flags = match is_changed {
            true => flags | MEMORY_CHANGED,
            false => flags,
        };
        tell_memory(out, space.memory)
    }
}

/// A user of the address space for one stretch, if the asker may look into it still: `None` if it ended
/// or became another's, or if that cannot be told in time.
fn pin(
    process: &Target,
    mm: &ARef<Mm>,
    sees_all: bool,
    is_busy: &mut bool,
) -> Result<Option<ARef<MmWithUser>>> {
    if sees_all {
        return Ok(mm.mmget_not_zero());
    }
    for _ in 0..TRIES {
        match process.try_access() {
            Ok(Some(Some(now))) if now.as_raw() == mm.as_raw() => return Ok(mm.mmget_not_zero()),
            Ok(Some(_)) => return Ok(None),
            Ok(None) => sched::pause()?,
            Err(error) if error == EPERM => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    *is_busy = true;
    Ok(None)
}

fn tell_memory(out: &mut Buffer, mut memory: Memory) -> Result {
    memory.header = header::<Memory>(KIND_MEMORY, memory.header.flags);
    out.push(&memory)
}

fn tell_left_out(out: &mut Buffer, number: u32, reason: u32) -> Result {
    out.push(&LeftOut {
        header: header::<LeftOut>(KIND_LEFT_OUT, 0),
        pid: number,
        reason,
    })
}

/// The header of a record of this type.
fn header<T>(kind: u16, flags: u16) -> Header {
    Header {
        len: size_of::<T>() as u32,
        kind,
        flags,
    }
}
