// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers, and what the kernel exports but
//! `bindings` does not name.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
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

// `include/linux/fprobe.h`
extern "C" {
    pub(crate) fn register_fprobe_syms(
        probe: *mut Fprobe,
        functions: *mut *const ffi::c_char,
        count: ffi::c_int,
    ) -> ffi::c_int;
    pub(crate) fn unregister_fprobe(probe: *mut Fprobe) -> ffi::c_int;
}

/// `struct kprobe`, opaque.
#[repr(C)]
pub(crate) struct Kprobe([u8; 0]);

/// `struct fprobe` of `include/linux/fprobe.h`; `shim.c` asserts the offsets.
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
