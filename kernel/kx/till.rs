// SPDX-License-Identifier: GPL-2.0
//! Where copies, the commonest faults by far, are counted without a lock.
//!
//! A till belongs to a program. It is open for a few of its memory areas: a plain copy there is one
//! atomic addition, made in C at the entry of the fault (`kx_count_copy`). Whatever else happens is
//! entered under the program's lock, and so is the opening; whoever wants to know the counts
//! collects them, under the lock, too.
//!
//! # Why nothing is lost or counted twice
//!
//! An entry's word is the number of copies with the number of its opening above it. The addition
//! replaces the word only if it is still the one that was read *before* the start of the area and
//! the generation were compared. Whoever opens the entry for another area, or begins another
//! generation, closes it first and changes the word, so that additions which were under way fail,
//! and are entered under the lock instead. (An addition could only be fooled if the entry were
//! opened 65536 times between its two instructions, and as many copies counted.)

use crate::{lockless::peek, task::Comm};
use core::mem::offset_of;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// Areas that a till can be open for: `KX_TILL_ENTRIES`.
const ENTRIES: usize = 8;

/// No area begins there.
const CLOSED: u64 = u64::MAX;

/// The part of an entry's word that counts. There is room for a million copies in each second of
/// eight years.
const COPIES: u64 = (1 << 48) - 1;

/// `struct kx_till_entry`.
#[repr(C)]
struct Entry {
    start: Atomic<u64>,
    copies: Atomic<u64>,
}

// `shim_fault.c` asserts the same.
const _: () = assert!(size_of::<Entry>() == 16 && offset_of!(Till, entries) == 24);

/// See the module's documentation; `struct kx_till`.
#[repr(C)]
pub struct Till {
    comm: Comm,
    generation: Atomic<u32>,
    entries: [Entry; ENTRIES],
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
        Self {
            comm,
            generation: Atomic::new(0),
            entries: core::array::from_fn(|_| entry()),
        }
    }

    /// The programs' name.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }

    /// From now on only members of this generation are counted; what was there is forgotten.
    ///
    /// This and the following may only be called by one task at a time.
    pub fn begin(&self, generation: u32) {
        self.generation.store(generation, Relaxed);
        self.close(|_, _| ());
    }

    /// Opens for the area that begins at `start`, if it is not open for it; what was counted for
    /// another that has to give way is collected.
    pub fn open(&self, start: u64, collect: impl Collect) {
        let Some(entry) = self.entry(start) else {
            return;
        };
        if peek(&entry.start) != start {
            entry.close(collect);
            entry.start.store(start, Relaxed);
        }
    }

    /// Collects what was counted for the area that begins at `start`.
    pub fn collect_of(&self, start: u64, collect: impl Collect) {
        if let Some(entry) = self.entry(start).filter(|e| peek(&e.start) == start) {
            entry.collect(collect);
        }
    }

    /// Collects everything; what is open stays open.
    pub fn collect(&self, mut collect: impl Collect) {
        self.entries.iter().for_each(|e| e.collect(&mut collect));
    }

    /// Collects everything and closes.
    pub fn close(&self, mut collect: impl Collect) {
        self.entries.iter().for_each(|e| e.close(&mut collect));
    }

    fn entry(&self, start: u64) -> Option<&Entry> {
        self.entries.get((start >> 12) as usize % ENTRIES)
    }
}

impl Entry {
    fn collect(&self, collect: impl Collect) {
        let opening = peek(&self.copies) & !COPIES;
        self.take(opening, peek(&self.start), collect);
    }

    fn close(&self, collect: impl Collect) {
        let start = peek(&self.start);
        self.start.store(CLOSED, Relaxed);
        let opening = (peek(&self.copies) & !COPIES).wrapping_add(COPIES + 1);
        // The exchange orders: who reads the new word finds the entry closed, or what came after.
        self.take(opening, start, collect);
    }

    fn take(&self, new: u64, start: u64, mut collect: impl Collect) {
        let copies = self.copies.xchg(new, Full) & COPIES;
        if copies > 0 {
            collect(start, copies);
        }
    }
}
