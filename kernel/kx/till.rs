// SPDX-License-Identifier: GPL-2.0
//! Where copies, the commonest faults by far, are counted without a lock.
//!
//! A till belongs to a program. It is open for some of its memory areas: a plain copy there is one
//! atomic addition, made in C at the entry of the fault (`kx_count_copy`). Whatever else happens is
//! entered under the program's lock, and so is the opening; whoever wants to know the counts
//! collects them, under the lock, too.
//!
//! An area may be in one of [`SETS`] sets, which has room for [`WAYS`]. If there is none, who has it
//! keeps it, unless it turns out after [`PATIENCE`] faults of others that they come more often: areas
//! that are equally busy do not throw each other out at each fault.
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
//! A till that [rests](Till::rest) does so for one task only, which waits for it: an addition of
//! another that is under way is none the worse.

use crate::{lockless::peek, task::Comm};
use core::mem::offset_of;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// Sets of areas: `KX_TILL_SETS`, a bit of `Till::open` each.
const SETS: usize = 64;

/// Areas of one set that a till can be open for at the same time: `KX_TILL_WAYS`.
const WAYS: usize = 2;

/// Faults in areas that found no room in their set before one of them may take another's.
const PATIENCE: u64 = 32;

/// No area begins there.
const CLOSED: u64 = u64::MAX;

/// No member's generation.
const RESTS: u32 = 0;

/// The part of an entry's word that counts. There is room for a million copies in each second of
/// eight years.
const COPIES: u64 = (1 << 48) - 1;

/// `struct kx_till_entry`.
#[repr(C)]
struct Entry {
    start: Atomic<u64>,
    copies: Atomic<u64>,
}

// `shim_fault.h` has the same.
const _: () = assert!(size_of::<Entry>() == 16 && offset_of!(Till, sets) == 32);

/// See the module's documentation; `struct kx_till`, and behind it what C does not know. A set is
/// within a cache line.
#[repr(C, align(64))]
pub struct Till {
    comm: Comm,
    generation: Atomic<u32>,
    _unused: [u32; 3],
    sets: [[Entry; WAYS]; SETS],
    /// A bit for each set in which something may be open.
    open: Atomic<u64>,
    /// For each set: faults that found no room.
    misses: [Atomic<u64>; SETS],
}

/// Receives the start of an area and the number of copies there.
pub trait Collect: FnMut(u64, u64) {}
impl<F: FnMut(u64, u64)> Collect for F {}

impl Till {
    /// A closed till of the programs of this name.
    pub fn new(comm: Comm) -> Self {
        let entry = || Entry {
            start: Atomic::new(CLOSED),
            copies: Atomic::new(0),
        };
        let set = || core::array::from_fn(|_| entry());
        Self {
            comm,
            generation: Atomic::new(RESTS),
            _unused: [0; 3],
            sets: core::array::from_fn(|_| set()),
            open: Atomic::new(0),
            misses: core::array::from_fn(|_| Atomic::new(0)),
        }
    }

    /// The programs' name.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }

    /// From now on only members of this generation, which is not 0, are counted; what was there is
    /// forgotten.
    ///
    /// This and the following may only be called by one task at a time.
    pub fn begin(&self, generation: u32) {
        self.generation.store(generation, Relaxed);
        self.entries().for_each(|entry| {
            entry.close();
        });
        self.open.store(0, Relaxed);
    }

    /// Nothing that begins after this, as the current task's next fault, is counted until the till
    /// [goes on](Self::go_on).
    pub fn rest(&self) {
        self.generation.store(RESTS, Relaxed);
    }

    /// Whether it rests; known for sure if it does so for the current task.
    pub fn is_resting(&self) -> bool {
        peek(&self.generation) == RESTS
    }

    /// Goes on, with the generation that it had.
    pub fn go_on(&self, generation: u32) {
        self.generation.store(generation, Relaxed);
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
        self.open.store(peek(&self.open) | 1 << number, Relaxed);
        entry.start.store(start, Relaxed);
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

    fn entry_of(&self, start: u64) -> Option<&Entry> {
        let set = self.sets.get(number_of_set(start))?;
        set.iter().find(|entry| entry.is_of(start))
    }

    /// Those that may be open.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let mut open = peek(&self.open);
        let numbers = core::iter::from_fn(move || {
            let number = open.trailing_zeros();
            open &= open.wrapping_sub(1);
            self.sets.get(number as usize)
        });
        numbers.flatten()
    }
}

/// As `kx_count_copy` has it.
fn number_of_set(start: u64) -> usize {
    (((start >> 12) as u32).wrapping_mul(0x61C8_8647) >> 26) as usize
}

/// One more fault found no room in a set. Closes the least busy entry if those who found none since
/// the last time were busier.
fn give_way<'a>(
    set: &'a [Entry; WAYS],
    misses: &Atomic<u64>,
    mut collect: impl Collect,
) -> Option<&'a Entry> {
    let missed = peek(misses).saturating_add(1);
    if missed < PATIENCE {
        misses.store(missed, Relaxed);
        return None;
    }
    misses.store(0, Relaxed);
    let copies = set.iter().map(|entry| entry.collect(&mut collect));
    let (entry, least) = set.iter().zip(copies).min_by_key(|(_, copies)| *copies)?;
    if least >= PATIENCE {
        return None;
    }
    let start = peek(&entry.start);
    let copies = entry.close();
    if copies > 0 {
        collect(start, copies);
    }
    Some(entry)
}

impl Entry {
    fn is_of(&self, start: u64) -> bool {
        peek(&self.start) == start
    }

    fn collect(&self, mut collect: impl Collect) -> u64 {
        let word = peek(&self.copies);
        if word & COPIES == 0 {
            return 0;
        }
        let copies = self.copies.xchg(word & !COPIES, Full) & COPIES;
        collect(peek(&self.start), copies);
        copies
    }

    fn close(&self) -> u64 {
        self.start.store(CLOSED, Relaxed);
        let opening = (peek(&self.copies) & !COPIES).wrapping_add(COPIES + 1);
        // The exchange orders: who reads the new word finds the entry closed, or what came after.
        self.copies.xchg(opening, Full) & COPIES
    }
}
