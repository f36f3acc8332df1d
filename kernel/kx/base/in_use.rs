// SPDX-License-Identifier: GPL-2.0
//! Keeping the module's own text while it is executed.
//!
//! A reference to the module makes unloading fail ("Module is in use"). It is granted only while
//! the module is in service: neither before its `init` has succeeded, when the kernel would unload
//! it whatever references there are, nor once its unloading has begun.
//!
//! Whoever takes the reference in code that the kernel did not call for the module must still let
//! unloading wait for tasks that have not come to it yet, or have just given it back: neither sleeps
//! voluntarily there, so `synchronize_rcu_tasks` waits for them.

use crate::{log, sys};
use core::mem;
use kernel::{
    prelude::*,
    time::{delay::fsleep, Delta},
};

/// The module cannot be unloaded as long as the value lives.
///
/// # Invariants
///
/// The value owns a reference to the module.
pub struct InUse(());

impl InUse {
    /// `None` if the module is not in service.
    pub fn begin() -> Option<Self> {
        // SAFETY: Has no preconditions.
        let got = unsafe { sys::kx_module_get() } != 0;
        // INVARIANT: It was taken just above.
        got.then(|| Self(()))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // SAFETY: By the invariant, a reference is given back that was taken.
        unsafe { sys::kx_module_put() };
    }
}

/// Keeps the module from ever being unloaded, because the kernel will not stop calling it.
///
/// A module that is being unloaded already can only stay if that never ends.
pub fn for_ever(why: Error) {
    log::module_error(format_args!(
        "the kernel does not let go of it (error {}): it stays loaded until the next boot",
        why.to_errno()
    ));
    match InUse::begin() {
        Some(in_use) => mem::forget(in_use),
        None => loop {
            fsleep(Delta::from_secs(60));
        },
    }
}
