// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

use kernel::ffi;

extern "C" {
    pub(crate) fn kx_cond_resched();
    pub(crate) fn kx_fatal_signal_pending() -> ffi::c_int;
}
