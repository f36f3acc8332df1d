// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! A word that several tasks use at the same time, as algorithms without a lock see it.
//!
//! The kernel modules make it of the kernel's atomics, unit tests of those of `core`, and the models in
//! `tests/loom` of words whose every value that a weaker machine than x86 might show is tried.

/// See the module's documentation.
pub trait Word {
    /// A word with this value.
    fn new(value: u64) -> Self;
    /// Loads it, in no order.
    fn peek(&self) -> u64;
    /// Loads it; what is loaded later is not older.
    fn load(&self) -> u64;
    /// Stores it, in no order.
    fn put(&self, value: u64);
    /// Stores it, after all that was stored before.
    fn store(&self, value: u64);
    /// Stores it and returns what it was: after all that came before, and before all that comes later.
    fn exchange(&self, value: u64) -> u64;
}

#[cfg(test)]
impl Word for core::sync::atomic::AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn peek(&self) -> u64 {
        self.load(core::sync::atomic::Ordering::Relaxed)
    }

    fn load(&self) -> u64 {
        self.load(core::sync::atomic::Ordering::Acquire)
    }

    fn put(&self, value: u64) {
        self.store(value, core::sync::atomic::Ordering::Relaxed);
    }

    fn store(&self, value: u64) {
        self.store(value, core::sync::atomic::Ordering::Release);
    }

    fn exchange(&self, value: u64) -> u64 {
        self.swap(value, core::sync::atomic::Ordering::SeqCst)
    }
}
