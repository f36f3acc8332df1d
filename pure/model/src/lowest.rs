// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Which of many ranges hold one of very many numbers, in bounded room.
//!
//! The ranges are asked about in ascending order. The numbers come in any order, as often as wanted.
//! So it is enough to keep the lowest of them from the range on that was asked about last; when a
//! question goes beyond those, the numbers must come once more. With room for all there is one round.

use core::ops::{DerefMut, Range};

/// The lowest of the numbers from a bound on, as many as there is room for.
///
/// Once all were offered, these are known: the numbers from `from` to the highest that is kept, or
/// all from `from` on if there was room for them.
pub struct Lowest<R> {
    room: R,
    /// Numbers kept: from `start` to `finish` a heap with the highest first once there is no room
    /// for more, and in ascending order after that.
    len: usize,
    from: u64,
    has_all: bool,
}

impl<R: DerefMut<Target = [u64]>> Lowest<R> {
    /// Nothing is known yet. `room` should not be empty, for nothing is known then.
    pub fn new(room: R) -> Self {
        Self {
            room,
            len: 0,
            from: u64::MAX,
            has_all: false,
        }
    }

    /// How many numbers there is room for.
    pub fn room(&self) -> usize {
        self.room.len()
    }

    /// Forgets all numbers; those from `from` on are going to be offered.
    pub fn start(&mut self, from: u64) {
        self.len = 0;
        self.from = from;
        self.has_all = true;
    }

    /// Takes notice of a number. It may have been offered before.
    pub fn offer(&mut self, number: u64) {
        if number < self.from {
            return;
        }
        let room = &mut *self.room;
        if let Some(free) = room.get_mut(self.len) {
            *free = number;
            self.len += 1;
            if self.len == room.len() {
                make_heap(room);
            }
            return;
        }
        self.has_all = false;
        if let Some(highest) = room.first_mut().filter(|highest| number < **highest) {
            *highest = number;
            sift_down(room, 0);
        }
    }

    /// All were offered.
    pub fn finish(&mut self) {
        let kept = self.room.get_mut(..self.len).unwrap_or_default();
        make_heap(kept);
        for end in (1..kept.len()).rev() {
            kept.swap(0, end);
            sift_down(&mut kept[..end], 0);
        }
    }

    /// Whether `range` holds one of them; `None` if that is not known, which is when all that are
    /// kept lie below `range`, and others were offered.
    ///
    /// What lies below the bound of the last start counts for nothing, even if `range` reaches there:
    /// a range may have grown downwards since it was asked about first. So it is known after a start
    /// from the range's own start, whatever becomes of the range meanwhile, and bounds only rise.
    pub fn any_in(&self, range: &Range<u64>) -> Option<bool> {
        let kept = self.room.get(..self.len).unwrap_or_default();
        let first = kept.partition_point(|&number| number < range.start);
        match kept.get(first) {
            Some(&number) => Some(number < range.end),
            None => self.has_all.then_some(false),
        }
    }
}

fn make_heap(numbers: &mut [u64]) {
    for root in (0..numbers.len() / 2).rev() {
        sift_down(numbers, root);
    }
}

/// Makes a heap of what is one but for its root.
fn sift_down(heap: &mut [u64], root: usize) {
    let mut hole = root;
    loop {
        let (left, right) = (2 * hole + 1, 2 * hole + 2);
        if left >= heap.len() {
            return;
        }
        let is_right = right < heap.len() && heap[right] > heap[left];
        let child = if is_right { right } else { left };
        if heap[hole] >= heap[child] {
            return;
        }
        heap.swap(hole, child);
        hole = child;
    }
}
