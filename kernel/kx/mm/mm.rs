// SPDX-License-Identifier: GPL-2.0
//! Address spaces of other processes.
//!
//! An [`Mm`] is a reference that keeps the structure; [`MmWithUser`] (from `Mm::mmget_not_zero`)
//! keeps the contents too, so that its page tables can be walked. Both are the kernel crate's.
//!
//! Lock order: mmap lock, then RCU, then a page table's lock. The guard of the mmap lock is a
//! value; giving up an `MmWithUser` may free the address space and so sleeps: never under a guard
//! or in an RCU read section.

use crate::sys;
pub use kernel::mm::{virt::VmaRef, Mm, MmWithUser};
use kernel::{bindings, error::to_result, prelude::*, types::NotThreadSafe};
use kx_base::sched;
use model::{
    ledger::Area,
    memuse::{self, Backing, Layout},
};

/// Size of all VMAs in pages, as `/proc/PID/statm` has it first.
pub fn total_vm(mm: &Mm) -> u64 {
    // SAFETY: `mm` is a valid structure. The field may change while it is read; a word is read in
    // one piece.
    unsafe { (&raw const (*mm.as_raw()).__bindgen_anon_1.total_vm).read_volatile() as u64 }
}

/// Where an address space has its heap and its main stack.
pub fn layout(mm: &Mm) -> Layout {
    // SAFETY: `mm` is a valid structure. The fields may change while they are read; a word is read
    // in one piece.
    unsafe {
        let fields = &raw const (*mm.as_raw()).__bindgen_anon_1;
        Layout::new(
            (&raw const (*fields).start_brk).read_volatile() as u64,
            (&raw const (*fields).brk).read_volatile() as u64,
            (&raw const (*fields).start_stack).read_volatile() as u64,
        )
    }
}

/// Bytes of page tables below the top-level one, as `VmPTE` in `/proc/PID/status` has them. Takes the same time for any
/// size.
pub fn page_table_bytes(mm: &Mm) -> u64 {
    // SAFETY: `mm` is a valid structure.
    unsafe { sys::kx_page_table_bytes(mm.as_raw()) as u64 }
}

/// Pages in swap, as `VmSwap` in `/proc/PID/status` has them. Takes a look at each CPU's count.
pub fn swapped_pages(mm: &MmWithUser) -> u64 {
    // SAFETY: `mm` is valid and has users, so that its counters are there.
    unsafe { sys::kx_swapped_pages(mm.as_raw()) as u64 }
}

/// What the kind of a VMA's memory depends on.
pub fn area(vma: &VmaRef) -> memuse::Area {
    // SAFETY: `vma` is valid and cannot change as it is borrowed.
    let (backing, grows_down) = unsafe {
        (
            sys::kx_vma_backing(vma.as_ptr()),
            sys::kx_vma_grows_down(vma.as_ptr()) != 0,
        )
    };
    memuse::Area {
        range: vma.start() as u64..vma.end() as u64,
        backing: match backing {
            sys::KX_ANONYMOUS => Backing::Anonymous,
            sys::KX_SHARED => Backing::SharedMemory,
            sys::KX_KERNEL => Backing::Kernel,
            _ => Backing::File,
        },
        grows_down,
    }
}

/// Whether a VMA is a shared mapping, for reading or for writing too.
///
/// Not by `flags::MAYSHARE`: in Linux 7.2 that constant has the value of `VM_MAYEXEC`.
pub fn is_shared(vma: &VmaRef) -> bool {
    // SAFETY: `vma` is valid as it is borrowed.
    unsafe { sys::kx_vma_is_shared(vma.as_ptr()) != 0 }
}

/// Whether a VMA is a shadow stack, whose pages are writable though their entries do not say so.
pub fn is_shadow_stack(vma: &VmaRef) -> bool {
    // SAFETY: `vma` is valid as it is borrowed.
    unsafe { sys::kx_vma_is_shadow_stack(vma.as_ptr()) != 0 }
}

/// The mmap lock of an address space, held for reading.
///
/// # Invariants
///
/// The current task holds the lock.
pub struct ReadGuard<'a> {
    mm: &'a MmWithUser,
    _same_task: NotThreadSafe,
}

/// Locks the mappings of `mm` against changes.
///
/// # Errors
///
/// [`EINTR`] if the current task was killed while it waited.
pub fn read_lock(mm: &MmWithUser) -> Result<ReadGuard<'_>> {
    // SAFETY: `mm` is valid and has users.
    to_result(unsafe { sys::kx_mmap_read_lock_killable(mm.as_raw()) })?;
    // INVARIANT: Locked just above.
    Ok(ReadGuard {
        mm,
        _same_task: NotThreadSafe,
    })
}

/// How long to wait for the mmap locks of an address space, all in all. Whoever looks at processes
/// that he did not choose must not wait for ever: a process whose lock nobody gets is easily made, and
/// so is one whose lock is had only after waiting, thousands of times.
pub struct Patience(u64);

/// No limit: `KX_FOR_EVER`.
const FOR_EVER: u64 = u64::MAX;

impl Patience {
    /// Of so many nanoseconds.
    pub fn of(ns: u64) -> Self {
        Self(ns.min(FOR_EVER - 1))
    }

    /// Without a limit, for whoever named the process.
    pub fn for_ever() -> Self {
        Self(FOR_EVER)
    }

    /// How many nanoseconds are left.
    pub fn left(&self) -> u64 {
        self.0
    }

    fn spend(&mut self, ns: u64) {
        if self.0 != FOR_EVER {
            self.0 = self.0.saturating_sub(ns);
        }
    }
}

/// Like [`read_lock`], but no longer than `patience` lasts (and two ticks), from which it takes off
/// the time, whether it gets the lock or not; `None` when that is used up. Signals that do not kill
/// wait meanwhile.
///
/// # Errors
///
/// Those of [`sched::breathe_or_freeze`].
pub fn read_lock_within<'a>(
    mm: &'a MmWithUser,
    patience: &mut Patience,
) -> Result<Option<ReadGuard<'a>>> {
    while !try_or_wait(mm, patience) {
        sched::breathe_or_freeze()?;
        if patience.left() == 0 {
            return Ok(None);
        }
    }
    // INVARIANT: Locked just above.
    Ok(Some(ReadGuard {
        mm,
        _same_task: NotThreadSafe,
    }))
}

/// Whether the current task holds the mmap lock now, for reading. It waits once.
fn try_or_wait(mm: &MmWithUser, patience: &mut Patience) -> bool {
    // SAFETY: `mm` is valid and has users.
    if unsafe { bindings::mmap_read_trylock(mm.as_raw()) } {
        return true;
    }
    if patience.left() == 0 {
        return false;
    }
    let start = sched::now();
    // SAFETY: As above.
    let is_locked = unsafe { sys::kx_mmap_read_lock_within(mm.as_raw(), patience.left()) } == 0;
    patience.spend(sched::now().saturating_sub(start));
    is_locked
}

/// How many areas an address space has, more or less: without a lock.
pub fn area_count(mm: &MmWithUser) -> u64 {
    // SAFETY: `mm` is valid; a number that others change is read in one piece.
    let count = unsafe { (&raw const (*mm.as_raw()).__bindgen_anon_1.map_count).read_volatile() };
    u64::from(count.unsigned_abs())
}

/// Tells the areas of one moment from those of another: the kernel counts how often their lock was
/// taken for changes. The count comes again after 2³¹ times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AreasVersion(pub u32);

impl AreasVersion {
    /// The version of now; `None` while they are being changed.
    pub fn of(mm: &Mm) -> Option<Self> {
        let mut version = 0;
        // SAFETY: `mm` is valid; only reads its counter.
        let is_known = unsafe { sys::kx_areas_version(mm.as_raw(), &raw mut version) } != 0;
        is_known.then_some(Self(version))
    }
}

/// The areas of an address space, which may have ended: then there are none. Nobody changes them as
/// long as the value lives.
///
/// # Invariants
///
/// The current task holds the mmap lock for reading.
pub struct AreasGuard<'a> {
    mm: &'a Mm,
    _same_task: NotThreadSafe,
}

impl<'a> AreasGuard<'a> {
    /// # Errors
    ///
    /// [`EINTR`] if the current task was killed while it waited for the mmap lock.
    pub fn lock(mm: &'a Mm) -> Result<Self> {
        // SAFETY: `mm` is valid; its lock may be taken even when it has no users any more.
        to_result(unsafe { sys::kx_mmap_read_lock_killable(mm.as_raw()) })?;
        // INVARIANT: Locked just above.
        Ok(Self {
            mm,
            _same_task: NotThreadSafe,
        })
    }

    /// Writes the areas that end above `from` to `list`, as far as they fit, and returns how many
    /// they are.
    pub fn read(&self, from: u64, list: &mut [Area]) -> usize {
        // SAFETY: By the invariant.
        unsafe { areas(self.mm, from, list) }
    }

    /// Whether an area holds `address`.
    pub fn has(&self, address: u64) -> bool {
        // SAFETY: By the invariant: whoever takes the areas down locks them for changes.
        unsafe { area_start(self.mm, address) }.is_some()
    }
}

impl Drop for AreasGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the current task holds the lock.
        unsafe { bindings::mmap_read_unlock(self.mm.as_raw()) };
    }
}

/// Writes the areas of `mm` that end above `from` to `list`, as far as they fit, and returns how
/// many they are.
///
/// # Safety
///
/// Nobody may be able to change the areas during the call.
pub unsafe fn areas(mm: &Mm, from: u64, list: &mut [Area]) -> usize {
    let most = u32::try_from(list.len()).unwrap_or(u32::MAX);
    let to = list.as_mut_ptr().cast();
    // SAFETY: By this function's requirements; an `Area` is two words, and `most` of them fit.
    (unsafe { sys::kx_areas(mm.as_raw(), from as usize, to, most) }) as usize
}

/// Where the area of `mm` that holds `address` begins. Fit for probes: it takes no lock. While the
/// areas are being changed the answer may be of before or after, and none where there is one for a
/// moment.
///
/// # Safety
///
/// The areas may be changed during the call, but not taken down: the caller holds the mmap lock or a
/// user, or they are an `ExitingMm`'s.
pub unsafe fn area_start(mm: &Mm, address: u64) -> Option<u64> {
    let mut start = 0;
    // SAFETY: By this function's requirements the tree of areas is one that may be read under RCU,
    // which its destruction alone does not wait for.
    let is_area = unsafe { sys::kx_area_at(mm.as_raw(), address as usize, &raw mut start) } != 0;
    is_area.then_some(start as u64)
}

impl<'a> ReadGuard<'a> {
    /// The address space.
    pub fn mm(&self) -> &'a MmWithUser {
        self.mm
    }

    /// The first VMA that ends above `address`.
    pub fn find_vma(&self, address: usize) -> Option<&VmaRef> {
        // SAFETY: By the invariant the lock is held, for as long as the VMA is borrowed.
        unsafe {
            let vma = bindings::find_vma(self.mm.as_raw(), address);
            (!vma.is_null()).then(|| VmaRef::from_raw(vma))
        }
    }

    /// Whether somebody waits for the lock.
    pub fn is_contended(&self) -> bool {
        // SAFETY: `mm` is valid.
        unsafe { sys::kx_mmap_lock_is_contended(self.mm.as_raw()) != 0 }
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the current task holds the lock.
        unsafe { bindings::mmap_read_unlock(self.mm.as_raw()) };
    }
}
