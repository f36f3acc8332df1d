// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library's mutex and condition in memory that processes share.

use std::io;
use std::mem::MaybeUninit;

use anyhow::{ensure, Result};
use pagelens::kshram::Mapping;

/// Bytes that both take together.
const SIZE: usize = size_of::<libc::pthread_mutex_t>() + size_of::<libc::pthread_cond_t>();

/// A robust mutex with a condition, at the beginning of a mapping.
///
/// # Invariants
/// The mapping starts with both, initialised by [`RobustMutex::create`] of this
/// process or of another that maps the same memory; it outlives this value.
#[derive(Debug)]
pub struct RobustMutex<'a> {
    memory: &'a Mapping,
}

/// The mutex is held. Dropping it unlocks.
#[derive(Debug)]
pub struct Held<'a> {
    mutex: &'a RobustMutex<'a>,
    /// Whether the last holder died while it held the mutex: what it guards may be half done.
    pub owner_died: bool,
}

impl<'a> RobustMutex<'a> {
    /// Bytes of the mapping that are taken.
    pub const SIZE: usize = SIZE;

    /// Initialises both for all processes that map the memory. Nobody may use them yet.
    ///
    /// # Errors
    /// If the mapping is too small.
    pub fn create(memory: &'a Mapping) -> Result<Self> {
        let this = Self::open(memory)?;
        let mut for_mutex = MaybeUninit::uninit();
        let mut for_condition = MaybeUninit::uninit();
        // SAFETY: The attributes are initialised before they are used, and the mapping has room for
        // both at addresses that are aligned, as it starts with a page.
        unsafe {
            check(libc::pthread_mutexattr_init(for_mutex.as_mut_ptr()))?;
            let shared = libc::PTHREAD_PROCESS_SHARED;
            check(libc::pthread_mutexattr_setpshared(
                for_mutex.as_mut_ptr(),
                shared,
            ))?;
            let robust = libc::PTHREAD_MUTEX_ROBUST;
            check(libc::pthread_mutexattr_setrobust(
                for_mutex.as_mut_ptr(),
                robust,
            ))?;
            check(libc::pthread_mutex_init(this.mutex(), for_mutex.as_ptr()))?;
            check(libc::pthread_condattr_init(for_condition.as_mut_ptr()))?;
            check(libc::pthread_condattr_setpshared(
                for_condition.as_mut_ptr(),
                shared,
            ))?;
            check(libc::pthread_cond_init(
                this.condition(),
                for_condition.as_ptr(),
            ))?;
        }
        Ok(this)
    }

    /// What another process initialised.
    ///
    /// # Errors
    /// If the mapping is too small.
    pub fn open(memory: &'a Mapping) -> Result<Self> {
        ensure!(memory.len() >= SIZE, "the mapping is too small");
        Ok(Self { memory })
    }

    /// Locks.
    ///
    /// # Errors
    /// If a holder died and the next did not make it consistent again.
    pub fn lock(&'a self) -> Result<Held<'a>> {
        // SAFETY: By the type invariant.
        let result = unsafe { libc::pthread_mutex_lock(self.mutex()) };
        let owner_died = result == libc::EOWNERDEAD;
        if !owner_died {
            check(result)?;
        }
        Ok(Held {
            mutex: self,
            owner_died,
        })
    }

    /// Wakes all who wait for the condition.
    ///
    /// # Errors
    /// None that is known.
    pub fn notify_all(&self) -> Result<()> {
        // SAFETY: By the type invariant.
        check(unsafe { libc::pthread_cond_broadcast(self.condition()) })
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.memory.as_mut_ptr().cast()
    }

    fn condition(&self) -> *mut libc::pthread_cond_t {
        let mutex = size_of::<libc::pthread_mutex_t>();
        self.memory.as_mut_ptr().wrapping_add(mutex).cast()
    }
}

impl Held<'_> {
    /// Says that what a dead holder left has been put in order.
    ///
    /// # Errors
    /// If no holder died.
    pub fn make_consistent(&mut self) -> Result<()> {
        // SAFETY: By the invariant of the mutex.
        check(unsafe { libc::pthread_mutex_consistent(self.mutex.mutex()) })?;
        self.owner_died = false;
        Ok(())
    }

    /// Unlocks, waits for the condition (or for nothing at all) and locks again.
    ///
    /// # Errors
    /// If a holder died meanwhile.
    pub fn wait(&mut self) -> Result<()> {
        // SAFETY: By the invariant of the mutex, which this thread holds.
        check(unsafe { libc::pthread_cond_wait(self.mutex.condition(), self.mutex.mutex()) })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant of the mutex, which this thread holds.
        unsafe { libc::pthread_mutex_unlock(self.mutex.mutex()) };
    }
}

fn check(result: libc::c_int) -> Result<()> {
    ensure!(result == 0, io::Error::from_raw_os_error(result));
    Ok(())
}
