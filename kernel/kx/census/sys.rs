// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers, and what the kernel exports but
//! `bindings` does not name.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
    pub(crate) fn kx_cgroup_of(fd: ffi::c_int) -> *mut bindings::cgroup;
    pub(crate) fn kx_cgroup_put(cgroup: *mut bindings::cgroup);
    pub(crate) fn kx_is_in_cgroup(
        task: *mut bindings::task_struct,
        cgroup: *mut bindings::cgroup,
    ) -> ffi::c_int;
    pub(crate) fn kx_pid_ns_of(fd: ffi::c_int) -> *mut bindings::pid_namespace;
    pub(crate) fn kx_process_facts(
        task: *mut bindings::task_struct,
        ns: *mut bindings::pid_namespace,
        facts: *mut ProcessFacts,
    );
    pub(crate) fn kx_process_life(
        task: *const bindings::task_struct,
        live: *mut u64,
        started: *mut u64,
    );
    pub(crate) fn kx_mm_counters(mm: *mut bindings::mm_struct, counters: *mut Counters);
    pub(crate) fn kx_vma_file(vma: *const bindings::vm_area_struct, file: *mut MappedFile);
    pub(crate) fn kx_vma_is_locked(vma: *const bindings::vm_area_struct) -> ffi::c_int;
    pub(crate) fn kx_vma_is_heap(vma: *const bindings::vm_area_struct) -> ffi::c_int;
    pub(crate) fn kx_vma_is_stack(vma: *const bindings::vm_area_struct) -> ffi::c_int;
}

/// `struct kx_process` of `shim.h`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct ProcessFacts {
    pub(crate) cgroup: u64,
    pub(crate) start_time: u64,
    pub(crate) parent: u32,
    pub(crate) user: u32,
}

/// `struct kx_counters` of `shim.h`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) anonymous: u64,
    pub(crate) file: u64,
    pub(crate) shared_memory: u64,
    pub(crate) swapped: u64,
    pub(crate) total: u64,
    pub(crate) locked: u64,
    pub(crate) hugetlb: u64,
    pub(crate) areas: u64,
    pub(crate) users: u64,
}

/// `struct kx_file` of `shim.h`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct MappedFile {
    pub(crate) inode: u64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}
