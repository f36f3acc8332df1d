// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! A reader-writer lock whose waits end early when something more important comes.
//!
//! Those who want to be alone go first: nobody else enters once one of them waits. Whoever waits may
//! give up, and leaves the lock as if it had not come.
//!
//! What is known of those inside is held under a lock for looking and counting only, never while
//! somebody is inside. `tests/loom` has the models.

use core::ops::DerefMut;

/// Who is inside.
#[derive(Default)]
pub struct Inside {
    /// How many are in by [`share`].
    sharing: u32,
    /// Whether somebody is in by [`exclude`], or waits for the sharing ones to leave.
    excluding: bool,
}

/// A lock, and a place to wait until others have left.
pub trait Monitor {
    /// Why a wait ended early.
    type Interruption;
    /// The lock is held as long as it lives.
    type Guard<'a>: DerefMut<Target = Inside>
    where
        Self: 'a;

    /// Takes the lock.
    fn lock(&self) -> Self::Guard<'_>;

    /// Waits until [`Self::wake`] is called, for nothing, or until something more important comes. The
    /// lock is given up meanwhile: whoever takes it next finds this one waiting.
    fn wait<'a>(&'a self, guard: &mut Self::Guard<'a>) -> Result<(), Self::Interruption>;

    /// Wakes all that wait.
    fn wake(&self);
}

/// Enters when nobody excludes others.
///
/// # Errors
///
/// The wait was interrupted.
pub fn share<M: Monitor>(lock: &M) -> Result<(), M::Interruption> {
    let mut inside = lock.lock();
    while inside.excluding || inside.sharing == u32::MAX {
        lock.wait(&mut inside)?;
    }
    inside.sharing += 1;
    Ok(())
}

/// Enters when nobody else is inside. Those who come later wait.
///
/// # Errors
///
/// The wait was interrupted.
pub fn exclude<M: Monitor>(lock: &M) -> Result<(), M::Interruption> {
    let mut inside = lock.lock();
    while inside.excluding {
        lock.wait(&mut inside)?;
    }
    inside.excluding = true;
    while inside.sharing > 0 {
        if let Err(interruption) = lock.wait(&mut inside) {
            inside.excluding = false;
            lock.wake();
            return Err(interruption);
        }
    }
    Ok(())
}

/// Leaves after [`share`].
pub fn leave_sharing<M: Monitor>(lock: &M) {
    let mut inside = lock.lock();
    inside.sharing = inside.sharing.saturating_sub(1);
    lock.wake();
}

/// Leaves after [`exclude`].
pub fn leave_excluding<M: Monitor>(lock: &M) {
    lock.lock().excluding = false;
    lock.wake();
}
