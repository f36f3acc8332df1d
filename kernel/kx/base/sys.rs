// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
    pub(crate) fn kx_cond_resched();
    pub(crate) fn kx_fatal_signal_pending() -> ffi::c_int;
    pub(crate) fn kx_signal_pending() -> ffi::c_int;
    pub(crate) fn kx_must_freeze() -> ffi::c_int;
    pub(crate) fn kx_log_ratelimit() -> ffi::c_int;
    pub(crate) fn kx_page_alloc() -> *mut ffi::c_void;
    pub(crate) fn kx_charged_flags() -> bindings::gfp_t;
    pub(crate) fn kx_charged_alloc(size: usize) -> *mut ffi::c_void;
    pub(crate) fn kx_raw_lock_init(
        lock: *mut bindings::raw_spinlock_t,
        name: *const ffi::c_char,
        key: *mut bindings::lock_class_key,
    );
    pub(crate) fn kx_raw_lock(lock: *mut bindings::raw_spinlock_t);
    pub(crate) fn kx_raw_trylock(lock: *mut bindings::raw_spinlock_t) -> ffi::c_int;
    pub(crate) fn kx_raw_unlock(lock: *mut bindings::raw_spinlock_t);
    pub(crate) fn kx_raw_assert_held(lock: *mut bindings::raw_spinlock_t);
    pub(crate) fn kx_module_get() -> ffi::c_int;
    pub(crate) fn kx_module_put();
    pub(crate) fn kx_module_name() -> *const ffi::c_char;
}
