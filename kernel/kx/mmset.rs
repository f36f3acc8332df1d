// SPDX-License-Identifier: GPL-2.0
//! A set of address spaces that probes can ask without a lock, with a tag for each.
//!
//! The address of a structure is the key, and the set holds a reference (of the `mmgrab` kind) to
//! each member, so that no other address space can appear under the same key. The number of members
//! is bounded; a lookup that finds nothing looks at one cache line.
//!
//! An address space is inserted before its first user runs in it, and removed after its last one is
//! gone. So it is never looked up while it is being removed; while it is being inserted it may be, by
//! somebody who writes to another's memory, and is found with its tag or not at all.

use crate::{lockless::peek, mm, sys};
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

/// Members of one line.
const WAYS: usize = 7;

/// A key that is being inserted; no structure has this address.
const RESERVED: usize = 1;

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

    /// Writes its areas that end above `from` to `list`, as far as they fit, and returns how many
    /// they are. Fit for probes.
    pub fn areas(&self, from: u64, list: &mut [Area]) -> usize {
        // SAFETY: The type's promise: nobody can change the areas.
        unsafe { mm::areas(self.0, from, list) }
    }

    /// Where the area that holds `address` begins. Fit for probes.
    pub fn area_start(&self, address: u64) -> Option<u64> {
        // SAFETY: The type's promise.
        unsafe { mm::area_start(self.0, address) }
    }
}

/// Two cache lines, of which a lookup that finds nothing reads the first; and of that one word, if
/// nothing is there to be found.
#[repr(C, align(64))]
struct Line {
    /// The number of members; while one comes or goes it may be one too many.
    used: Atomic<usize>,
    keys: [Atomic<usize>; WAYS],
    tags: [Atomic<u64>; WAYS],
}

impl Line {
    /// x86 reads the key before the tag, as the compiler does.
    #[inline(always)]
    fn find(&self, mm: MmId) -> Option<u64> {
        let ways = self.keys.iter().zip(&self.tags);
        for (key, tag) in ways {
            if peek(key) == mm.0 {
                return Some(peek(tag));
            }
        }
        None
    }
}

/// See the module's documentation.
///
/// # Invariants
///
/// - Each key but 0 and [`RESERVED`] is the address of a `struct mm_struct` of which the set owns a
///   reference, and its tag is the member's.
/// - What `mask` lets through of a number is a multiple of a line's size, and less than that of all.
pub struct MmSet {
    lines: KVVec<Line>,
    mask: usize,
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
                used: Atomic::new(0),
                keys: [const { Atomic::new(0) }; WAYS],
                tags: [const { Atomic::new(0) }; WAYS],
            };
            set.push(line, GFP_KERNEL_ACCOUNT)?;
        }
        // INVARIANT: A power of two of lines, and no member.
        Ok(Self {
            lines: set,
            mask: lines.wrapping_sub(1).wrapping_mul(size_of::<Line>()),
        })
    }

    /// The tag of a member.
    #[inline(always)]
    pub fn get(&self, mm: MmId) -> Option<u64> {
        let line = self.line(mm);
        if peek(&line.used) == 0 {
            return None;
        }
        line.find(mm)
    }

    /// Makes `mm` a member. It must not be one yet.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if there is no room.
    pub fn insert(&self, mm: &Mm, tag: u64) -> Result {
        let id = MmId::of(mm);
        let line = self.line(id);
        line.used.fetch_add(1, Relaxed);
        let mut ways = line.keys.iter().zip(&line.tags);
        let way = ways.find(|(key, _)| key.cmpxchg(0, RESERVED, Acquire).is_ok());
        let Some((key, place)) = way else {
            line.used.fetch_sub(1, Relaxed);
            return Err(ENOSPC);
        };
        // SAFETY: `mm` is valid.
        unsafe { bindings::mmgrab(id.as_raw()) };
        place.store(tag, Relaxed);
        // INVARIANT: With the reference that was taken just above, and after its tag: others may
        // write to a child's memory before it runs.
        key.store(id.0, Release);
        Ok(())
    }

    /// Makes `mm` a member no longer.
    pub fn remove(&self, mm: &ExitingMm<'_>) {
        let id = mm.id();
        let line = self.line(id);
        for key in &line.keys {
            if key.cmpxchg(id.0, 0, Release).is_ok() {
                line.used.fetch_sub(1, Relaxed);
                // SAFETY: The reference was the key's, by the invariant. It is not the last one, as
                // `ExitingMm` promises.
                unsafe { sys::kx_mmdrop_not_last(id.as_raw()) };
            }
        }
    }

    /// In three instructions, which every fault of every process pays.
    #[inline(always)]
    fn line(&self, mm: MmId) -> &Line {
        let hash = mm.0.wrapping_mul(0x9E37_79B9_u32 as i32 as usize) >> 25;
        // SAFETY: By the invariant a line begins so many bytes on.
        unsafe { &*self.lines.as_ptr().byte_add(hash & self.mask) }
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
