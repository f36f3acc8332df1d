// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

use kernel::ffi;

// `shim.h`
extern "C" {
    pub(crate) fn kx_frame_get(pfn: ffi::c_ulong, frame: *mut *const ffi::c_void) -> ffi::c_uint;
    pub(crate) fn kx_frame_put(frame: *const ffi::c_void);
    pub(crate) fn kx_memory_watch() -> *mut MemoryWatch;
    pub(crate) fn kx_memory_unwatch(watch: *mut MemoryWatch);
}

/// `enum kx_frame` of `shim.h`.
pub(crate) const KX_FRAME_HELD: ffi::c_uint = 1;
pub(crate) const KX_FRAME_DEVICE: ffi::c_uint = 2;
pub(crate) const KX_FRAME_POISONED: ffi::c_uint = 4;
pub(crate) const KX_FRAME_ANONYMOUS: ffi::c_uint = 8;
pub(crate) const KX_FRAME_FILE: ffi::c_uint = 16;
pub(crate) const KX_FRAME_INACCESSIBLE: ffi::c_uint = 32;
pub(crate) const KX_FRAME_SECRET: ffi::c_uint = 64;

/// `struct notifier_block`, opaque.
#[repr(C)]
pub(crate) struct MemoryWatch([u8; 0]);
