// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers, and what the kernel exports but
//! `bindings` does not name.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
    pub(crate) fn kx_shmem_mount() -> *mut bindings::vfsmount;
    pub(crate) fn kx_devtmpfs_mount() -> *mut bindings::vfsmount;
    pub(crate) fn kx_may_write_node(
        mount: *mut bindings::vfsmount,
        name: *const ffi::c_char,
        number: bindings::dev_t,
    ) -> ffi::c_int;
    pub(crate) fn kx_shmem_file(
        mount: *mut bindings::vfsmount,
        name: *const ffi::c_char,
        size: bindings::loff_t,
        may_swap: ffi::c_int,
    ) -> *mut bindings::file;
    pub(crate) fn kx_shmem_shown(file: *mut bindings::file) -> *mut bindings::file;
    pub(crate) fn kx_shmem_may_fail(file: *mut bindings::file, may_fail: ffi::c_int);
    pub(crate) fn kx_shmem_clear(
        file: *mut bindings::file,
        from: bindings::loff_t,
        end: bindings::loff_t,
        next: *mut bindings::loff_t,
    ) -> ffi::c_int;
    pub(crate) fn kx_shmem_truncate(
        file: *mut bindings::file,
        size: bindings::loff_t,
    ) -> ffi::c_int;
    pub(crate) fn kx_shmem_map(
        shown: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> ffi::c_int;
    pub(crate) fn kx_shmem_forget_policy(shown: *mut bindings::file, pages: u64);
    pub(crate) fn kx_get_unmapped_area(
        file: *mut bindings::file,
        addr: ffi::c_ulong,
        len: ffi::c_ulong,
        pgoff: ffi::c_ulong,
        flags: ffi::c_ulong,
    ) -> ffi::c_ulong;
    pub(crate) fn kx_mapped_end(file: *mut bindings::file) -> ffi::c_ulong;
    pub(crate) fn kx_each_mapping(
        file: *mut bindings::file,
        each: unsafe extern "C" fn(*mut ffi::c_void, ffi::c_int),
        context: *mut ffi::c_void,
    ) -> ffi::c_int;
    pub(crate) fn kx_pagefault_disable();
    pub(crate) fn kx_pagefault_enable();
    pub(crate) fn kx_iov_len(iter: *const bindings::iov_iter) -> usize;
    pub(crate) fn kx_iov_cut(iter: *mut bindings::iov_iter, most: usize) -> usize;
    pub(crate) fn kx_iov_extend(iter: *mut bindings::iov_iter, by: usize);
    pub(crate) fn kx_inode_cdev(inode: *mut bindings::inode) -> *mut bindings::cdev;
    pub(crate) fn kx_in_compat_syscall() -> ffi::c_int;
    pub(crate) fn kx_override_creds(cred: *const bindings::cred) -> *const bindings::cred;
    pub(crate) fn kx_revert_creds(cred: *const bindings::cred);
    pub(crate) fn kx_must_not_wait(kiocb: *const bindings::kiocb) -> ffi::c_int;
    pub(crate) fn kx_is_append(kiocb: *const bindings::kiocb) -> ffi::c_int;
}

// `include/linux/anon_inodes.h`
extern "C" {
    pub(crate) fn anon_inode_getfile(
        name: *const ffi::c_char,
        ops: *const bindings::file_operations,
        data: *mut ffi::c_void,
        flags: ffi::c_int,
    ) -> *mut bindings::file;
}

// `include/linux/anon_inodes.h`
extern "C" {
    pub(crate) fn anon_inode_getfd(
        name: *const ffi::c_char,
        ops: *const bindings::file_operations,
        data: *mut ffi::c_void,
        flags: ffi::c_int,
    ) -> ffi::c_int;
}

// `include/linux/mm.h`
extern "C" {
    pub(crate) fn mm_get_unmapped_area(
        file: *mut bindings::file,
        addr: ffi::c_ulong,
        len: ffi::c_ulong,
        pgoff: ffi::c_ulong,
        flags: ffi::c_ulong,
    ) -> ffi::c_ulong;
}
