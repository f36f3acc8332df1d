// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Sets of process ids.
//!
//! One bit for each id that there can be: to add an id costs one look at one word, however many there
//! are and in whatever order they come, so an id may be added for each of a million mappings while
//! others wait for a lock. To list them costs one look at each word.

/// Behind the highest id that a process can have (`PID_MAX_LIMIT` of kernels for 64 bits).
pub const END: u32 = 1 << 22;
/// The words that a set takes.
pub const WORDS: usize = END as usize / BITS;

const BITS: usize = u64::BITS as usize;

/// Where a set is kept: [`WORDS`] words.
pub trait Words {
    /// A word; 0 beyond the end.
    fn get(&self, index: usize) -> u64;
    /// Replaces a word; nothing happens beyond the end.
    fn set(&mut self, index: usize, word: u64);
}

impl Words for [u64] {
    fn get(&self, index: usize) -> u64 {
        <[u64]>::get(self, index).copied().unwrap_or(0)
    }

    fn set(&mut self, index: usize, word: u64) {
        if let Some(place) = self.get_mut(index) {
            *place = word;
        }
    }
}

/// A set of process ids.
pub struct Ids<'a, W: ?Sized>(&'a mut W);

impl<'a, W: Words + ?Sized> Ids<'a, W> {
    /// The empty set, kept in words that are all 0.
    pub fn new(words: &'a mut W) -> Self {
        Self(words)
    }

    /// Adds an id. 0 is that of no process.
    pub fn insert(&mut self, id: u32) {
        if id != 0 {
            let index = id as usize / BITS;
            let bit = 1 << (id as usize % BITS);
            self.0.set(index, self.0.get(index) | bit);
        }
    }

    /// Gives the `most` lowest ids to `take`, in ascending order; whether there are more.
    pub fn lowest(&self, most: usize, mut take: impl FnMut(u32)) -> bool {
        let mut left = most;
        for (index, first) in (0..WORDS).zip((0..END).step_by(BITS)) {
            let mut word = self.0.get(index);
            while word != 0 {
                if left == 0 {
                    return true;
                }
                left -= 1;
                take(first | word.trailing_zeros());
                word &= word - 1;
            }
        }
        false
    }
}
