// SPDX-License-Identifier: GPL-2.0
//! The kernel's own shared memory (tmpfs without a path), as graphics drivers use it.
//!
//! The kernel does the hard parts: faults, huge pages, futexes, charging to memory cgroups,
//! migration, swap. A mapping refers to the memory's file and to no code of the module, so it
//! outlives descriptor and module alike.
//!
//! Lock order: the inode's lock, then a folio's, then the mapping's `i_mmap_rwsem`. Faults take the
//! latter two with the mmap lock held, so user memory is waited for with none of them (see [`copy`]).

mod copy;

pub use copy::{fault_in, Written};

use crate::{mount::Mount, sys};
use core::{ops::Range, ptr::NonNull};
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    ffi::c_void,
    mm::virt::VmaNew,
    prelude::*,
};

const PAGE: u64 = bindings::PAGE_SIZE as u64;

/// A reference to a file.
///
/// # Invariants
///
/// The pointer is to a file, of which this value owns a reference.
struct OwnedFile(NonNull<bindings::file>);

// SAFETY: The operations of files lock what they need to.
unsafe impl Send for OwnedFile {}
// SAFETY: As above.
unsafe impl Sync for OwnedFile {}

impl OwnedFile {
    /// # Safety
    ///
    /// `file` is a reference that becomes this value's, or an error.
    unsafe fn new(file: *mut bindings::file) -> Result<Self> {
        // INVARIANT: By this function's requirements.
        NonNull::new(from_err_ptr(file)?).map(Self).ok_or(ENOMEM)
    }

    fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours to give up. The last one may be a mapping's;
        // either way shmem's own code does the rest.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// Shared memory: its file, and the same file open for neither reading nor writing, which is what
/// mappings have, so that nothing can be done to the memory by way of a mapping's file.
///
/// # Invariants
///
/// The first was made by `kx_shmem_file` and is open for reading and writing; the second was made of
/// it by `kx_shmem_shown`.
pub struct Memory(OwnedFile, OwnedFile);

impl Memory {
    /// Makes memory of `size` zero bytes, none of them allocated yet. Mappings show `name` in
    /// `/proc/PID/maps`.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new(mount: &Mount, name: &CStr, size: u64, may_swap: bool) -> Result<Self> {
        let size = i64::try_from(size).map_err(|_| EINVAL)?;
        // SAFETY: The mount is valid by its invariant, the name is copied, and the reference is new.
        let file = unsafe {
            let (mount, name) = (mount.as_ptr(), name.as_char_ptr());
            OwnedFile::new(sys::kx_shmem_file(mount, name, size, may_swap.into()))
        }?;
        // SAFETY: The file was made just above, and the reference to the other one is new.
        let shown = unsafe { OwnedFile::new(sys::kx_shmem_shown(file.as_ptr())) }?;
        // INVARIANT: Made just above.
        Ok(Self(file, shown))
    }

    fn shown(&self) -> *mut bindings::file {
        self.1.as_ptr()
    }

    /// Bytes that are in memory now, in whole pages.
    pub fn resident(&self) -> u64 {
        // SAFETY: The file is valid by the invariant, and so is its mapping. The number may change
        // meanwhile, as for all readers in the kernel.
        let pages = unsafe { (&raw const (*(*self.0.as_ptr()).f_mapping).nrpages).read_volatile() };
        (pages as u64).saturating_mul(PAGE)
    }

    /// Makes the memory end at `to` instead of `from`, and allocates the new part. Whoever calls
    /// this pays for it. What the last page of the old part held behind its end becomes zero.
    ///
    /// The caller excludes [`Memory::truncate`], [`Memory::write`] and itself meanwhile.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], [`ENOSPC`], [`EINTR`] after a fatal signal, [`EFBIG`] beyond `RLIMIT_FSIZE`, [`EIO`]
    /// if the page at the old end is damaged.
    /// The memory is as before then.
    pub fn grow(&self, from: u64, to: u64) -> Result {
        let (old, new) = (from, to);
        // The last page of the old part may never have been allocated.
        let start = old.saturating_sub(1) / PAGE * PAGE;
        let length = new.checked_sub(start).ok_or(EINVAL)?;
        self.allocate(start, length)?;
        let tail = old..old.next_multiple_of(PAGE).min(new);
        self.zero(tail).inspect_err(|_| {
            // Shrinking to a page that is there does not fail.
            let _ = self.truncate(old);
        })
    }

    fn allocate(&self, start: u64, length: u64) -> Result {
        let start = i64::try_from(start).map_err(|_| EINVAL)?;
        let length = i64::try_from(length).map_err(|_| EINVAL)?;
        // SAFETY: The file is valid by the invariant. Without memory the allocation is to fail
        // rather than to have some process killed; faults, which cannot fail so, find all pages.
        unsafe { sys::kx_shmem_may_fail(self.0.as_ptr(), 1) };
        // SAFETY: As above.
        let done = unsafe { bindings::vfs_fallocate(self.0.as_ptr(), 0, start, length) };
        // SAFETY: As above.
        unsafe { sys::kx_shmem_may_fail(self.0.as_ptr(), 0) };
        to_result(done)
    }

    /// Makes the memory end at `size`, no larger than before. Accesses to what is cut off get
    /// SIGBUS, wherever it is mapped.
    ///
    /// # Errors
    ///
    /// What the kernel answers; the memory is as before then.
    pub fn truncate(&self, size: u64) -> Result {
        let size = i64::try_from(size).map_err(|_| EINVAL)?;
        // SAFETY: The file is valid by the invariant.
        to_result(unsafe { sys::kx_shmem_truncate(self.0.as_ptr(), size) })
    }

    /// Overwrites what a range has in memory with zeros, in place: its pages stay what they are. What
    /// it has not is zero anyway, and stays away.
    ///
    /// # Errors
    ///
    /// [`EINTR`] after a fatal signal: part of it may be done then. [`EIO`] or [`ENOMEM`] if pages
    /// are damaged or cannot be fetched from swap: all others are done.
    pub fn zero(&self, range: Range<u64>) -> Result {
        let mut position = i64::try_from(range.start).map_err(|_| EINVAL)?;
        let end = i64::try_from(range.end).map_err(|_| EINVAL)?;
        let mut result = Ok(());
        while position < end {
            let from = position;
            // SAFETY: The file is valid by the invariant, and `position` is this function's own.
            let cleared = unsafe { sys::kx_shmem_clear(self.0.as_ptr(), from, end, &mut position) };
            result = result.and(to_result(cleared));
            kx_base::sched::yield_unless_killed()?;
        }
        result
    }

    /// Lets a mapping in the making show this memory. It cannot be enlarged later.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn map(&self, vma: &VmaNew) -> Result {
        vma.set_dontexpand();
        // SAFETY: The vma is being set up, so that its file may still be changed, and the file is
        // valid by the invariant; `vma_set_file` takes a reference and gives up the old one.
        unsafe { bindings::vma_set_file(vma.as_ptr(), self.shown()) };
        // SAFETY: As above: what the memory's file does with a mapping of itself.
        to_result(unsafe { sys::kx_shmem_map(self.shown(), vma.as_ptr()) })
    }

    /// Takes back what `mbind` on mappings said about where pages of the first `size` bytes are to
    /// be allocated, so that whoever allocates them decides. Whoever may map the memory can say
    /// that, even for reading only.
    pub fn forget_policy(&self, size: u64) {
        // SAFETY: The file is valid by the invariant and mapped by `kx_shmem_map` alone.
        unsafe { sys::kx_shmem_forget_policy(self.shown(), size.div_ceil(PAGE)) };
    }

    /// Where in the address space of the current task a mapping fits best: so that huge pages can
    /// be mapped as such. The result is an address or a negative error.
    pub(crate) fn place(&self, address: usize, length: usize, page: usize, flags: usize) -> usize {
        // SAFETY: The file is valid by the invariant; shmem's operations have this function.
        unsafe { sys::kx_get_unmapped_area(self.0.as_ptr(), address, length, page, flags) }
    }

    /// The page behind the last page that is mapped anywhere; 0 if none is.
    pub fn mapped_end(&self) -> u64 {
        // SAFETY: The file is valid by the invariant.
        unsafe { sys::kx_mapped_end(self.0.as_ptr()) as u64 }
    }

    /// Calls `each` for each mapping with the number of its process in the pid namespace of the
    /// current task, or 0 if it has none there. `each` must not allocate, as reclaim may want the
    /// lock, and must take no longer for many mappings than for few, as others wait for it.
    ///
    /// # Errors
    ///
    /// [`EINTR`] after a fatal signal.
    pub fn each_mapping<F: FnMut(i32)>(&self, mut each: F) -> Result {
        /// # Safety
        ///
        /// `context` is an `F` that nobody else uses.
        unsafe extern "C" fn call<F: FnMut(i32)>(context: *mut c_void, number: c_int) {
            // SAFETY: By this function's requirements.
            (unsafe { &mut *context.cast::<F>() })(number);
        }
        // SAFETY: The file is valid by the invariant; `each` is used by `call::<F>` alone until
        // this returns.
        to_result(unsafe {
            sys::kx_each_mapping(self.0.as_ptr(), call::<F>, (&raw mut each).cast())
        })
    }
}

/// The pages of the file that a mapping in the making wants: the first, and how many.
pub fn wanted_pages(vma: &VmaNew) -> (u64, u64) {
    // SAFETY: The vma is valid; while it is set up nobody else changes it.
    let first = unsafe { (*vma.as_ptr()).vm_pgoff };
    let bytes = vma.end().saturating_sub(vma.start()) as u64;
    (first as u64, bytes / PAGE)
}
