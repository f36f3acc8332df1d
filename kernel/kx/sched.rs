// SPDX-License-Identifier: GPL-2.0
//! Being a good neighbour in long loops.

use crate::sys;
use kernel::{bindings, prelude::*};

/// Offers the CPU to others. To be called where sleeping is allowed: no spinlock, no RCU.
pub fn cond_resched() {
    // SAFETY: Has no preconditions but a context that may sleep; a violation is reported by the
    // kernel's own check and corrupts nothing.
    unsafe { sys::kx_cond_resched() }
}

/// Offers the CPU, and asks the caller to give up if the current task was killed.
///
/// # Errors
///
/// [`EINTR`] once a fatal signal is pending.
pub fn breathe() -> Result {
    cond_resched();
    // SAFETY: Only reads the current task's own signal state.
    if unsafe { sys::kx_fatal_signal_pending() } != 0 {
        return Err(EINTR);
    }
    Ok(())
}

/// The time of CLOCK_MONOTONIC, in nanoseconds.
pub fn now() -> u64 {
    // SAFETY: Has no preconditions.
    unsafe { bindings::ktime_get() }.unsigned_abs()
}
