// SPDX-License-Identifier: GPL-2.0
//! Mounts that no process sees.

use crate::sys;
use core::ptr::NonNull;
use kernel::{bindings, error::from_err_ptr, prelude::*};

/// A mount of the kernel's own.
///
/// # Invariants
///
/// The mount is one of the kind that `kern_unmount` undoes, and is owned by this value.
pub struct Mount(NonNull<bindings::vfsmount>);

// SAFETY: A mount belongs to no task.
unsafe impl Send for Mount {}
// SAFETY: A shared `Mount` is only read.
unsafe impl Sync for Mount {}

impl Mount {
    /// A new tmpfs, with huge pages (where the kernel has them) for all that lies within a file's
    /// size. Like any tmpfs it takes half of the machine's memory at most.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], or [`ENODEV`] from a kernel without tmpfs.
    pub fn tmpfs() -> Result<Self> {
        // SAFETY: Has no preconditions but a context that may sleep, as its allocations check.
        Self::new(unsafe { sys::kx_shmem_mount() })
    }

    /// The one devtmpfs of the machine, in which the kernel keeps device nodes.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], or [`ENODEV`] from a kernel without devtmpfs.
    pub fn devtmpfs() -> Result<Self> {
        // SAFETY: As in `tmpfs`.
        Self::new(unsafe { sys::kx_devtmpfs_mount() })
    }

    /// `mount` was just made by one of the shim's functions.
    fn new(mount: *mut bindings::vfsmount) -> Result<Self> {
        // INVARIANT: Both of them end in `fc_mount_longterm`.
        NonNull::new(from_err_ptr(mount)?).map(Self).ok_or(ENOMEM)
    }

    /// The mount, for as long as this value lives.
    pub(crate) fn as_ptr(&self) -> *mut bindings::vfsmount {
        self.0.as_ptr()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // SAFETY: By the invariant. Files that are still in use hold references of their own.
        unsafe { bindings::kern_unmount(self.0.as_ptr()) };
    }
}
