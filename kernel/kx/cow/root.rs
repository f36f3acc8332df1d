// SPDX-License-Identifier: GPL-2.0
//! The address space whose areas are reported, and how the ledger asks for them.

use crate::{
    fast_counter::FastCounter,
    mmset::{ExitingMm, MmId},
};
use kernel::{
    mm::{Mm, MmWithUser, MmWithUserAsync},
    prelude::*,
    sync::aref::ARef,
};
use kx_mm::mm::{area_start, AreasVersion};
use model::{
    area::Span,
    ledger::{self, Place},
};

/// Most areas that are reported.
pub const MAX_AREAS: usize = 128;

/// Areas that are read in one go where nobody may wait long.
const AREAS_AT_ONCE: usize = 32;

/// Where the root of a generation is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// The program was not executed since it is tracked.
    Never,
    /// It is a member of the set, which keeps it.
    Alive(MmId),
    /// The same, but it has no users any more, and its areas are being kept.
    Ending(MmId),
    /// It has ended; its areas are kept.
    Exited,
    /// There were too many members for it.
    Lost,
    /// The program is not tracked any more.
    Closed,
}

impl Root {
    /// A reference to a living one; none if it has ended. Only under the program's lock.
    ///
    /// # Errors
    ///
    /// As [`Tracked::report`](super::Tracked::report).
    pub(super) fn reference(self) -> Result<Option<ARef<Mm>>> {
        match self {
            Self::Never | Self::Closed => Err(ESRCH),
            Self::Lost => Err(ENOSPC),
            Self::Exited => Ok(None),
            // SAFETY: Such a root is a member of the set, which keeps it: `exit` and
            // `Programs::drop` change the root, under this lock, before they give it up. So the
            // reference that is taken here is not the last one when it goes.
            Self::Alive(mm) | Self::Ending(mm) => Ok(Some(unsafe { mm.grab() })),
        }
    }

    /// Whether it is this one, and alive.
    pub(super) fn is(self, mm: &Mm) -> bool {
        self == Self::Alive(MmId::of(mm))
    }
}

/// Whether an address that is in none of these, the first areas of an address space, may be in one
/// that is not listed.
pub(super) fn may_be_beyond(areas: &[Span], address: u64) -> bool {
    areas.len() >= MAX_AREAS && areas.last().is_some_and(|last| address >= last.end)
}

/// Areas that are kept, ascending: the first [`MAX_AREAS`]. Fit for probes.
pub(super) struct Kept {
    list: KVec<Span>,
    len: usize,
}

impl Kept {
    pub(super) fn new() -> Result<Self> {
        let list = KVec::from_elem(Span::default(), MAX_AREAS, GFP_KERNEL_ACCOUNT)?;
        Ok(Self { list, len: 0 })
    }

    pub(super) fn as_slice(&self) -> &[Span] {
        self.list.get(..self.len).unwrap_or_default()
    }

    /// Keeps others.
    pub(super) fn set(&mut self, areas: &[Span]) {
        for (to, from) in self.list.iter_mut().zip(areas) {
            *to = *from;
        }
        self.len = areas.len().min(self.list.len());
    }

    /// Reads some more, and returns whether there may be still more.
    pub(super) fn read_on(&mut self, mm: &ExitingMm<'_>) -> bool {
        let from = self.as_slice().last().map_or(0, |area| area.end);
        let room = self.list.get_mut(self.len..).unwrap_or_default();
        let asked = room.len().min(AREAS_AT_ONCE);
        let found = mm.areas(from, room.get_mut(..asked).unwrap_or_default());
        self.len = self.len.saturating_add(found);
        asked > 0 && found == asked
    }
}

/// How the ledger asks a root in the midst of a fault. Only for the moment in which the program's
/// lock is held.
pub(super) struct Asked<'a> {
    root: Root,
    kept: &'a Kept,
    counter: &'a FastCounter,
    /// Where an area of the root begins, if the fault that is entered shows one.
    begins: Option<u64>,
    /// Once it is needed. Giving it up takes no lock that sleeps, even if it is the last one.
    user: Option<ARef<MmWithUserAsync>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(root: Root, kept: &'a Kept, counter: &'a FastCounter) -> Self {
        Self {
            root,
            kept,
            counter,
            begins: None,
            user: None,
        }
    }

    /// A fault in `mm` shows that an area begins at `start`, which nobody changes meanwhile. If that is
    /// the root's own, nobody has to be asked for it.
    pub(super) fn shown(mut self, mm: MmId, start: u64) -> Self {
        if self.root == Root::Alive(mm) {
            self.begins = Some(start);
        }
        self
    }

    /// With a user the areas are not taken down, whatever becomes of the probe that would tell.
    fn user(&mut self, mm: MmId) -> Option<&MmWithUser> {
        if self.user.is_none() {
            // SAFETY: A living root is a member, and stays one while the program's lock is held.
            let mm = unsafe { Mm::from_raw(mm.as_raw()) };
            self.user = mm.mmget_not_zero().map(MmWithUser::into_mmput_async);
        }
        self.user.as_deref().map(|mm| -> &MmWithUser { mm })
    }
}

impl ledger::Root for Asked<'_> {
    fn place(&mut self, address: u64) -> Place {
        if self.begins == Some(address) {
            return Place::Area(address);
        }
        match self.root {
            Root::Alive(mm) => self
                .user(mm)
                .map_or(Place::Unknown, |mm| place(mm, address)),
            Root::Exited => match ledger::find(self.kept.as_slice(), address) {
                Some(area) => Place::Area(area.start),
                None if may_be_beyond(self.kept.as_slice(), address) => Place::Unknown,
                None => Place::Gone,
            },
            _ => Place::Unknown,
        }
    }

    fn version(&mut self) -> Option<u32> {
        match self.root {
            Root::Alive(mm) => {
                // SAFETY: A living root is a member, and stays one while the program's lock is held.
                let mm = unsafe { Mm::from_raw(mm.as_raw()) };
                AreasVersion::of(mm).map(|version| version.0)
            }
            Root::Exited => Some(0),
            _ => None,
        }
    }

    fn close(&mut self, start: u64) -> u64 {
        self.counter.close(start)
    }
}

/// An area that is being changed may be missed for a moment: nothing is gone but what was so before
/// and after.
pub(super) fn place(mm: &MmWithUser, address: u64) -> Place {
    let before = AreasVersion::of(mm);
    // SAFETY: It has a user.
    match unsafe { area_start(mm, address) } {
        Some(start) => Place::Area(start),
        None if before.is_some() && before == AreasVersion::of(mm) => Place::Gone,
        None => Place::Unknown,
    }
}

/// How the ledger asks a root that ends, for the last time.
pub(super) struct AskedLast<'a> {
    pub(super) mm: &'a ExitingMm<'a>,
    pub(super) counter: &'a FastCounter,
}

impl ledger::Root for AskedLast<'_> {
    fn place(&mut self, address: u64) -> Place {
        self.mm.area_start(address).map_or(Place::Gone, Place::Area)
    }

    fn version(&mut self) -> Option<u32> {
        None
    }

    fn close(&mut self, start: u64) -> u64 {
        self.counter.close(start)
    }
}
