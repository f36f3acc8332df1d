// SPDX-License-Identifier: GPL-2.0
//! Being a good neighbour in long loops.

use crate::sys;
use kernel::{bindings, prelude::*};

/// Offers the CPU to others, and reports a quiescent state to RCU-tasks, as sleeping would. To be
/// called where sleeping is allowed: no spinlock, no RCU.
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
pub fn yield_unless_killed() -> Result {
    cond_resched();
    // SAFETY: Only reads the current task's own signal state.
    if unsafe { sys::kx_fatal_signal_pending() } != 0 {
        return Err(EINTR);
    }
    Ok(())
}

/// Like [`yield_unless_killed`], and asks the caller to give up also if the current task is to be
/// frozen, which can be done only when it is about to return to its program.
///
/// Other signals do not end the work: a timer's, say, could then keep it from ever being done.
///
/// # Errors
///
/// [`EINTR`]; [`ERESTARTNOINTR`] to be returned from a system call that has changed nothing. The
/// kernel then makes the same call again when the task is thawed.
pub fn yield_unless_killed_or_frozen() -> Result {
    yield_unless_killed()?;
    // SAFETY: Only reads the current task's own state.
    if unsafe { sys::kx_must_freeze() } != 0 {
        return Err(ERESTARTNOINTR);
    }
    Ok(())
}

/// Whether a signal wants the current task to come back to its program.
pub fn is_interrupted() -> bool {
    // SAFETY: Only reads the current task's own state.
    unsafe { sys::kx_signal_pending() != 0 }
}

/// Sleeps for a moment, a few milliseconds.
///
/// # Errors
///
/// Those of [`yield_unless_killed_or_frozen`].
pub fn pause() -> Result {
    // SAFETY: Has no preconditions but a context that may sleep.
    unsafe { bindings::schedule_timeout_killable(1) };
    yield_unless_killed_or_frozen()
}

/// The time of CLOCK_MONOTONIC, in nanoseconds.
pub fn now() -> u64 {
    // SAFETY: Has no preconditions.
    unsafe { bindings::ktime_get() }.unsigned_abs()
}
