// SPDX-License-Identifier: GPL-2.0
//! A set of address spaces that probes can ask without a lock, with a tag for each.
//!
//! The address of a structure is the key, and the set holds a reference (of the `mmgrab` kind) to
//! each member, so that no other address space can appear under the same key. The number of members
//! is bounded; a lookup looks at one cache line.
//!
//! Nobody looks up an address space while it is being inserted or removed: it is inserted before
//! its first user runs in it and removed after its last.

use crate::{mm, sys};
use kernel::{
    bindings,
    mm::Mm,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Acquire, Atomic, Relaxed, Release},
    },
};
use model::ledger::Area;

/// Members of one cache line.
const WAYS: usize = 8;

/// Names an address space, without keeping it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MmId(usize);

impl MmId {
    /// The name of `mm`.
    pub fn of(mm: &Mm) -> Self {
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
pub struct ExitingMm<'a>(&'a Mm);

impl<'a> ExitingMm<'a> {
    /// # Safety
    ///
    /// `mm` must have no users, its areas must be intact, and somebody else must hold a reference
    /// at least as long as the value lives.
    pub(crate) unsafe fn new(mm: &'a Mm) -> Self {
        Self(mm)
    }

    /// Its name.
    pub fn id(&self) -> MmId {
        MmId::of(self.0)
    }

    /// Writes its areas to `list`, as far as they fit, and returns how many they are. Fit for probes.
    pub fn areas(&self, list: &mut [Area]) -> usize {
        // SAFETY: The type's promise: nobody can change the areas.
        unsafe { mm::areas(self.0, list) }
    }
}

#[repr(C, align(64))]
struct Line {
    keys: [Atomic<usize>; WAYS],
    tags: [Atomic<u64>; WAYS],
}

/// See the module's documentation.
///
/// # Invariants
///
/// Each key that is not 0 is the address of a `struct mm_struct` of which the set owns a reference.
pub struct MmSet {
    lines: KVVec<Line>,
}

impl MmSet {
    /// An empty set with room for some `capacity` members: before it is reached, a line may be full.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new(capacity: usize) -> Result<Self> {
        let lines = (capacity / WAYS).next_power_of_two();
        let mut set = KVVec::with_capacity(lines, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..lines {
            let line = Line {
                keys: [const { Atomic::new(0) }; WAYS],
                tags: [const { Atomic::new(0) }; WAYS],
            };
            set.push(line, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self { lines: set })
    }

    /// The tag of a member.
    #[inline]
    pub fn get(&self, mm: MmId) -> Option<u64> {
        let line = self.line(mm)?;
        let way = line.keys.iter().position(|key| key.load(Relaxed) == mm.0)?;
        line.tags.get(way).map(|tag| tag.load(Acquire))
    }

    /// Makes `mm` a member. It must not be one yet.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if there is no room.
    pub fn insert(&self, mm: &Mm, tag: u64) -> Result {
        let id = MmId::of(mm);
        let line = self.line(id).ok_or(ENOSPC)?;
        let way = line
            .keys
            .iter()
            .position(|key| key.cmpxchg(0, id.0, Acquire).is_ok())
            .ok_or(ENOSPC)?;
        // INVARIANT: The reference for the key that was stored just above.
        // SAFETY: `mm` is valid.
        unsafe { bindings::mmgrab(id.as_raw()) };
        if let Some(place) = line.tags.get(way) {
            place.store(tag, Release);
        }
        Ok(())
    }

    /// Makes `mm` a member no longer.
    pub fn remove(&self, mm: &ExitingMm<'_>) {
        let id = mm.id();
        let keys = self.line(id).map(|line| line.keys.iter());
        for key in keys.into_iter().flatten() {
            if key.cmpxchg(id.0, 0, Release).is_ok() {
                // SAFETY: The reference was the key's, by the invariant. It is not the last one, as
                // `ExitingMm` promises.
                unsafe { sys::kx_mmdrop_not_last(id.as_raw()) };
            }
        }
    }

    #[inline]
    fn line(&self, mm: MmId) -> Option<&Line> {
        // Slab objects: the low bits say little.
        let hash = (mm.0 >> 6).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        self.lines.get(hash & self.lines.len().wrapping_sub(1))
    }
}

impl Drop for MmSet {
    fn drop(&mut self) {
        for key in self.lines.iter_mut().flat_map(|line| line.keys.iter_mut()) {
            let mm = *key.get_mut();
            if mm != 0 {
                // SAFETY: By the invariant. Nothing is locked here, so freeing may sleep.
                unsafe { bindings::mmdrop(MmId(mm).as_raw()) };
            }
        }
    }
}
