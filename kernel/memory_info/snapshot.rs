// SPDX-License-Identifier: GPL-2.0
//! What all processes held at one time, by name.
//!
//! A snapshot never changes: `RESET` makes a new one, and `DEL` makes one without a name that
//! shares the processes with the old one. Readers keep theirs.
//!
//! Locks: none. What is kept of a process is its identity.

use crate::{
    list::{List, Missed},
    pages::Pages,
};
use kernel::{fmt, pid_namespace::PidNamespace, prelude::*, sync::Arc};
use kx_base::{
    charged,
    chunked::{Chunked, SortSpace, Text},
    sched,
};
use kx_frame::MachineFrames;
use kx_mm::task::{Comm, Pid};
use model::{
    memory_info::{write_line, Figures},
    sort::{end_of_run, sort, Pacer},
};

/// A process of a name.
pub(crate) struct Member {
    pub(crate) pid: Pid,
    /// The next process of the name, by index.
    pub(crate) next: Option<u32>,
}

/// A name and its processes, in a chain in ascending order of their pids.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    pub(crate) comm: Comm,
    pub(crate) figures: Figures,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// All names.
pub(crate) struct Snapshot {
    members: Arc<Chunked<Member>>,
    names: Chunked<Name>,
}

/// A snapshot, and what it was to take it.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    /// For how long, in nanoseconds, an mmap lock was held at a stretch.
    pub(crate) longest_lock: i64,
    pub(crate) missed: Missed,
}

impl Snapshot {
    /// Looks at all processes.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`sched::yield_unless_killed_or_frozen`].
    pub(crate) fn take(memory: &MachineFrames) -> Result<Taken> {
        let mut list = List::default();
        list.fill()?;
        let mut pages = Pages::new(memory)?;
        let missed = list.measure(&mut pages)?;
        Ok(Taken {
            snapshot: Self {
                members: Arc::new(list.members, charged::flags())?,
                names: list.names,
            },
            longest_lock: pages.longest_lock(),
            missed,
        })
    }

    /// The same snapshot without the name at `index`.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`sched::yield_unless_killed_or_frozen`].
    pub(crate) fn without(&self, index: usize) -> Result<Self> {
        let mut names = Chunked::new();
        for (at, name) in self.names.iter().enumerate() {
            sched::yield_unless_killed_or_frozen()?;
            if at != index {
                names.push(*name)?;
            }
        }
        Ok(Self {
            members: self.members.clone(),
            names,
        })
    }

    /// Where `name` is.
    ///
    /// # Errors
    ///
    /// [`ESRCH`] if none of its processes can be seen from `namespace`, and those of
    /// [`sched::yield_unless_killed_or_frozen`].
    pub(crate) fn find(&self, name: &[u8], namespace: &PidNamespace) -> Result<usize> {
        for (index, found) in self.names.iter().enumerate() {
            sched::yield_unless_killed_or_frozen()?;
            if found.comm.as_bytes() == name {
                let lowest = self.lowest(found, namespace)?;
                return lowest.map(|_| index).ok_or(ESRCH);
            }
        }
        Err(ESRCH)
    }

    /// The lowest of the numbers that the processes of a name have in `namespace`.
    fn lowest(&self, name: &Name, namespace: &PidNamespace) -> Result<Option<i32>> {
        let mut lowest: Option<i32> = None;
        for pid in self.chain(name) {
            sched::yield_unless_killed_or_frozen()?;
            if let Some(number) = pid.number_in(namespace) {
                let number = number.get();
                lowest = Some(lowest.map_or(number, |lowest| lowest.min(number)));
            }
        }
        Ok(lowest)
    }

    /// Writes the lines of all names, or of the one at `only`, as seen from `namespace`: processes
    /// that cannot be seen from there are left out, and so are names that have no others.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`sched::yield_unless_killed_or_frozen`].
    pub(crate) fn write(
        &self,
        out: &mut Text,
        namespace: &PidNamespace,
        only: Option<usize>,
    ) -> Result {
        let mut seen = Chunked::new();
        match only {
            Some(index) => self.see(index, namespace, &mut seen)?,
            None => {
                for index in 0..self.names.len() {
                    self.see(index, namespace, &mut seen)?;
                }
            }
        }
        let mut sorting = SortSpace::new()?;
        let mut pacer = Pacer::new(sched::yield_unless_killed_or_frozen);
        let all = 0..seen.len();
        sort(&mut seen, all, u128::MAX, &mut sorting.lend(), &mut pacer)?;
        let mut start = 0;
        while start < seen.len() {
            let end = end_of_run(&seen, start..seen.len(), Seen::LINE, &mut pacer)?;
            self.write_one(out, &seen, start..end).map_err(|_| ENOMEM)?;
            start = end;
        }
        Ok(())
    }

    /// Notes the processes of the name at `index` that can be seen from `namespace`.
    fn see(&self, index: usize, namespace: &PidNamespace, seen: &mut Chunked<u128>) -> Result {
        let Some(name) = self.names.get(index) else {
            return Ok(());
        };
        let Some(lowest) = self.lowest(name, namespace)? else {
            return Ok(());
        };
        for pid in self.chain(name) {
            sched::yield_unless_killed_or_frozen()?;
            if let Some(number) = pid.number_in(namespace) {
                seen.push(Seen::pack(lowest, number.get(), index))?;
            }
        }
        Ok(())
    }

    /// Writes the line of the processes in `line`, which share a name.
    fn write_one(
        &self,
        out: &mut Text,
        seen: &Chunked<u128>,
        line: core::ops::Range<usize>,
    ) -> fmt::Result {
        let first = seen.get(line.start).copied().unwrap_or_default();
        let Some(name) = self.names.get(Seen::index(first)) else {
            return Ok(());
        };
        let count = line.len();
        let pids = line.filter_map(|at| seen.get(at).map(|&record| Seen::number(record)));
        write_line(out, name.comm.as_bytes(), &name.figures, count, pids)
    }

    fn chain(&self, name: &Name) -> impl Iterator<Item = &Pid> {
        let mut next = Some(name.first);
        core::iter::from_fn(move || {
            let member = self.members.get(next? as usize)?;
            next = member.next;
            Some(&member.pid)
        })
    }
}

/// A process of a line, as a record that sorts by line (lowest pid of the name) and then by pid.
struct Seen;

impl Seen {
    /// The bits that the records of a line share.
    const LINE: u128 = u128::MAX << 64;

    fn pack(lowest: i32, number: i32, index: usize) -> u128 {
        u128::from(lowest as u32) << 64 | u128::from(number as u32) << 32 | index as u128
    }

    fn number(record: u128) -> i32 {
        (record >> 32) as u32 as i32
    }

    fn index(record: u128) -> usize {
        record as u32 as usize
    }
}
