// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers, and what the kernel exports but
//! `bindings` does not name.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
    pub(crate) fn kx_pde_data(inode: *const bindings::inode) -> *mut ffi::c_void;
}

// `include/linux/proc_fs.h`
extern "C" {
    pub(crate) fn proc_create_data(
        name: *const ffi::c_char,
        mode: bindings::umode_t,
        parent: *mut ProcDirEntry,
        ops: *const ProcOps,
        data: *mut ffi::c_void,
    ) -> *mut ProcDirEntry;
    pub(crate) fn proc_remove(entry: *mut ProcDirEntry);
}

/// `struct proc_ops` of `include/linux/proc_fs.h`; `shim.c` asserts the offsets.
#[repr(C)]
pub(crate) struct ProcOps {
    pub(crate) flags: ffi::c_uint,
    pub(crate) open: unsafe extern "C" fn(*mut bindings::inode, *mut bindings::file) -> ffi::c_int,
    pub(crate) read: unsafe extern "C" fn(
        *mut bindings::file,
        *mut ffi::c_char,
        usize,
        *mut bindings::loff_t,
    ) -> isize,
    pub(crate) read_iter: Option<unsafe extern "C" fn()>,
    pub(crate) write: unsafe extern "C" fn(
        *mut bindings::file,
        *const ffi::c_char,
        usize,
        *mut bindings::loff_t,
    ) -> isize,
    pub(crate) lseek:
        unsafe extern "C" fn(*mut bindings::file, bindings::loff_t, ffi::c_int) -> bindings::loff_t,
    pub(crate) release:
        unsafe extern "C" fn(*mut bindings::inode, *mut bindings::file) -> ffi::c_int,
    /// `proc_poll` and all that follow: NULL.
    pub(crate) rest: [usize; 9],
}

/// `struct proc_dir_entry`, opaque.
#[repr(C)]
pub(crate) struct ProcDirEntry([u8; 0]);
