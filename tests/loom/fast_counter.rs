// SPDX-License-Identifier: GPL-2.0
//! Copies that are counted in a fast counter, by the kernel's C, beside the one task that changes it.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Arc;

use loom::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use loom::thread::{self, JoinHandle};
use model::fast_counter::FastCounter;

use crate::check;
use crate::word::Watched;

extern "C-unwind" {
    /// `count.c`.
    fn fast_count(counter: *const c_void, start: u64, generation: u64) -> bool;
}

/// `struct kx_fast_counter`.
#[repr(C)]
struct KxFastCounter<const ORDER: bool> {
    name: [u8; 16],
    counter: FastCounter<Watched<ORDER>>,
}

/// Areas of one set, and so one more than it has room for.
const AREAS: [u64; 3] = [0x1000, 0x3_8000, 0x5_a000];

const PATIENCE: usize = 32;

/// A fast counter, and what one task has collected out of it.
struct Counter<const ORDER: bool> {
    shared: Arc<KxFastCounter<ORDER>>,
    collected: BTreeMap<u64, u64>,
}

impl<const ORDER: bool> Counter<ORDER> {
    /// Generation 1.
    fn new() -> Self {
        let shared = KxFastCounter {
            name: [0; 16],
            counter: FastCounter::default(),
        };
        shared.counter.begin(1);
        Self {
            shared: Arc::new(shared),
            collected: BTreeMap::new(),
        }
    }

    fn fast(&self) -> &FastCounter<Watched<ORDER>> {
        &self.shared.counter
    }

    fn open(&mut self, start: u64) {
        let collected = &mut self.collected;
        self.shared.counter.open(start, |start, copies| {
            assert!(copies > 0, "nothing is no copy");
            *collected.entry(start).or_default() += copies;
        });
    }

    fn close(&mut self, start: u64) {
        *self.collected.entry(start).or_default() += self.shared.counter.close(start);
    }

    fn collect(&mut self) {
        let collected = &mut self.collected;
        self.shared.counter.collect(|start, copies| {
            assert!(copies > 0, "nothing is no copy");
            *collected.entry(start).or_default() += copies;
        });
    }

    fn collected(&mut self, start: u64) -> u64 {
        self.collect();
        self.collected.get(&start).copied().unwrap_or_default()
    }

    fn count(&self, start: u64, generation: u32) -> bool {
        count(&self.shared, start, generation)
    }

    /// Another task has copied so many pages. Returns how many were counted.
    fn copies(&self, pages: usize, start: u64, generation: u32) -> JoinHandle<u64> {
        let shared = self.shared.clone();
        thread::spawn(move || {
            let counted = (0..pages).filter(|_| count(&shared, start, generation));
            counted.count() as u64
        })
    }
}

fn count<const ORDER: bool>(counter: &KxFastCounter<ORDER>, start: u64, generation: u32) -> bool {
    let counter = std::ptr::from_ref(counter).cast();
    // SAFETY: It is what C takes it for, as far as that looks: the words have the size of the kernel's,
    // and are what the functions of `word.rs` take.
    unsafe { fast_count(counter, start, generation.into()) }
}

#[test]
fn both_sides_look_for_an_area_in_the_same_set() {
    check(0, || {
        let mut counter = Counter::<true>::new();
        let far_and_near = (0..47).map(|bit| 1 << bit);
        let starts = far_and_near.chain((0..100).map(|n| n * 0x0123_4567_8000));
        for start in starts.map(|start| (start | 0x1000) & !0xfff) {
            assert!(!counter.count(start, 1));
            counter.open(start);
            assert!(counter.count(start, 1), "{start:#x}");
            counter.close(start);
            assert_eq!(counter.collected.remove(&start), Some(1));
        }
    });
}

#[test]
fn a_copy_is_collected_once() {
    check(3, || {
        let mut counter = Counter::<true>::new();
        let [area, ..] = AREAS;
        counter.open(area);
        let one = counter.copies(2, area, 1);
        let other = counter.copies(1, area, 1);
        counter.collect();
        counter.collect();
        assert_eq!(one.join().unwrap(), 2);
        assert_eq!(other.join().unwrap(), 1);
        assert_eq!(counter.collected(area), 3);
    });
}

#[test]
fn the_copies_of_one_area_are_collected_alone() {
    check(0, || {
        let mut counter = Counter::<true>::new();
        let [first, second, never_open] = AREAS;
        for (area, copies) in [(first, 3), (second, 2)] {
            counter.open(area);
            (0..copies).for_each(|_| assert!(counter.count(area, 1)));
        }
        let mut collected = Vec::new();
        for area in [first, never_open, first] {
            let fast = counter.fast();
            fast.collect_of(area, |start, copies| collected.push((start, copies)));
        }
        assert_eq!(collected, [(first, 3)]);
        assert!(counter.count(first, 1), "it is still open");
        assert_eq!(counter.collected(first), 1);
        assert_eq!(counter.collected(second), 2);
    });
}

#[test]
fn a_copy_of_an_old_generation_does_not_count_in_the_next() {
    check(3, || {
        let mut counter = Counter::<true>::new();
        let [area, ..] = AREAS;
        counter.open(area);
        let copies = counter.copies(1, area, 1);
        counter.collect();
        let collected = counter.collected.remove(&area).unwrap_or_default();
        counter.fast().begin(2);
        counter.open(area);
        let copies = copies.join().unwrap();
        assert!(collected <= copies);
        assert_eq!(counter.collected(area), 0);
    });
}

/// Its members come when it has begun.
#[test]
fn a_copy_of_the_next_generation_is_not_forgotten() {
    check(3, || {
        let mut counter = Counter::<true>::new();
        let [area, ..] = AREAS;
        counter.open(area);
        assert!(counter.count(area, 1));
        let has_begun = Arc::new(AtomicBool::new(false));
        let copies = thread::spawn({
            let (shared, has_begun) = (counter.shared.clone(), has_begun.clone());
            move || has_begun.load(Acquire) && count(&shared, area, 2)
        });
        counter.fast().begin(2);
        has_begun.store(true, Release);
        counter.open(area);
        counter.collect();
        let copies = u64::from(copies.join().unwrap());
        assert_eq!(counter.collected(area), copies);
    });
}

/// The beginning of a generation does not touch what was not open in the one before.
fn opening<const ORDER: bool>() {
    check(3, || {
        let mut counter = Counter::<ORDER>::new();
        let [area, ..] = AREAS;
        let old = counter.copies(1, area, 1);
        counter.fast().begin(2);
        counter.open(area);
        assert_eq!(old.join().unwrap(), 0, "the old generation's");
        assert_eq!(counter.collected(area), 0);
    });
}

#[test]
fn nothing_is_counted_for_an_old_generation_where_the_next_one_opens() {
    opening::<true>();
}

#[test]
#[should_panic(expected = "the old generation's")]
fn an_area_that_is_seen_open_before_its_generation_is_noticed() {
    opening::<false>();
}

#[test]
fn an_area_that_is_closed_and_opened_again_loses_nothing() {
    check(3, || {
        let mut counter = Counter::<true>::new();
        let [area, ..] = AREAS;
        counter.open(area);
        let copies = counter.copies(2, area, 1);
        counter.close(area);
        counter.open(area);
        let copies = copies.join().unwrap();
        assert_eq!(counter.collected(area), copies);
    });
}

#[test]
fn an_area_that_gives_way_takes_its_copies_along() {
    check(2, || {
        let mut counter = Counter::<true>::new();
        let [first, second, third] = AREAS;
        counter.open(first);
        counter.open(second);
        (1..PATIENCE).for_each(|_| counter.open(third));
        let of_first = counter.copies(1, first, 1);
        let of_third = counter.copies(1, third, 1);
        counter.open(third);
        let (of_first, of_third) = (of_first.join().unwrap(), of_third.join().unwrap());
        assert!(counter.count(third, 1), "it has got the place");
        assert_eq!(counter.collected(first), of_first);
        assert_eq!(counter.collected(third), of_third + 1);
        assert_eq!(counter.collected(second), 0);
    });
}

/// Two areas have got so many copies when others have missed their place often enough. Returns which
/// of the three is counted then.
fn after_misses(copies: [u64; 2]) -> [bool; 3] {
    let mut counter = Counter::<true>::new();
    let [first, second, third] = AREAS;
    for (area, copies) in [first, second].into_iter().zip(copies) {
        counter.open(area);
        (0..copies).for_each(|_| assert!(counter.count(area, 1)));
    }
    for _ in 0..PATIENCE {
        assert!(!counter.count(third, 1));
        counter.open(third);
    }
    assert_eq!(counter.collected(first), copies[0]);
    assert_eq!(counter.collected(second), copies[1]);
    [first, second, third].map(|area| counter.count(area, 1))
}

#[test]
fn the_less_busy_area_gives_way_unless_both_are_busier_than_the_others() {
    check(0, || {
        assert_eq!(after_misses([40, 31]), [true, false, true]);
        assert_eq!(after_misses([31, 40]), [false, true, true]);
        assert_eq!(after_misses([32, 40]), [true, true, false]);
    });
}

#[test]
fn a_paused_counter_counts_nothing_of_the_task_that_it_is_paused_for() {
    check(2, || {
        let mut counter = Counter::<true>::new();
        let [area, ..] = AREAS;
        counter.open(area);
        let others = counter.copies(1, area, 1);
        counter.fast().pause();
        assert!(counter.fast().is_paused());
        assert!(!counter.count(area, 1));
        counter.fast().resume(1);
        assert!(!counter.fast().is_paused());
        assert!(counter.count(area, 1));
        let others = others.join().unwrap();
        assert_eq!(counter.collected(area), others + 1);
    });
}
