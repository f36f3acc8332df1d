// SPDX-License-Identifier: GPL-2.0
//! Memory that is held for a caller, and for which the caller's cgroup pays.
//!
//! An allocation that cannot be served fails instead of waking an OOM killer, the cgroup's or the
//! machine's, and leaves no trace in the log.

use crate::sys;
use core::{
    mem::{size_of, transmute},
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};
use kernel::{alloc::Flags, bindings, prelude::*};

/// How to allocate so; for `kmalloc` and `vmalloc` alike. (Where `vmalloc` needs page tables, it may
/// take them from the reserve, but waits for no memory and kills nobody.)
pub fn flags() -> Flags {
    // SAFETY: `Flags` is a structure of one `u32` field and as large, so that it is that field, of
    // which any value is valid; the crate has no name for `__GFP_NORETRY`.
    unsafe { transmute::<u32, Flags>(sys::kx_charged_flags()) }
}

/// Words, zeroed at first.
///
/// # Invariants
///
/// The pointer is to `len` initialised words that this value owns, allocated by `kvmalloc`.
pub struct Words {
    first: NonNull<u64>,
    len: usize,
}

// SAFETY: By the invariant the value owns plain memory, which belongs to no thread.
unsafe impl Send for Words {}
// SAFETY: A shared `Words` only lends its words to be read.
unsafe impl Sync for Words {}

impl Words {
    /// Allocates `len` of them, contiguous in virtual memory.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; also for none.
    pub fn zeroed(len: usize) -> Result<Self> {
        let bytes = len.checked_mul(size_of::<u64>()).filter(|&bytes| bytes > 0);
        // SAFETY: Has no preconditions but a context that may sleep, and a size that is not 0.
        let memory = unsafe { sys::kx_charged_alloc(bytes.ok_or(ENOMEM)?) };
        // INVARIANT: Zeroed and allocated just now; aligned, as `kvmalloc` aligns for any type.
        let first = NonNull::new(memory.cast()).ok_or(ENOMEM)?;
        Ok(Self { first, len })
    }
}

impl Deref for Words {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        // SAFETY: By the invariant; `self` is borrowed with them.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl DerefMut for Words {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: By the invariant; `self` is borrowed mutably with them.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: By the invariant they are ours to free.
        unsafe { bindings::kvfree(self.first.as_ptr().cast()) };
    }
}
