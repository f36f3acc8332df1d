// SPDX-License-Identifier: GPL-2.0
//! Copying between the memory and user memory.
//!
//! User memory may never come: a program or a file server may have to provide it. Whoever writes holds
//! the inode's lock, for which growing, shrinking and other writers wait. So [`Memory::write`] takes
//! what is there and stops at what is not; [`fault_in`] waits for that while nothing is held. Reading
//! takes no lock but for the moment in which it looks for a folio.

use super::Memory;
use crate::sys;
use core::marker::PhantomData;
use kernel::{
    bindings,
    iov::{IovIterDest, IovIterSource},
    prelude::*,
};

/// How much [`fault_in`] waits for at a time. It must be there still when it is copied.
const WINDOW: usize = 1 << 16;

/// What [`Memory::write`] did.
pub struct Written {
    /// How much was written.
    pub bytes: usize,
    /// Whether more would fit, had its source been there.
    pub wants_more: bool,
}

impl Memory {
    /// Reads what lies before `end`; returns how much it was.
    ///
    /// # Errors
    ///
    /// [`EFAULT`]; [`EIO`] at a damaged page.
    pub fn read(&self, from: u64, end: u64, to: &mut IovIterDest<'_>) -> Result<usize> {
        let mut position = i64::try_from(from).map_err(|_| EINVAL)?;
        let limit = Limit::new(to.as_raw(), end.saturating_sub(from));
        if limit.is_empty() {
            return Ok(0);
        }
        // SAFETY: The file is valid by the invariant and `to` for writing into by its own.
        count(unsafe { bindings::vfs_iter_read(self.0.as_ptr(), limit.iter, &mut position, 0) })
    }

    /// Writes what fits before `end`, up to what is not there.
    ///
    /// The caller excludes [`Memory::truncate`] meanwhile.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if nothing fits; [`ENOMEM`]; [`EIO`] at a damaged page; [`EFBIG`] beyond
    /// `RLIMIT_FSIZE`.
    pub fn write(&self, at: u64, end: u64, from: &mut IovIterSource<'_>) -> Result<Written> {
        let mut position = i64::try_from(at).map_err(|_| EINVAL)?;
        let limit = Limit::new(from.as_raw(), end.saturating_sub(at));
        if limit.is_empty() {
            return Err(ENOSPC);
        }
        let no_faults = NoFaults::begin();
        // SAFETY: The file is valid by the invariant and `from` for reading from by its own.
        let done = count(unsafe {
            bindings::vfs_iter_write(self.0.as_ptr(), limit.iter, &mut position, 0)
        });
        drop(no_faults);
        match done {
            Ok(bytes) => Ok(Written {
                bytes,
                wants_more: !limit.is_empty(),
            }),
            Err(error) if error == EFAULT => Ok(Written {
                bytes: 0,
                wants_more: true,
            }),
            Err(error) => Err(error),
        }
    }
}

/// Waits until what would be read next is there. Nobody else may have to wait for the caller
/// meanwhile.
///
/// # Errors
///
/// [`EFAULT`] if it will not come; [`EINTR`] after a fatal signal.
pub fn fault_in(from: &mut IovIterSource<'_>) -> Result {
    let window = from.len().min(WINDOW);
    // SAFETY: The iterator is valid by its invariant. User memory may be waited for here, as this
    // may sleep.
    let missing = unsafe { bindings::fault_in_iov_iter_readable(from.as_raw(), window) };
    kx_base::sched::yield_unless_killed()?;
    match missing < window {
        true => Ok(()),
        false => Err(EFAULT),
    }
}

/// While this lives, the current task gets an error where it would have to wait for user memory. All
/// else works as usual, sleeping included; gfs2 writes in the same way.
struct NoFaults(PhantomData<*mut ()>);

impl NoFaults {
    fn begin() -> Self {
        // SAFETY: Only counts in the current task.
        unsafe { sys::kx_pagefault_disable() };
        Self(PhantomData)
    }
}

impl Drop for NoFaults {
    fn drop(&mut self) {
        // SAFETY: `begin` counted in this task, as the value cannot be sent to another.
        unsafe { sys::kx_pagefault_enable() };
    }
}

/// An iterator that ends early, until this is dropped.
///
/// # Invariants
///
/// `iter` is valid and used through this value alone; `cut` bytes were taken off its end.
struct Limit {
    iter: *mut bindings::iov_iter,
    cut: usize,
}

impl Limit {
    fn new(iter: *mut bindings::iov_iter, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        // SAFETY: The callers' iterators are valid and theirs alone.
        let cut = unsafe { sys::kx_iov_cut(iter, most) };
        Self { iter, cut }
    }

    fn is_empty(&self) -> bool {
        // SAFETY: By the invariant.
        unsafe { sys::kx_iov_len(self.iter) == 0 }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // SAFETY: By the invariant: these bytes were there before.
        unsafe { sys::kx_iov_extend(self.iter, self.cut) };
    }
}

/// A count, or a negative error.
fn count(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::from_errno(result as c_int))
}
