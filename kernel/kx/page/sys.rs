// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
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
    pub(crate) fn kx_count_table(
        mm: *mut bindings::mm_struct,
        addr: ffi::c_ulong,
        pmd: u64,
        entries: *mut u64,
        facts: *mut u64,
        count: *mut ffi::c_uint,
        frames: ffi::c_int,
    ) -> ffi::c_int;
    pub(crate) fn kx_pmd_facts(
        mm: *mut bindings::mm_struct,
        addr: ffi::c_ulong,
        pmd: u64,
        facts: *mut u64,
        count: *mut ffi::c_uint,
    ) -> ffi::c_int;
    pub(crate) fn kx_pte_absent(value: u64) -> ffi::c_uint;
    pub(crate) fn kx_pmd_absent(value: u64) -> ffi::c_uint;
    pub(crate) fn kx_pfn_mask() -> u64;
    pub(crate) fn kx_paging_levels() -> ffi::c_uint;
    pub(crate) fn kx_copy_top_table(
        mm: *mut bindings::mm_struct,
        entries: *mut u64,
        user: *mut u64,
    ) -> ffi::c_int;
    pub(crate) fn kx_read_path(mm: *mut bindings::mm_struct, addr: ffi::c_ulong, path: *mut u64);
}

/// `enum kx_slot` of `shim.h`.
pub(crate) const KX_HOLE: ffi::c_uint = 0;
pub(crate) const KX_TABLE: ffi::c_uint = 1;
pub(crate) const KX_PMD: ffi::c_uint = 2;
pub(crate) const KX_CORRUPT: ffi::c_uint = 4;

/// `enum kx_absent` of `shim.h`.
pub(crate) const KX_SWAPPED: ffi::c_uint = 0;
pub(crate) const KX_MOVING: ffi::c_uint = 1;
pub(crate) const KX_IN_DEVICE: ffi::c_uint = 2;
