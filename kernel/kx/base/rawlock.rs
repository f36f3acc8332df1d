// SPDX-License-Identifier: GPL-2.0
//! A spinlock that never sleeps, not even on a real-time kernel.
//!
//! For data that probes touch: they run with preemption off, where `SpinLock` may not be taken on
//! PREEMPT_RT. Held for a few hundred instructions at most. Not for data that interrupts touch:
//! taking it leaves them enabled.

use crate::sys;
use kernel::{
    bindings, ffi,
    sync::lock::{Backend, Lock},
};

/// A raw spinlock around a `T`; see [`new_raw_lock!`](crate::new_raw_lock).
pub type RawLock<T> = Lock<T, RawSpin>;

/// The kernel's `raw_spinlock_t`.
pub struct RawSpin;

// SAFETY: A raw spinlock has one owner at a time. `relock` is the default one, which calls `lock`.
unsafe impl Backend for RawSpin {
    type State = bindings::raw_spinlock_t;
    type GuardState = ();

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const ffi::c_char,
        key: *mut bindings::lock_class_key,
    ) {
        // SAFETY: By this function's requirements.
        unsafe { sys::kx_raw_lock_init(ptr, name, key) }
    }

    unsafe fn lock(ptr: *mut Self::State) {
        // SAFETY: By this function's requirements the lock is initialised.
        unsafe { sys::kx_raw_lock(ptr) }
    }

    unsafe fn try_lock(ptr: *mut Self::State) -> Option<()> {
        // SAFETY: By this function's requirements the lock is initialised.
        (unsafe { sys::kx_raw_trylock(ptr) } != 0).then_some(())
    }

    unsafe fn unlock(ptr: *mut Self::State, _state: &()) {
        // SAFETY: By this function's requirements the caller owns the lock.
        unsafe { sys::kx_raw_unlock(ptr) }
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: By this function's requirements the lock is initialised.
        unsafe { sys::kx_raw_assert_held(ptr) }
    }
}

/// Initialises a [`RawLock`]: its content, and the name under which lockdep knows it.
#[macro_export]
macro_rules! new_raw_lock {
    ($inner:expr, $name:literal) => {
        $crate::rawlock::RawLock::new(
            $inner,
            ::kernel::optional_name!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
