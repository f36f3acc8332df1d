// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

// The kernel's structures hold empty ones, which the lint distrusts; they pass by pointer only.
#![allow(improper_ctypes)]

use crate::fast_counter::FastCounter;
use kernel::{bindings, ffi};

// `shim.h`
extern "C" {
    pub(crate) fn kx_count_copy(
        vmf: *const bindings::vm_fault,
        counter: *mut FastCounter,
        generation: u64,
    ) -> *const bindings::vm_fault;
    pub(crate) fn kx_write_fault(
        vmf: *const bindings::vm_fault,
        name: *const ffi::c_char,
    ) -> ffi::c_uint;
    pub(crate) fn kx_fault_folio(vmf: *const bindings::vm_fault) -> *const bindings::folio;
    pub(crate) fn kx_huge_write_fault(
        vmf: *const bindings::vm_fault,
        name: *const ffi::c_char,
    ) -> ffi::c_uint;
    pub(crate) fn kx_first_write(
        vmf: *const bindings::vm_fault,
        name: *const ffi::c_char,
    ) -> ffi::c_uint;
    pub(crate) fn kx_takeover(
        folio: *const bindings::folio,
        vma: *const bindings::vm_area_struct,
        name: *const ffi::c_char,
    ) -> ffi::c_uint;
    pub(crate) fn kx_folio_is_mapped(folio: *const bindings::folio) -> ffi::c_int;
    pub(crate) fn kx_task_mm(task: *const bindings::task_struct) -> *mut bindings::mm_struct;
    pub(crate) fn kx_mmdrop_not_last(mm: *mut bindings::mm_struct);
}
