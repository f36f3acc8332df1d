// SPDX-License-Identifier: GPL-2.0
//! A reader-writer lock that nobody waits for longer than until a signal.
//!
//! The kernel's own reader-writer locks sleep uninterruptibly in Rust, and what happens under
//! this one may take long: it copies from user memory, which somebody else may serve.
//!
//! Who may enter when is told in [`model::rw_lock`]. The mutex `inside` is an inner lock: it is held
//! for looking and counting only.

use kernel::{
    new_condvar, new_mutex,
    prelude::*,
    sync::{
        lock::{mutex::MutexBackend, Guard},
        CondVar, Mutex,
    },
};
use model::rw_lock::{self, Inside, Monitor};

/// Lets in many that share, or one that excludes all others.
#[pin_data]
pub struct InterruptibleRwLock {
    #[pin]
    inside: Mutex<Inside>,
    #[pin]
    left: CondVar,
}

/// Somebody is in, together with others of this kind.
pub struct Sharing<'a>(&'a InterruptibleRwLock);

/// Somebody is in alone.
pub struct Excluding<'a>(&'a InterruptibleRwLock);

impl InterruptibleRwLock {
    /// A lock that nobody holds.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inside <- new_mutex!(Inside::default(), "rw_lock.inside"),
            left <- new_condvar!("rw_lock.left"),
        })
    }

    /// Enters when nobody excludes others.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal came first.
    pub fn share(&self) -> Result<Sharing<'_>> {
        rw_lock::share(self)?;
        Ok(Sharing(self))
    }

    /// Enters when nobody else is inside. Those who come later wait.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal came first.
    pub fn exclude(&self) -> Result<Excluding<'_>> {
        rw_lock::exclude(self)?;
        Ok(Excluding(self))
    }
}

impl Monitor for InterruptibleRwLock {
    type Interruption = Error;
    type Guard<'a> = Guard<'a, Inside, MutexBackend>;

    fn lock(&self) -> Self::Guard<'_> {
        self.inside.lock()
    }

    fn wait<'a>(&'a self, guard: &mut Self::Guard<'a>) -> Result {
        match self.left.wait_interruptible(guard) {
            true => Err(ERESTARTSYS),
            false => Ok(()),
        }
    }

    fn wake(&self) {
        self.left.notify_all();
    }
}

impl Drop for Sharing<'_> {
    fn drop(&mut self) {
        rw_lock::leave_sharing(self.0);
    }
}

impl Drop for Excluding<'_> {
    fn drop(&mut self) {
        rw_lock::leave_excluding(self.0);
    }
}
