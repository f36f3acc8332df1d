// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
    pub(crate) fn kx_get_pid(pid: *mut bindings::pid) -> *mut bindings::pid;
    pub(crate) fn kx_thread_mm(thread: *mut bindings::task_struct) -> *mut bindings::mm_struct;
    pub(crate) fn kx_next_thread(
        task: *const bindings::task_struct,
        thread: *mut bindings::task_struct,
    ) -> *mut bindings::task_struct;
    pub(crate) fn kx_is_listed(thread: *const bindings::task_struct) -> ffi::c_int;
    pub(crate) fn kx_exec_lock(task: *mut bindings::task_struct) -> ffi::c_int;
    pub(crate) fn kx_exec_unlock(task: *mut bindings::task_struct);
    pub(crate) fn kx_is_same_process(
        a: *const bindings::task_struct,
        b: *const bindings::task_struct,
    ) -> ffi::c_int;
    pub(crate) fn kx_is_dumpable(
        task: *const bindings::task_struct,
        ns: *mut *mut bindings::user_namespace,
    ) -> ffi::c_int;
    pub(crate) fn kx_is_kthread(task: *const bindings::task_struct) -> ffi::c_int;
    pub(crate) fn kx_thread_count(task: *const bindings::task_struct) -> ffi::c_uint;
    pub(crate) fn kx_has_stack(thread: *const bindings::task_struct) -> ffi::c_int;
    pub(crate) fn kx_stack_pointer(
        thread: *mut bindings::task_struct,
        mm: *const bindings::mm_struct,
        pointer: *mut u64,
    ) -> ffi::c_int;
    pub(crate) fn kx_page_table_bytes(mm: *const bindings::mm_struct) -> ffi::c_ulong;
    pub(crate) fn kx_swapped_pages(mm: *mut bindings::mm_struct) -> ffi::c_ulong;
    pub(crate) fn kx_vma_is_shared(vma: *const bindings::vm_area_struct) -> ffi::c_int;
    pub(crate) fn kx_vma_grows_down(vma: *const bindings::vm_area_struct) -> ffi::c_int;
    pub(crate) fn kx_vma_backing(vma: *mut bindings::vm_area_struct) -> ffi::c_uint;
    pub(crate) fn kx_mmap_read_lock_killable(mm: *mut bindings::mm_struct) -> ffi::c_int;
    pub(crate) fn kx_mmap_read_lock_within(
        mm: *mut bindings::mm_struct,
        patience: u64,
    ) -> ffi::c_int;
    pub(crate) fn kx_mmap_lock_is_contended(mm: *mut bindings::mm_struct) -> ffi::c_int;
    pub(crate) fn kx_vma_is_shadow_stack(vma: *const bindings::vm_area_struct) -> ffi::c_int;
    pub(crate) fn kx_mm_segments(mm: *mut bindings::mm_struct, segments: *mut Segments);
    pub(crate) fn kx_mm_rss(mm: *mut bindings::mm_struct) -> ffi::c_ulong;
    pub(crate) fn kx_vma_name(
        vma: *mut bindings::vm_area_struct,
        buffer: *mut ffi::c_char,
        size: ffi::c_int,
    ) -> *mut ffi::c_char;
    pub(crate) fn kx_areas_version(
        mm: *mut bindings::mm_struct,
        version: *mut ffi::c_uint,
    ) -> ffi::c_int;
    pub(crate) fn kx_area_at(
        mm: *mut bindings::mm_struct,
        address: ffi::c_ulong,
        start: *mut ffi::c_ulong,
    ) -> ffi::c_int;
    pub(crate) fn kx_areas(
        mm: *mut bindings::mm_struct,
        from: ffi::c_ulong,
        ranges: *mut ffi::c_ulong,
        most: ffi::c_uint,
    ) -> ffi::c_uint;
    pub(crate) fn kx_get_current_tgid() -> *mut bindings::pid;
}

/// `enum kx_backing` of `shim.h`.
pub(crate) const KX_ANONYMOUS: ffi::c_uint = 0;
pub(crate) const KX_SHARED: ffi::c_uint = 2;
pub(crate) const KX_KERNEL: ffi::c_uint = 3;

/// `struct kx_segments` of `shim.h`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Segments {
    pub(crate) start_code: ffi::c_ulong,
    pub(crate) end_code: ffi::c_ulong,
    pub(crate) start_data: ffi::c_ulong,
    pub(crate) end_data: ffi::c_ulong,
    pub(crate) start_brk: ffi::c_ulong,
    pub(crate) brk: ffi::c_ulong,
    pub(crate) start_stack: ffi::c_ulong,
    pub(crate) arg_start: ffi::c_ulong,
    pub(crate) arg_end: ffi::c_ulong,
    pub(crate) env_start: ffi::c_ulong,
    pub(crate) env_end: ffi::c_ulong,
}
