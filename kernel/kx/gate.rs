// SPDX-License-Identifier: GPL-2.0
//! A gate that lets either many in or one, and that nobody waits at longer than a signal.
//!
//! The kernel's own reader-writer locks sleep uninterruptibly in Rust, and what happens behind this
//! gate may take long: it copies from user memory, which somebody else may serve.
//!
//! Locks: `inside` is held for looking and counting only, never while somebody is inside.

use kernel::{
    new_condvar, new_mutex,
    prelude::*,
    sync::{CondVar, Mutex},
};

#[derive(Default)]
struct Inside {
    /// How many are in by [`Gate::share`].
    sharing: u32,
    /// Whether somebody is in by [`Gate::exclude`], or waits for the sharing ones to leave.
    excluding: bool,
}

/// Lets in many that share, or one that excludes all others.
#[pin_data]
pub struct Gate {
    #[pin]
    inside: Mutex<Inside>,
    #[pin]
    left: CondVar,
}

/// Somebody is in, together with others of this kind.
pub struct Sharing<'a>(&'a Gate);

/// Somebody is in alone.
pub struct Excluding<'a>(&'a Gate);

impl Gate {
    /// A gate with nobody inside.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inside <- new_mutex!(Inside::default(), "gate.inside"),
            left <- new_condvar!("gate.left"),
        })
    }

    /// Enters when nobody excludes others.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal came first.
    pub fn share(&self) -> Result<Sharing<'_>> {
        let mut inside = self.inside.lock();
        while inside.excluding {
            self.wait(&mut inside)?;
        }
        inside.sharing = inside.sharing.checked_add(1).ok_or(EAGAIN)?;
        Ok(Sharing(self))
    }

    /// Enters when nobody else is inside. Those who come later wait.
    ///
    /// # Errors
    ///
    /// [`ERESTARTSYS`] if a signal came first.
    pub fn exclude(&self) -> Result<Excluding<'_>> {
        let mut inside = self.inside.lock();
        while inside.excluding {
            self.wait(&mut inside)?;
        }
        inside.excluding = true;
        while inside.sharing > 0 {
            if let Err(error) = self.wait(&mut inside) {
                inside.excluding = false;
                self.left.notify_all();
                return Err(error);
            }
        }
        Ok(Excluding(self))
    }

    fn wait(&self, inside: &mut Guard<'_>) -> Result {
        match self.left.wait_interruptible(inside) {
            true => Err(ERESTARTSYS),
            false => Ok(()),
        }
    }
}

type Guard<'a> = kernel::sync::lock::Guard<'a, Inside, kernel::sync::lock::mutex::MutexBackend>;

impl Drop for Sharing<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.sharing = inside.sharing.saturating_sub(1);
        self.0.left.notify_all();
    }
}

impl Drop for Excluding<'_> {
    fn drop(&mut self) {
        self.0.inside.lock().excluding = false;
        self.0.left.notify_all();
    }
}
