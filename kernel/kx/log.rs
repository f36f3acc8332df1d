// SPDX-License-Identifier: GPL-2.0
//! Keeping the log readable.

use crate::sys;

/// Whether one more message may be logged now: ten in five seconds, for all of the module together.
/// The kernel reports how many were left out.
pub fn may_log() -> bool {
    // SAFETY: Has no preconditions.
    unsafe { sys::kx_log_ratelimit() != 0 }
}
