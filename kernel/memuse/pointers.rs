// SPDX-License-Identifier: GPL-2.0
//! Which mappings hold the stack pointer of a thread.
//!
//! A process may have more threads than a caller should hold pointers for. So a call keeps the
//! lowest from some address on, as many as there is room for, and when its walk gets past them, it
//! looks at all threads again for those that follow. A page of room is every caller's. More of it
//! makes the rounds fewer for crowds of threads, and is for a few callers at a time.

use core::ops::{Deref, DerefMut, Range};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};
use kx_base::charged::Words;
use kx_mm::{mm::Mm, target::Target};
use model::lowest::Lowest;

/// Pointers that every caller has room for: a page.
const SMALL: usize = 512;
/// Pointers that a caller with a large room has room for: 256 KiB.
const LARGE: usize = 32768;
/// Callers that have a large room at the same time, at most.
const LARGE_ROOMS: i32 = 8;
/// Room for threads that start between counting them and looking at them.
const SPARE: usize = 16;

/// The stack pointers of a process's threads, asked for in ascending order.
pub(crate) struct Pointers<'a> {
    target: &'a Target,
    mm: &'a Mm,
    lowest: Option<Lowest<Room>>,
    /// From where on they must be looked for, if they must.
    from: Option<u64>,
    /// How often they may be looked for yet; set when they are for the first time.
    rounds: Option<usize>,
}

impl<'a> Pointers<'a> {
    /// Those of the threads that live in `mm`. Looks at none yet.
    pub(crate) fn new(target: &'a Target, mm: &'a Mm) -> Self {
        Self {
            target,
            mm,
            lowest: None,
            from: Some(0),
            rounds: None,
        }
    }

    /// Whether `range` holds one; `None` if [`prepare`](Self::prepare) must be called before that
    /// can be said. It can be said after that, even if the range grows downwards meanwhile: then
    /// what it has gained does not count.
    pub(crate) fn any_in(&mut self, range: &Range<u64>) -> Option<bool> {
        let known = self.lowest.as_ref().and_then(|lowest| lowest.any_in(range));
        if known.is_none() {
            self.from = Some(range.start);
        }
        known
    }

    /// Looks at the threads if that is necessary. Allocates and sleeps.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`kx_base::sched::yield_unless_killed_or_frozen`]; [`EAGAIN`] if
    /// threads and mappings move so that it would have to be done again and again.
    pub(crate) fn prepare(&mut self) -> Result {
        let Some(from) = self.from.take() else {
            return Ok(());
        };
        let wanted = self.target.thread_count().saturating_add(SPARE);
        let large_enough = |lowest: &Lowest<Room>| lowest.room() >= wanted.min(LARGE);
        let mut lowest = match self.lowest.take().filter(large_enough) {
            Some(lowest) => lowest,
            None => Lowest::new(Room::new(wanted)?),
        };
        let left = self
            .rounds
            .unwrap_or_else(|| most_rounds(wanted, lowest.room()));
        self.rounds = Some(left.checked_sub(1).ok_or(EAGAIN)?);
        lowest.start(from);
        let offer = |pointer| lowest.offer(pointer);
        self.target.each_stack_pointer(self.mm, offer)?;
        lowest.finish();
        self.lowest = Some(lowest);
        Ok(())
    }
}

/// Twice as many rounds as pointers that stand still take, and some for threads that start meanwhile.
fn most_rounds(threads: usize, room: usize) -> usize {
    let enough = threads.checked_div(room).unwrap_or(threads);
    enough.saturating_mul(2).saturating_add(SPARE)
}

/// Room for pointers, for which the caller's cgroup pays.
struct Room {
    words: Words,
    _turn: Option<Turn>,
}

impl Room {
    /// Room for so many if that is possible, otherwise for fewer.
    fn new(wanted: usize) -> Result<Self> {
        if let Some(turn) = (wanted > SMALL).then(Turn::take).flatten() {
            if let Ok(words) = Words::zeroed(wanted.min(LARGE)) {
                let _turn = Some(turn);
                return Ok(Self { words, _turn });
            }
        }
        Ok(Self {
            words: Words::zeroed(wanted.min(SMALL))?,
            _turn: None,
        })
    }
}

impl Deref for Room {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.words
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

/// How many callers have a large room.
static TAKEN: Atomic<i32> = Atomic::new(0);

/// The right to a large room, given back when dropped. Nobody waits for it.
struct Turn;

impl Turn {
    fn take() -> Option<Self> {
        let is_free = TAKEN.fetch_add(1, Relaxed) < LARGE_ROOMS;
        // If not, it is given back at once.
        is_free.then_some(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.fetch_add(-1, Relaxed);
    }
}
