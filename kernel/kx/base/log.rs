// SPDX-License-Identifier: GPL-2.0
//! Keeping the log readable.

use crate::sys;
use kernel::{bindings, ffi, fmt};

/// Whether one more message may be logged now: ten in five seconds, for all of the module together.
/// The kernel reports how many were left out.
fn may_log() -> bool {
    // SAFETY: Has no preconditions.
    unsafe { sys::kx_log_ratelimit() != 0 }
}

/// Logs a line at level "error" without the module's name in front, for modules whose document says
/// how their lines begin; see [`may_log`].
pub fn error_line(line: fmt::Arguments<'_>) {
    if may_log() {
        let format = kernel::str::as_char_ptr_in_const_context(c"\x013%pA\n");
        // SAFETY: The format wants one pointer to arguments, which live as long as the call.
        unsafe { bindings::_printk(format, (&raw const line).cast::<ffi::c_void>()) };
    }
}

/// Logs a line at level "error" with the module's name in front.
pub fn module_error(line: fmt::Arguments<'_>) {
    let format = kernel::str::as_char_ptr_in_const_context(c"\x013%s: %pA\n");
    // SAFETY: The format wants a string, which is the module's own, and one pointer to arguments,
    // which live as long as the call.
    unsafe {
        bindings::_printk(
            format,
            sys::kx_module_name(),
            (&raw const line).cast::<ffi::c_void>(),
        )
    };
}
