// SPDX-License-Identifier: GPL-2.0
//! Memory that is held for a caller, and for which the caller's cgroup pays.
//!
//! An allocation that cannot be served fails instead of waking an OOM killer, the cgroup's or the
//! machine's.

use crate::sys;
use core::{
    mem::size_of,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};
use kernel::{bindings, prelude::*};

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
