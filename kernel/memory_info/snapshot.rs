// SPDX-License-Identifier: GPL-2.0
//! What all processes held at one time, by name.
//!
//! A snapshot never changes: `RESET` makes a new one, and `DEL` makes one without a name that
//! shares the processes with the old one. Readers keep theirs.
//!
//! Locks: none of its own. References to address spaces are given up before a snapshot is done; what
//! stays is the identities of the processes.

use crate::pages::Pages;
use kernel::{
    fmt,
    pid_namespace::PidNamespace,
    prelude::*,
    rbtree::RBTree,
    sync::{aref::ARef, Arc},
};
use kx::{
    chunked::{quiet, Chunked, SortSpace, Text},
    mm::Mm,
    sched,
    task::{self, Comm, Pid},
    walk::Table,
};
use model::{
    memory_info::{write_line, Figures},
    sort::{dedup, end_of_run, sort, Pacer},
};

/// A process of a name.
struct Member {
    pid: Pid,
    /// The next process of the name, by index.
    next: Option<u32>,
}

/// A name and its processes, in a chain in ascending order of their pids.
#[derive(Clone, Copy)]
struct Name {
    comm: Comm,
    figures: Figures,
    first: u32,
    last: u32,
}

/// All names.
pub(crate) struct Snapshot {
    members: Arc<Chunked<Member>>,
    names: Chunked<Name>,
}

/// A snapshot, and for how long, in nanoseconds, an mmap lock was held at a stretch to take it.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) longest_lock: i64,
}

impl Snapshot {
    /// Looks at all processes.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; [`EINTR`] if the current task was killed.
    pub(crate) fn take() -> Result<Taken> {
        let mut list = List::default();
        list.fill()?;
        let mut pages = Pages::new()?;
        list.measure(&mut pages)?;
        Ok(Taken {
            snapshot: Self {
                members: Arc::new(list.members, quiet())?,
                names: list.names,
            },
            longest_lock: pages.longest_lock(),
        })
    }

    /// The same snapshot without the name at `index`.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(crate) fn without(&self, index: usize) -> Result<Self> {
        let mut names = Chunked::new();
        for (at, name) in self.names.iter().enumerate() {
            if at != index {
                names.push(*name)?;
            }
        }
        Ok(Self {
            members: self.members.clone(),
            names,
        })
    }

    /// Where `name` is, if one of its processes can be seen from `namespace`.
    pub(crate) fn find(&self, name: &[u8], namespace: &PidNamespace) -> Option<usize> {
        let index = self
            .names
            .iter()
            .position(|found| found.comm.as_bytes() == name)?;
        let name = self.names.get(index)?;
        self.chain(name)
            .any(|pid| pid.number_in(namespace).is_some())
            .then_some(index)
    }

    /// Writes the lines of all names, or of the one at `only`, as seen from `namespace`: processes
    /// that cannot be seen from there are left out, and so are names that have no others.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; [`EINTR`] if the current task was killed.
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
        let all = 0..seen.len();
        sort(
            &mut seen,
            all,
            u128::MAX,
            &mut sorting.lend(),
            &mut Pacer::new(sched::breathe),
        )?;
        let mut start = 0;
        while start < seen.len() {
            sched::breathe()?;
            let end = end_of_run(&seen, start..seen.len(), Seen::LINE);
            self.write_one(out, &seen, start..end).map_err(|_| ENOMEM)?;
            start = end;
        }
        Ok(())
    }

    /// Notes the processes of the name at `index` that can be seen from `namespace`.
    fn see(&self, index: usize, namespace: &PidNamespace, seen: &mut Chunked<u128>) -> Result {
        let numbers = || {
            let chain = self
                .names
                .get(index)
                .into_iter()
                .flat_map(|name| self.chain(name));
            chain.filter_map(|pid| Some(pid.number_in(namespace)?.get()))
        };
        let Some(lowest) = numbers().min() else {
            return Ok(());
        };
        for number in numbers() {
            seen.push(Seen::pack(lowest, number, index))?;
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

/// A snapshot in the making.
#[derive(Default)]
struct List {
    members: Chunked<Member>,
    /// The address space of each member.
    spaces: Chunked<Option<ARef<Mm>>>,
    names: Chunked<Name>,
}

impl List {
    /// Lists all processes. Ascending pids make the names ascend by their lowest pid.
    fn fill(&mut self) -> Result {
        let mut index_of = RBTree::<Comm, u32>::new();
        let mut number = Some(1);
        while let Some(process) = number.and_then(task::first_from) {
            sched::breathe()?;
            let member = u32::try_from(self.members.len()).map_err(|_| ENOMEM)?;
            self.members.push(Member {
                pid: process.pid,
                next: None,
            })?;
            self.spaces.push(process.mm)?;
            match index_of.get(&process.comm) {
                Some(&index) => self.append(index, member),
                None => {
                    let index = u32::try_from(self.names.len()).map_err(|_| ENOMEM)?;
                    index_of.try_create_and_insert(process.comm, index, quiet())?;
                    self.names.push(Name {
                        comm: process.comm,
                        figures: Figures::default(),
                        first: member,
                        last: member,
                    })?;
                }
            }
            number = process.number.checked_add(1);
        }
        Ok(())
    }

    /// Adds `member` to the end of a name's chain.
    fn append(&mut self, name: u32, member: u32) {
        let Some(name) = self.names.get_mut(name as usize) else {
            return;
        };
        if let Some(last) = self.members.get_mut(name.last as usize) {
            last.next = Some(member);
        }
        name.last = member;
    }

    /// Finds the figures of all names.
    fn measure(&mut self, pages: &mut Pages) -> Result {
        let mut table = Table::new()?;
        let mut sorting = SortSpace::new()?;
        let mut spaces = Chunked::new();
        for index in 0..self.names.len() {
            sched::breathe()?;
            self.distinct_spaces(index, &mut spaces, &mut sorting)?;
            for &record in spaces.iter() {
                let member = Space::member(record);
                if let Some(Some(mm)) = self.spaces.get(member) {
                    pages.add(mm, &mut table)?;
                }
            }
            let figures = pages.finish()?;
            if let Some(name) = self.names.get_mut(index) {
                name.figures = figures;
            }
        }
        Ok(())
    }

    /// Replaces the contents of `spaces` by the address spaces of a name, each once.
    fn distinct_spaces(
        &self,
        index: usize,
        spaces: &mut Chunked<u128>,
        sorting: &mut SortSpace,
    ) -> Result {
        spaces.truncate(0);
        let mut next = self.names.get(index).map(|name| name.first);
        while let Some(member) = next {
            if let Some(Some(mm)) = self.spaces.get(member as usize) {
                spaces.push(Space::pack(mm, member))?;
            }
            next = self
                .members
                .get(member as usize)
                .and_then(|member| member.next);
        }
        let mut pacer = Pacer::new(sched::breathe);
        let all = 0..spaces.len();
        sort(spaces, all, Space::ADDRESS, &mut sorting.lend(), &mut pacer)?;
        dedup(spaces, Space::ADDRESS, &mut pacer)
    }
}

/// The address space of a member, as a record. References keep the structures, so that equal
/// addresses mean the same one.
struct Space;

impl Space {
    /// The bits that tell one address space from another.
    const ADDRESS: u128 = u128::MAX << 32;

    fn pack(mm: &Mm, member: u32) -> u128 {
        (mm.as_raw() as u128) << 32 | u128::from(member)
    }

    fn member(record: u128) -> usize {
        record as u32 as usize
    }
}
