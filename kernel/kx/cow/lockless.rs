// SPDX-License-Identifier: GPL-2.0
//! Reading shared memory in code that counts its instructions.
//!
//! `Atomic::load` of the kernel crate is the call of a C helper. What is here compiles to one load.

use core::marker::PhantomData;
use kernel::sync::{
    atomic::{Atomic, AtomicType, Full, Relaxed, Release},
    Arc, ArcBorrow,
};
use model::word::Word;

/// A relaxed load.
#[inline(always)]
pub(crate) fn peek<T: AtomicType + Copy>(atomic: &Atomic<T>) -> T {
    // SAFETY: The pointer is valid. The kernel's atomics may be read so (`READ_ONCE`) beside
    // changes; a word is read in one piece.
    unsafe { atomic.as_ptr().read_volatile() }
}

/// A word of what is pure and works without a lock.
#[repr(transparent)]
pub(crate) struct Shared(Atomic<u64>);

impl Word for Shared {
    #[inline(always)]
    fn new(value: u64) -> Self {
        Self(Atomic::new(value))
    }

    #[inline(always)]
    fn peek(&self) -> u64 {
        peek(&self.0)
    }

    /// x86 loads in the order of the program; so does the compiler, as these loads are volatile.
    #[inline(always)]
    fn load(&self) -> u64 {
        peek(&self.0)
    }

    #[inline(always)]
    fn put(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    #[inline(always)]
    fn store(&self, value: u64) {
        self.0.store(value, Release);
    }

    #[inline(always)]
    fn exchange(&self, value: u64) -> u64 {
        self.0.xchg(value, Full)
    }
}

/// A place for an [`Arc`] that is filled once.
///
/// # Invariants
///
/// The pointer is null, or an `Arc`'s of which the value owns a reference; then it does not change.
pub(crate) struct OnceArc<T> {
    pointer: Atomic<*mut T>,
    _owns: PhantomData<Arc<T>>,
}

impl<T> OnceArc<T> {
    /// An empty place.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            pointer: Atomic::new(core::ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// What is there.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<ArcBorrow<'_, T>> {
        // Relaxed: whoever goes by the pointer is ordered by it.
        let pointer = peek(&self.pointer);
        // SAFETY: By the invariant it is an `Arc`'s, and the reference stays as long as `self`.
        (!pointer.is_null()).then(|| unsafe { ArcBorrow::from_raw(pointer) })
    }

    /// What is there.
    ///
    /// # Safety
    ///
    /// The place must be filled.
    #[inline(always)]
    pub(crate) unsafe fn get_unchecked(&self) -> &T {
        // SAFETY: By the invariant, as the pointer is not null.
        unsafe { &*peek(&self.pointer) }
    }

    /// Fills the place; what is there already stays.
    pub(crate) fn fill(&self, content: Arc<T>) {
        let pointer = Arc::into_raw(content).cast_mut();
        let before = self
            .pointer
            .cmpxchg(core::ptr::null_mut(), pointer, Release);
        // INVARIANT: The reference became the place's, if it was empty.
        if before.is_err() {
            // SAFETY: Of `into_raw` just above, and nobody else has it.
            drop(unsafe { Arc::from_raw(pointer) });
        }
    }
}

impl<T> Drop for OnceArc<T> {
    fn drop(&mut self) {
        let pointer = peek(&self.pointer);
        if !pointer.is_null() {
            // SAFETY: By the invariant the reference is ours.
            drop(unsafe { Arc::from_raw(pointer) });
        }
    }
}
