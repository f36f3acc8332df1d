// SPDX-License-Identifier: GPL-2.0
//! The words of the models.

use loom::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use model::word::Word;

/// A word that loom watches, as large as one; without `ORDER` its stores come in no order, which is a
/// mistake that the models have to find.
#[repr(transparent)]
pub struct Watched<const ORDER: bool = true>(Box<AtomicU64>);

impl<const ORDER: bool> Word for Watched<ORDER> {
    fn new(value: u64) -> Self {
        Self(Box::new(AtomicU64::new(value)))
    }

    fn peek(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    fn put(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn store(&self, value: u64) {
        self.0.store(value, if ORDER { Release } else { Relaxed });
    }

    fn exchange(&self, value: u64) -> u64 {
        self.0.swap(value, SeqCst)
    }
}

// For `count.c`, to which words with and without order are the same.

#[no_mangle]
extern "C-unwind" fn word_peek(word: &Watched) -> u64 {
    word.peek()
}

#[no_mangle]
extern "C-unwind" fn word_load(word: &Watched) -> u64 {
    word.load()
}

#[no_mangle]
extern "C-unwind" fn word_replace(word: &Watched, old: &mut u64, new: u64) -> bool {
    match word.0.compare_exchange(*old, new, Relaxed, Relaxed) {
        Ok(_) => true,
        Err(there) => {
            *old = there;
            false
        }
    }
}
