// SPDX-License-Identifier: GPL-2.0
//! A set of address spaces that probes can ask without a lock, with a tag for each.
//!
//! The address of a structure is the key, and the set holds a reference (of the `mmgrab` kind) to
//! each member, so that no other address space can appear under the same key. The table is
//! [`model::members`]: it does not grow, and [`model::quota`] says who finds room. A look-up that finds
//! nothing looks at one cache line.
//!
//! An address space is inserted before its first user runs in it, and removed after its last one is
//! gone. So it is never looked up while it is being removed; while it is being inserted it may be, by
//! somebody who writes to another's memory, and is found with its tag or not at all.
//!
//! # Locks
//!
//! Members come and go under a `RawLock` of the set's own, the innermost one. Some hundred
//! instructions run under it; nothing is called but `mmgrab`.

use crate::{lockless::Shared, sys};
use kernel::{bindings, mm::Mm, prelude::*, sync::aref::ARef};
use kx_base::{new_raw_lock, rawlock::RawLock};
use kx_mm::mm;
use model::{
    area::Span,
    generation::Membership,
    members::{self, Found, Line, Lines, WAYS},
    quota::{Quota, OWN},
};

/// Lines of the table: a power of two. They are 2 MiB.
const LINES: usize = 1 << 14;

/// Most members: an eighth of the table stays free, so that ways are short.
const FULL: usize = LINES * WAYS / 8 * 7;

/// Names an address space, without keeping it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MmId(usize);

impl MmId {
    /// The name of `mm`.
    pub(crate) fn of(mm: &Mm) -> Self {
        Self::of_raw(mm.as_raw())
    }

    pub(crate) fn of_raw(mm: *const bindings::mm_struct) -> Self {
        Self(mm as usize)
    }

    pub(crate) fn as_raw(self) -> *mut bindings::mm_struct {
        self.0 as *mut bindings::mm_struct
    }

    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// Somebody must hold a reference during the call.
    pub(crate) unsafe fn grab(self) -> ARef<Mm> {
        // SAFETY: By this function's requirements.
        unsafe { Mm::from_raw(self.as_raw()) }.into()
    }
}

/// An address space that is about to be taken down: it has no users any more, and whoever takes it
/// down holds a reference until that is done.
pub(crate) struct ExitingMm<'a>(&'a Mm);

impl<'a> ExitingMm<'a> {
    /// # Safety
    ///
    /// `mm` must have no users, its areas must be intact, and somebody else must hold a reference
    /// at least as long as the value lives.
    pub(crate) unsafe fn new(mm: &'a Mm) -> Self {
        Self(mm)
    }

    /// Its name.
    pub(crate) fn id(&self) -> MmId {
        MmId::of(self.0)
    }

    /// Writes its areas that end above `from` to `list`, as far as they fit, and returns how many
    /// they are. Fit for probes.
    pub(crate) fn areas(&self, from: u64, list: &mut [Span]) -> usize {
        // SAFETY: The type's promise: nobody can change the areas.
        unsafe { mm::areas(self.0, from, list) }
    }

    /// Where the area that holds `address` begins. Fit for probes.
    pub(crate) fn area_start(&self, address: u64) -> Option<u64> {
        // SAFETY: The type's promise.
        unsafe { mm::area_start(self.0, address) }
    }
}

/// The lines of the set.
///
/// # Invariants
///
/// There are [`LINES`].
struct MemberTable(KVVec<Line<Shared>>);

/// Where the bits of a product are that name a line.
const SHIFT: u32 = 32 - size_of::<Line<Shared>>().trailing_zeros();

/// What these bits are, once they are down: the offset of a line.
const OFFSETS: usize = (LINES - 1) * size_of::<Line<Shared>>();

impl MemberTable {
    fn new() -> Result<Self> {
        let mut lines = KVVec::with_capacity(LINES, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..LINES {
            lines.push(Line::default(), GFP_KERNEL_ACCOUNT)?;
        }
        // INVARIANT: So many were made.
        Ok(Self(lines))
    }
}

impl Lines for MemberTable {
    type Word = Shared;

    fn count(&self) -> usize {
        LINES
    }

    /// The home in three instructions, which every fault of every process pays.
    #[inline(always)]
    fn line(&self, key: u64, steps: usize) -> &Line<Shared> {
        let hash = (key as usize).wrapping_mul(0x61C8_8647) >> SHIFT;
        let offset = hash.wrapping_add(steps.wrapping_mul(size_of::<Line<Shared>>())) & OFFSETS;
        // SAFETY: A line begins at each multiple of a line's size that is less than that of all, which
        // by the invariant are `LINES`; `OFFSETS` lets nothing else through.
        unsafe { &*self.0.as_ptr().byte_add(offset) }
    }
}

/// See the module's documentation.
///
/// # Invariants
///
/// Each key is the address of a `struct mm_struct` of which the set owns a reference, and its tag is a
/// membership, for which a place of its program's quota is taken.
#[pin_data(PinnedDrop)]
pub(crate) struct MmSet {
    table: MemberTable,
    /// Held by whoever changes the table, too.
    #[pin]
    quota: RawLock<Quota<KVVec<u32>>>,
}

impl MmSet {
    /// An empty set for the members of programs whose numbers are less than `numbers`, of which at
    /// most `programs` are used.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(crate) fn new(numbers: usize, programs: usize) -> Result<impl PinInit<Self>> {
        let table = MemberTable::new()?;
        let members = KVVec::from_elem(0, numbers, GFP_KERNEL_ACCOUNT)?;
        let pool = FULL.saturating_sub(programs.saturating_mul(OWN as usize));
        let quota = Quota::new(members, pool as u32);
        Ok(pin_init!(Self {
            table,
            quota <- new_raw_lock!(quota, "kx::mmset quota"),
        }))
    }

    /// The membership of a member, if it is found at the first look.
    #[inline(always)]
    pub(crate) fn look(&self, mm: MmId) -> Found {
        members::look(&self.table, mm.0 as u64)
    }

    /// The membership of a member.
    pub(crate) fn get(&self, mm: MmId) -> Option<Membership> {
        members::get(&self.table, mm.0 as u64).map(Membership::unpack)
    }

    /// Makes `mm` a member. It must not be one yet.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if the program has as many as it may have.
    pub(crate) fn insert(&self, mm: &Mm, membership: Membership) -> Result {
        let id = MmId::of(mm);
        let mut quota = self.quota.lock();
        if !quota.join(membership.program) {
            return Err(ENOSPC);
        }
        if !members::insert(&self.table, id.0 as u64, membership.pack()) {
            quota.leave(membership.program);
            return Err(ENOSPC);
        }
        // INVARIANT: The reference belongs to the key that was inserted just above, and the place to its
        // tag; without the lock nobody gives up either.
        // SAFETY: `mm` is valid.
        unsafe { bindings::mmgrab(id.as_raw()) };
        Ok(())
    }

    /// Makes `mm` a member no longer.
    pub(crate) fn remove(&self, mm: &ExitingMm<'_>) {
        let id = mm.id();
        let mut quota = self.quota.lock();
        let Some(tag) = members::remove(&self.table, id.0 as u64) else {
            return;
        };
        quota.leave(Membership::unpack(tag).program);
        drop(quota);
        // SAFETY: The reference was the key's, by the invariant. It is not the last one, as `ExitingMm`
        // promises.
        unsafe { sys::kx_mmdrop_not_last(id.as_raw()) };
    }
}

#[pinned_drop]
impl PinnedDrop for MmSet {
    fn drop(self: Pin<&mut Self>) {
        for mm in self.table.0.iter().flat_map(Line::members) {
            // SAFETY: By the invariant. Nothing is locked here, so freeing may sleep.
            unsafe { bindings::mmdrop(MmId(mm as usize).as_raw()) };
        }
    }
}
