// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Where copies, the commonest faults by far, are counted without a lock.
//!
//! A till belongs to a program. It is open for some of its memory areas: a plain copy there is one
//! atomic addition. Whatever else happens is entered under the program's lock, and so is the opening;
//! whoever wants to know the counts collects them, under the lock, too.
//!
//! An area may be in one of `SETS` sets, which has room for `WAYS`. If there is none, who has it
//! keeps it, unless it turns out after `PATIENCE` faults of others that they come more often: areas
//! that are equally busy do not throw each other out at each fault.
//!
//! The addition is made in C, at the entry of the fault: `kx_till_count` of `kernel/kx/cow/till.h`,
//! which must agree with what is here. `tests/loom` compiles it and tries the two out together.
//!
//! # Why nothing is lost or counted twice
//!
//! An entry's word is the number of copies with the number of its opening above it. The addition
//! replaces the word only if it is still the one that was read *before* the start of the area and
//! the generation were compared. Whoever opens the entry for another area, or begins another
//! generation, closes it first and changes the word, so that additions which were under way fail,
//! and are tried again with what is there then. (An addition could only be fooled if the entry were
//! opened 65536 times between its two instructions, and as many copies counted.)
//!
//! A generation leaves what was not open in the one before as it is, with its word. So an entry is
//! opened by a store that comes after that of the generation, and an addition loads the start first.
//!
//! A till that [rests](Till::rest) does so for one task only, which waits for it: an addition of
//! another that is under way is none the worse.

use crate::word::Word;
use core::mem::{offset_of, size_of};

/// Sets of areas: `KX_TILL_SETS`, a bit of `Till::open` each.
const SETS: usize = 64;

/// Areas of one set that a till can be open for at the same time: `KX_TILL_WAYS`.
const WAYS: usize = 2;

/// Faults in areas that found no room in their set before one of them may take another's.
const PATIENCE: u64 = 32;

/// No area begins there.
const CLOSED: u64 = u64::MAX;

/// No member's generation.
const RESTS: u64 = 0;

/// The part of an entry's word that counts. There is room for a million copies in each second of
/// eight years.
const COPIES: u64 = (1 << 48) - 1;

/// `struct kx_till_entry`.
#[repr(C)]
struct Entry<W> {
    start: W,
    copies: W,
}

/// See the module's documentation; `struct kx_till` from its `generation` on, and behind it what C
/// does not know. A set is within a cache line if the first one is.
#[repr(C, align(16))]
pub struct Till<W> {
    generation: W,
    _unused: u64,
    sets: [[Entry<W>; WAYS]; SETS],
    /// A bit for each set in which something may be open.
    open: W,
    /// For each set: faults that found no room.
    misses: [W; SETS],
}

// `till.h` has the same.
const _: () = assert!(size_of::<Entry<u64>>() == 16 && offset_of!(Till<u64>, sets) == 16);

/// Receives the start of an area and the number of copies there.
pub trait Collect: FnMut(u64, u64) {}
impl<F: FnMut(u64, u64)> Collect for F {}

impl<W: Word> Default for Till<W> {
    /// A closed till.
    fn default() -> Self {
        let entry = |_| Entry {
            start: W::new(CLOSED),
            copies: W::new(0),
        };
        Self {
            generation: W::new(RESTS),
            _unused: 0,
            sets: core::array::from_fn(|_| core::array::from_fn(entry)),
            open: W::new(0),
            misses: core::array::from_fn(|_| W::new(0)),
        }
    }
}

impl<W: Word> Till<W> {
    /// Makes a closed till, where it lies, of one whose words are all 0 and which nobody has yet. The
    /// stack of a kernel has no room to make one there.
    pub fn close_zeroed(&self) {
        for entry in self.sets.iter().flatten() {
            entry.start.put(CLOSED);
        }
        self.generation.put(RESTS);
    }

    /// From now on only members of this generation, which is not 0 and has none yet, are counted; what
    /// was there is forgotten.
    ///
    /// This and the following may only be called by one task at a time.
    pub fn begin(&self, generation: u32) {
        self.generation.put(generation.into());
        self.entries().for_each(|entry| {
            entry.close();
        });
        self.open.put(0);
    }

    /// Nothing that begins after this, as the current task's next fault, is counted until the till
    /// [goes on](Self::go_on).
    pub fn rest(&self) {
        self.generation.put(RESTS);
    }

    /// Whether it rests; known for sure if it does so for the current task.
    pub fn is_resting(&self) -> bool {
        self.generation.peek() == RESTS
    }

    /// Goes on, with the generation that it had.
    pub fn go_on(&self, generation: u32) {
        self.generation.put(generation.into());
    }

    /// There was a copy in the area that begins at `start`: opens for it, if it is not open for it and
    /// there is room or another has to give way. What was counted for others may be collected.
    pub fn open(&self, start: u64, collect: impl Collect) {
        let number = number_of_set(start);
        let (Some(set), Some(misses)) = (self.sets.get(number), self.misses.get(number)) else {
            return;
        };
        if set.iter().any(|entry| entry.is_of(start)) {
            return;
        }
        let free = set.iter().find(|entry| entry.is_of(CLOSED));
        let Some(entry) = free.or_else(|| give_way(set, misses, collect)) else {
            return;
        };
        self.open.put(self.open.peek() | 1 << number);
        entry.start.store(start);
    }

    /// Collects what was counted for the area that begins at `start`.
    pub fn collect_of(&self, start: u64, collect: impl Collect) {
        if let Some(entry) = self.entry_of(start) {
            entry.collect(collect);
        }
    }

    /// Closes for the area that begins at `start`, and returns what was counted for it.
    pub fn close(&self, start: u64) -> u64 {
        self.entry_of(start).map_or(0, Entry::close)
    }

    /// Collects everything; what is open stays open.
    pub fn collect(&self, mut collect: impl Collect) {
        self.entries().for_each(|entry| {
            entry.collect(&mut collect);
        });
    }

    fn entry_of(&self, start: u64) -> Option<&Entry<W>> {
        let set = self.sets.get(number_of_set(start))?;
        set.iter().find(|entry| entry.is_of(start))
    }

    /// Those that may be open.
    fn entries(&self) -> impl Iterator<Item = &Entry<W>> {
        let mut open = self.open.peek();
        let numbers = core::iter::from_fn(move || {
            let number = open.trailing_zeros();
            open &= open.wrapping_sub(1);
            self.sets.get(number as usize)
        });
        numbers.flatten()
    }
}

/// As `kx_till_count` has it.
fn number_of_set(start: u64) -> usize {
    (((start >> 12) as u32).wrapping_mul(0x61C8_8647) >> 26) as usize
}

/// One more fault found no room in a set. Closes the least busy entry if those who found none since
/// the last time were busier.
fn give_way<'a, W: Word>(
    set: &'a [Entry<W>; WAYS],
    misses: &W,
    mut collect: impl Collect,
) -> Option<&'a Entry<W>> {
    let missed = misses.peek().saturating_add(1);
    if missed < PATIENCE {
        misses.put(missed);
        return None;
    }
    misses.put(0);
    let copies = set.iter().map(|entry| entry.collect(&mut collect));
    let (entry, least) = set.iter().zip(copies).min_by_key(|(_, copies)| *copies)?;
    if least >= PATIENCE {
        return None;
    }
    let start = entry.start.peek();
    let copies = entry.close();
    if copies > 0 {
        collect(start, copies);
    }
    Some(entry)
}

impl<W: Word> Entry<W> {
    fn is_of(&self, start: u64) -> bool {
        self.start.peek() == start
    }

    fn collect(&self, mut collect: impl Collect) -> u64 {
        let word = self.copies.peek();
        if word & COPIES == 0 {
            return 0;
        }
        let copies = self.copies.exchange(word & !COPIES) & COPIES;
        collect(self.start.peek(), copies);
        copies
    }

    fn close(&self) -> u64 {
        self.start.put(CLOSED);
        let opening = (self.copies.peek() & !COPIES).wrapping_add(COPIES + 1);
        // The exchange orders: who reads the new word finds the entry closed, or what came after.
        self.copies.exchange(opening) & COPIES
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::vec::Vec;

    fn words(till: &Till<AtomicU64>) -> Vec<u64> {
        let entries = till.sets.iter().flatten();
        let entries = entries.flat_map(|entry| [&entry.start, &entry.copies]);
        let all = [&till.generation, &till.open].into_iter().chain(entries);
        all.chain(&till.misses).map(Word::peek).collect()
    }

    #[test]
    fn a_zeroed_till_becomes_a_closed_one() {
        let till = Till::<AtomicU64>::default();
        for entry in till.sets.iter().flatten() {
            entry.start.put(0);
        }
        assert!(words(&till).iter().all(|word| *word == 0));
        till.close_zeroed();
        assert_eq!(words(&till), words(&Till::default()));
    }
}
