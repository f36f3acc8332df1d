// SPDX-License-Identifier: GPL-2.0
//! How a snapshot is made: which processes there are, by name, and what those of a name hold.
//!
//! Locks: none of its own. An address space is pinned only for single stretches of a walk, so that
//! nobody is kept from ending; between them it is known by the address of its structure.

use crate::{
    pages::Pages,
    snapshot::{Member, Name},
};
use kernel::{prelude::*, rbtree::RBTree, sync::aref::ARef};
use kx_base::{
    charged,
    chunked::{Chunked, SortSpace},
    sched,
};
use kx_mm::{
    mm::{Mm, MmWithUser},
    task::{self, Comm},
};
use kx_page::walk::Table;
use model::{
    memory_info::{Allowance, Figures, Look},
    sort::{end_of_run, sort, Pacer},
};

/// What could not be looked at, in the look at each name that counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Missed {
    /// How often a page was freed or moved meanwhile.
    pub(crate) unsettled: u64,
    /// Address spaces whose mmap lock could not be had in time, or which had no end.
    pub(crate) left_out: u64,
}

/// A snapshot in the making.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) members: Chunked<Member>,
    /// The address space of each member, if it has one.
    spaces: Chunked<Option<SpaceId>>,
    pub(crate) names: Chunked<Name>,
}

impl List {
    /// Lists all processes. Ascending pids make the names ascend by their lowest pid.
    pub(crate) fn fill(&mut self) -> Result {
        let mut index_of = RBTree::<Comm, u32>::new();
        let mut number = Some(1);
        while let Some(from) = number {
            sched::breathe_or_freeze()?;
            let Some(process) = task::first_from(from)? else {
                break;
            };
            let member = u32::try_from(self.members.len()).map_err(|_| ENOMEM)?;
            self.members.push(Member {
                pid: process.pid,
                next: None,
            })?;
            self.spaces.push(process.mm.map(|mm| SpaceId::of(&mm)))?;
            match index_of.get(&process.comm) {
                Some(&index) => self.append(index, member),
                None => {
                    let index = u32::try_from(self.names.len()).map_err(|_| ENOMEM)?;
                    index_of.try_create_and_insert(process.comm, index, charged::flags())?;
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
    pub(crate) fn measure(&mut self, pages: &mut Pages<'_>) -> Result<Missed> {
        let mut table = Table::new()?;
        let mut sorting = SortSpace::new()?;
        let mut spaces = Chunked::new();
        let mut again = Allowance::new();
        let mut missed = Missed::default();
        for index in 0..self.names.len() {
            sched::breathe_or_freeze()?;
            self.sorted_spaces(index, &mut spaces, &mut sorting)?;
            let look = again.settle(|| self.look(&spaces, pages, &mut table))?;
            missed.unsettled = missed.unsettled.saturating_add(look.unsettled);
            missed.left_out = missed.left_out.saturating_add(look.left_out);
            if let Some(name) = self.names.get_mut(index) {
                name.figures = look.figures;
            }
        }
        Ok(missed)
    }

    /// Finds the figures of one name, from its address spaces, each once.
    fn look(
        &self,
        spaces: &Chunked<u128>,
        pages: &mut Pages<'_>,
        table: &mut Table,
    ) -> Result<Look> {
        let mut pacer = Pacer::new(sched::breathe_or_freeze);
        let mut start = 0;
        while start < spaces.len() {
            let end = end_of_run(spaces, start..spaces.len(), Space::ID, &mut pacer)?;
            // Whoever of those who share it is still there will do; who has left does not return.
            let mut user = start;
            let pin = || {
                while user < end {
                    let pinned = spaces.get(user).and_then(|record| self.pin(*record));
                    if pinned.is_some() {
                        return pinned;
                    }
                    user += 1;
                }
                None
            };
            pages.add(pin, table)?;
            start = end;
        }
        pages.finish()
    }

    /// Pins the address space of a record for its process, if that still has it.
    fn pin(&self, record: u128) -> Option<ARef<MmWithUser>> {
        let member = self.members.get(Space::member(record))?;
        let mm = member.pid.pin_space()?;
        (SpaceId::of(&mm) == Space::id(record)).then_some(mm)
    }

    /// Replaces the contents of `spaces` by the address spaces of a name's members, equal ones
    /// beside each other.
    fn sorted_spaces(
        &self,
        index: usize,
        spaces: &mut Chunked<u128>,
        sorting: &mut SortSpace,
    ) -> Result {
        spaces.truncate(0);
        let mut next = self.names.get(index).map(|name| name.first);
        while let Some(member) = next {
            sched::breathe_or_freeze()?;
            if let Some(Some(id)) = self.spaces.get(member as usize) {
                spaces.push(Space::pack(*id, member))?;
            }
            next = self
                .members
                .get(member as usize)
                .and_then(|member| member.next);
        }
        let mut pacer = Pacer::new(sched::breathe_or_freeze);
        let all = 0..spaces.len();
        sort(spaces, all, u128::MAX, &mut sorting.lend(), &mut pacer)
    }
}

/// Where the structure of an address space is. It may be freed and used anew: then no process has
/// the old one any more, and who has the new one was listed for that.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SpaceId(usize);

impl SpaceId {
    fn of(mm: &Mm) -> Self {
        Self(mm.as_raw() as usize)
    }
}

/// The address space of a member, as a record.
struct Space;

impl Space {
    /// The bits that tell one address space from another.
    const ID: u128 = u128::MAX << 32;

    fn pack(id: SpaceId, member: u32) -> u128 {
        (id.0 as u128) << 32 | u128::from(member)
    }

    fn id(record: u128) -> SpaceId {
        SpaceId((record >> 32) as usize)
    }

    fn member(record: u128) -> usize {
        record as u32 as usize
    }
}
