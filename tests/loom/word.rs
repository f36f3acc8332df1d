// SPDX-License-Identifier: GPL-2.0
//! The words of the models.

use loom::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use model::word;

/// A word that loom watches, as large as one; without `ORDER` its stores come in no order, which is a
/// mistake that the models have to find.
#[repr(transparent)]
pub struct Watched<const ORDER: bool = true>(Box<Word>);

struct Word {
    value: AtomicU64,
    /// Swapped, in no order, before each use of the value. loom 0.7 looks for another order of two
    /// accesses only if there was none in between, even if that was a load: it would not try a load
    /// after a task's change which that task began with a load of its own, as each addition in a fast counter.
    /// Accesses that all change something have no such blind spot.
    turn: AtomicU64,
}

impl<const ORDER: bool> Watched<ORDER> {
    fn value(&self) -> &AtomicU64 {
        self.0.turn.swap(0, Relaxed);
        &self.0.value
    }
}

impl<const ORDER: bool> word::Word for Watched<ORDER> {
    fn new(value: u64) -> Self {
        Self(Box::new(Word {
            value: AtomicU64::new(value),
            turn: AtomicU64::new(0),
        }))
    }

    fn peek(&self) -> u64 {
        self.value().load(Relaxed)
    }

    fn load(&self) -> u64 {
        self.value().load(Acquire)
    }

    fn put(&self, value: u64) {
        self.value().store(value, Relaxed);
    }

    fn store(&self, value: u64) {
        self.value()
            .store(value, if ORDER { Release } else { Relaxed });
    }

    fn exchange(&self, value: u64) -> u64 {
        self.value().swap(value, SeqCst)
    }
}

// For `count.c`, to which words with and without order are the same.

#[no_mangle]
extern "C-unwind" fn word_peek(word: &Watched) -> u64 {
    word::Word::peek(word)
}

#[no_mangle]
extern "C-unwind" fn word_load(word: &Watched) -> u64 {
    word::Word::load(word)
}

#[no_mangle]
extern "C-unwind" fn word_replace(word: &Watched, old: &mut u64, new: u64) -> bool {
    match word.value().compare_exchange(*old, new, Relaxed, Relaxed) {
        Ok(_) => true,
        Err(there) => {
            *old = there;
            false
        }
    }
}
