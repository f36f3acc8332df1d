// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers, and what the kernel exports but
//! `bindings` does not name.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use crate::till::Till;
use kernel::{bindings, ffi};

// `shim.h`, `shim_table.h`, `shim_fault.h`
extern "C" {
    pub(crate) fn kx_cond_resched();
    pub(crate) fn kx_fatal_signal_pending() -> ffi::c_int;
    pub(crate) fn kx_must_freeze() -> ffi::c_int;

    pub(crate) fn kx_log_ratelimit() -> ffi::c_int;

    pub(crate) fn kx_page_alloc() -> *mut ffi::c_void;
    pub(crate) fn kx_charged_flags() -> bindings::gfp_t;
    pub(crate) fn kx_charged_alloc(size: usize) -> *mut ffi::c_void;

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
    pub(crate) fn kx_kernel_stacks(task: *const bindings::task_struct) -> ffi::c_ulong;
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
    pub(crate) fn kx_mmap_lock_is_contended(mm: *mut bindings::mm_struct) -> ffi::c_int;

    pub(crate) fn kx_vma_is_shadow_stack(vma: *const bindings::vm_area_struct) -> ffi::c_int;

    pub(crate) fn kx_find_slot(
        mm: *mut bindings::mm_struct,
        addr: ffi::c_ulong,
        end: ffi::c_ulong,
        next: *mut ffi::c_ulong,
        values: *mut u64,
        count: *mut ffi::c_uint,
    ) -> ffi::c_uint;
    pub(crate) fn kx_copy_table(
        mm: *mut bindings::mm_struct,
        addr: ffi::c_ulong,
        pmd: u64,
        entries: *mut u64,
        count: ffi::c_uint,
    ) -> ffi::c_int;
    pub(crate) fn kx_pte_is_resident(value: u64) -> ffi::c_int;
    pub(crate) fn kx_pmd_is_resident(value: u64) -> ffi::c_int;
    pub(crate) fn kx_pte_is_moving(value: u64) -> ffi::c_int;
    pub(crate) fn kx_pmd_is_moving(value: u64) -> ffi::c_int;
    pub(crate) fn kx_pfn_mask() -> u64;

    pub(crate) fn kx_frame_get(pfn: ffi::c_ulong, frame: *mut *const ffi::c_void) -> ffi::c_uint;
    pub(crate) fn kx_mm_segments(mm: *mut bindings::mm_struct, segments: *mut Segments);
    pub(crate) fn kx_mm_rss(mm: *mut bindings::mm_struct) -> ffi::c_ulong;
    pub(crate) fn kx_vma_name(
        vma: *mut bindings::vm_area_struct,
        buffer: *mut ffi::c_char,
        size: ffi::c_int,
    ) -> *mut ffi::c_char;

    pub(crate) fn kx_paging_levels() -> ffi::c_uint;
    pub(crate) fn kx_copy_top_table(
        mm: *mut bindings::mm_struct,
        entries: *mut u64,
        user: *mut u64,
    ) -> ffi::c_int;
    pub(crate) fn kx_read_path(mm: *mut bindings::mm_struct, addr: ffi::c_ulong, path: *mut u64);

    pub(crate) fn kx_frame_put(frame: *const ffi::c_void);
    pub(crate) fn kx_memory_watch() -> *mut MemoryWatch;
    pub(crate) fn kx_memory_unwatch(watch: *mut MemoryWatch);

    pub(crate) fn kx_pde_data(inode: *const bindings::inode) -> *mut ffi::c_void;

    pub(crate) fn kx_raw_lock_init(
        lock: *mut bindings::raw_spinlock_t,
        name: *const ffi::c_char,
        key: *mut bindings::lock_class_key,
    );
    pub(crate) fn kx_raw_lock(lock: *mut bindings::raw_spinlock_t);
    pub(crate) fn kx_raw_trylock(lock: *mut bindings::raw_spinlock_t) -> ffi::c_int;
    pub(crate) fn kx_raw_unlock(lock: *mut bindings::raw_spinlock_t);
    pub(crate) fn kx_raw_assert_held(lock: *mut bindings::raw_spinlock_t);

    pub(crate) fn kx_count_copy(
        vmf: *const bindings::vm_fault,
        till: *const Till,
        generation: u64,
    ) -> *const bindings::vm_fault;
    pub(crate) fn kx_write_fault(vmf: *const bindings::vm_fault, name: *const u8) -> ffi::c_uint;
    pub(crate) fn kx_fault_folio(vmf: *const bindings::vm_fault) -> *const bindings::folio;
    pub(crate) fn kx_huge_write_fault(
        vmf: *const bindings::vm_fault,
        name: *const u8,
    ) -> ffi::c_uint;
    pub(crate) fn kx_first_write(vmf: *const bindings::vm_fault, name: *const u8) -> ffi::c_uint;
    pub(crate) fn kx_takeover(
        folio: *const bindings::folio,
        vma: *const bindings::vm_area_struct,
        name: *const u8,
    ) -> ffi::c_uint;
    pub(crate) fn kx_folio_is_mapped(folio: *const bindings::folio) -> ffi::c_int;

    pub(crate) fn kx_task_mm(task: *const bindings::task_struct) -> *mut bindings::mm_struct;
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
    pub(crate) fn kx_mmdrop_not_last(mm: *mut bindings::mm_struct);
}

/// `enum kx_slot` of `shim.h`.
pub(crate) const KX_HOLE: ffi::c_uint = 0;
pub(crate) const KX_TABLE: ffi::c_uint = 1;
pub(crate) const KX_PMD: ffi::c_uint = 2;
pub(crate) const KX_CORRUPT: ffi::c_uint = 4;

/// `enum kx_backing` of `shim.h`.
pub(crate) const KX_ANONYMOUS: ffi::c_uint = 0;
pub(crate) const KX_SHARED: ffi::c_uint = 2;
pub(crate) const KX_KERNEL: ffi::c_uint = 3;

/// `enum kx_frame` of `shim.h`.
pub(crate) const KX_FOUND: ffi::c_uint = 0;
pub(crate) const KX_LOST: ffi::c_uint = 1;

/// `struct notifier_block`, opaque.
#[repr(C)]
pub(crate) struct MemoryWatch([u8; 0]);

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

/// `struct kprobe`, opaque.
#[repr(C)]
pub(crate) struct Kprobe([u8; 0]);

// `shim_hook.h`
extern "C" {
    pub(crate) fn kx_module_get() -> ffi::c_int;
    pub(crate) fn kx_module_put();
    pub(crate) fn kx_module_name() -> *const ffi::c_char;

    pub(crate) fn kx_function_address(name: *const ffi::c_char) -> *mut ffi::c_void;

    pub(crate) fn kx_kprobe_register(
        function: *const ffi::c_char,
        handler: unsafe extern "C" fn(*mut Kprobe, *mut bindings::pt_regs) -> ffi::c_int,
        context: *mut ffi::c_void,
        error: *mut ffi::c_int,
    ) -> *mut Kprobe;
    pub(crate) fn kx_kprobe_is_armed(probe: *const Kprobe) -> ffi::c_int;
    pub(crate) fn kx_kprobe_context(probe: *mut Kprobe) -> *mut ffi::c_void;
    pub(crate) fn kx_kprobe_unregister(probe: *mut Kprobe);
    pub(crate) fn kx_in_32bit_syscall() -> ffi::c_int;
    pub(crate) fn kx_syscall_is_assigned(number: ffi::c_uint) -> ffi::c_int;
}

/// `struct fprobe` of `include/linux/fprobe.h`; `shim_hook.c` asserts the offsets.
#[repr(C)]
pub(crate) struct Fprobe {
    pub(crate) nmissed: ffi::c_ulong,
    pub(crate) flags: ffi::c_uint,
    pub(crate) entry_data_size: usize,
    pub(crate) entry_handler: unsafe extern "C" fn(
        *mut Fprobe,
        ffi::c_ulong,
        ffi::c_ulong,
        *mut bindings::ftrace_regs,
        *mut ffi::c_void,
    ) -> ffi::c_int,
    pub(crate) exit_handler: Option<unsafe extern "C" fn()>,
    pub(crate) hlist_array: *mut ffi::c_void,
}

// `include/linux/fprobe.h`
extern "C" {
    pub(crate) fn register_fprobe_syms(
        probe: *mut Fprobe,
        functions: *mut *const ffi::c_char,
        count: ffi::c_int,
    ) -> ffi::c_int;
    pub(crate) fn unregister_fprobe(probe: *mut Fprobe) -> ffi::c_int;
}

// `shim_shmem.h`
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

    pub(crate) fn kx_get_current_tgid() -> *mut bindings::pid;

    pub(crate) fn kx_inode_cdev(inode: *mut bindings::inode) -> *mut bindings::cdev;
    pub(crate) fn kx_in_compat_syscall() -> ffi::c_int;
    pub(crate) fn kx_is_append(kiocb: *const bindings::kiocb) -> ffi::c_int;
}

// `include/linux/anon_inodes.h`, `include/linux/mm.h`
extern "C" {
    pub(crate) fn anon_inode_getfile(
        name: *const ffi::c_char,
        ops: *const bindings::file_operations,
        data: *mut ffi::c_void,
        flags: ffi::c_int,
    ) -> *mut bindings::file;
    pub(crate) fn mm_get_unmapped_area(
        file: *mut bindings::file,
        addr: ffi::c_ulong,
        len: ffi::c_ulong,
        pgoff: ffi::c_ulong,
        flags: ffi::c_ulong,
    ) -> ffi::c_ulong;
}
