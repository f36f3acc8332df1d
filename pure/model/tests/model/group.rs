// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Grouping against a map from contents to counts.

use crate::support::{cases, longest, Array, Space};
use model::group::{candidate, group, unite, Duplicates, Frame, Frames, Lookup, WORDS};
use model::sort::Pacer;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

type Contents = [u64; WORDS];

/// Frames by number, of which some are gone; counts the words that are looked at.
struct Memory {
    frames: BTreeMap<u64, Contents>,
    looks: Cell<u64>,
}

struct Look<'a> {
    contents: &'a Contents,
    looks: &'a Cell<u64>,
}

impl Frame for Look<'_> {
    /// Deliberately poor, so that samples collide.
    fn sample(&self) -> u64 {
        self.contents[0] % 4
    }

    fn difference(&self, other: &Self, from: usize) -> Option<(usize, u64)> {
        let found = (from..WORDS).find(|&at| self.contents[at] != other.contents[at]);
        let end = found.map_or(WORDS, |at| at + 1);
        self.looks.set(self.looks.get() + (end - from) as u64);
        found.map(|at| (at, self.contents[at]))
    }
}

/// What is not there is lost.
fn lookup<F>(found: Option<F>) -> Lookup<F> {
    found.map_or(Lookup::Lost, Lookup::Found)
}

/// Lets `Frames::Frame` borrow from a memory that outlives the test.
impl Frames for &'static Memory {
    type Frame = Look<'static>;

    fn frame(&self, pfn: u64) -> Lookup<Look<'static>> {
        lookup(self.look(pfn))
    }
}

impl Memory {
    fn look(&self, pfn: u64) -> Option<Look<'_>> {
        let contents = self.frames.get(&pfn)?;
        Some(Look {
            contents,
            looks: &self.looks,
        })
    }
}

fn grouped(frames: BTreeMap<u64, Contents>, candidates: &[u64]) -> (Duplicates, u64) {
    let memory: &'static Memory = Box::leak(Box::new(Memory {
        frames,
        looks: Cell::new(0),
    }));
    let mut records = Array(candidates.iter().map(|&pfn| candidate(pfn)).collect());
    let mut pacer = Pacer::new(|| Ok::<(), ()>(()));
    let found = group(&mut records, &memory, &mut Space::new().lend(), &mut pacer);
    (found.unwrap_or_default(), memory.looks.get())
}

/// The same by brute force.
fn expected(frames: &BTreeMap<u64, Contents>, candidates: &[u64]) -> Duplicates {
    let mut counts = BTreeMap::<&Contents, u64>::new();
    for pfn in candidates.iter().collect::<BTreeSet<_>>() {
        if let Some(contents) = frames.get(pfn) {
            *counts.entry(contents).or_default() += 1;
        }
    }
    let groups = counts.values().filter(|&&count| count > 1);
    Duplicates {
        frames: groups.clone().sum(),
        groups: groups.count() as u64,
        lost: candidates
            .iter()
            .filter(|pfn| !frames.contains_key(pfn))
            .count() as u64,
    }
}

/// Contents that agree in long stretches: mostly zero, with a few words from few values at few
/// places.
fn contents() -> impl Strategy<Value = Contents> {
    let place = prop_oneof![Just(0), Just(1), Just(WORDS - 1), 0..WORDS];
    prop::collection::vec((place, 0..3u64), 0..4).prop_map(|words| {
        let mut contents = [0; WORDS];
        for (at, word) in words {
            contents[at] = word;
        }
        contents
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn united_candidates_ascend_and_are_there_once(
        pfns in prop::collection::vec(prop_oneof![0..300u64, 0..1u64 << 48], 0..longest(600)),
    ) {
        let mut records = Array(pfns.iter().map(|&pfn| candidate(pfn)).collect());
        let mut pacer = Pacer::new(|| Ok::<(), ()>(()));
        prop_assert_eq!(unite(&mut records, &mut Space::new().lend(), &mut pacer), Ok(()));
        let distinct: BTreeSet<_> = pfns.into_iter().map(u128::from).collect();
        prop_assert_eq!(records.0, distinct.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn it_finds_what_comparing_all_with_all_finds(
        frames in prop::collection::btree_map(0..300u64, contents(), 0..longest(200)),
        candidates in prop::collection::vec(0..300u64, 0..longest(600)),
    ) {
        let wanted = expected(&frames, &candidates);
        prop_assert_eq!(grouped(frames, &candidates).0, wanted);
    }
}

#[test]
fn large_numbers_of_frames_are_kept_apart_from_their_keys() {
    let last = (1 << 48) - 1;
    let frames = BTreeMap::from([(0, [7; WORDS]), (last, [7; WORDS]), (last - 1, [8; WORDS])]);
    let candidates = [last, 0, last - 1];
    assert_eq!(
        grouped(frames, &candidates).0,
        Duplicates {
            frames: 2,
            groups: 1,
            lost: 0,
        }
    );
}

/// Every frame agrees with the first one up to a place of its own.
fn stairs(count: usize) -> BTreeMap<u64, Contents> {
    (0..count)
        .map(|n| {
            let mut contents = [0; WORDS];
            contents[n % WORDS..].fill(4);
            contents[WORDS - 1] = 4 * (n / WORDS) as u64;
            (n as u64, contents)
        })
        .collect()
}

/// Frame `n` is zero but for bits of `n`, spread over the frame: classes split in two, again and
/// again.
fn tree(count: usize) -> BTreeMap<u64, Contents> {
    (0..count)
        .map(|n| {
            let mut contents = [0; WORDS];
            for bit in 0..16 {
                contents[bit * 30 + 20] = 4 * (n >> bit & 1) as u64;
            }
            (n as u64, contents)
        })
        .collect()
}

#[test]
fn no_contents_make_it_read_a_frame_more_than_once() {
    let count = longest(4000);
    for frames in [stairs(count), tree(count)] {
        let candidates: Vec<u64> = frames.keys().copied().collect();
        let wanted = expected(&frames, &candidates);
        let (found, looks) = grouped(frames, &candidates);
        assert_eq!(found, wanted);
        let most = (count * WORDS) as u64;
        assert!(looks <= most, "{looks} words of {most} were compared");
    }
}

#[test]
fn the_error_of_the_pause_comes_back() {
    let frames: BTreeMap<u64, Contents> =
        (0..longest(500) as u64).map(|n| (n, [0; WORDS])).collect();
    let memory: &'static Memory = Box::leak(Box::new(Memory {
        looks: Cell::new(0),
        frames,
    }));
    let mut records = Array(memory.frames.keys().map(|&pfn| candidate(pfn)).collect());
    let mut pacer = Pacer::new(|| Err("killed"));
    let found = group(&mut records, &memory, &mut Space::new().lend(), &mut pacer);
    assert_eq!(found, Err("killed"));
}

/// Frames with a sample of their own each, which nobody has to compare.
struct Singles(Cell<u64>);

struct Single(u64);

impl Frame for Single {
    fn sample(&self) -> u64 {
        self.0
    }

    fn difference(&self, _other: &Self, _from: usize) -> Option<(usize, u64)> {
        panic!("compared");
    }
}

impl Frames for &'static Singles {
    type Frame = Single;

    fn frame(&self, pfn: u64) -> Lookup<Single> {
        self.0.set(self.0.get() + 1);
        Lookup::Found(Single(pfn))
    }
}

#[test]
fn a_frame_whose_sample_is_unique_is_looked_for_once() {
    let singles: &'static Singles = Box::leak(Box::new(Singles(Cell::new(0))));
    let mut records = Array((1..=50).map(candidate).collect());
    let mut pacer = Pacer::new(|| Ok::<(), ()>(()));
    let found = group(&mut records, &singles, &mut Space::new().lend(), &mut pacer);
    assert_eq!(found, Ok(Duplicates::default()));
    assert_eq!(singles.0.get(), 50);
}

/// Frames that are different whenever they are looked at, and that go away at some time.
struct Weather {
    looks: Cell<u64>,
    last_look: u64,
}

struct Gust<'a>(&'a Weather);

impl Weather {
    fn next(&self) -> u64 {
        self.looks.set(self.looks.get() + 1);
        self.looks.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}

impl Frame for Gust<'_> {
    fn sample(&self) -> u64 {
        self.0.next() % 2
    }

    fn difference(&self, _other: &Self, from: usize) -> Option<(usize, u64)> {
        let word = self.0.next();
        let at = from + (word >> 8) as usize % 3;
        (at < WORDS && word % 50 != 0).then_some((at, word % 2))
    }
}

impl Frames for &'static Weather {
    type Frame = Gust<'static>;

    fn frame(&self, _pfn: u64) -> Lookup<Gust<'static>> {
        let is_there = self.next() % 100 != 0 && self.looks.get() < self.last_look;
        lookup(is_there.then_some(Gust(self)))
    }
}

#[test]
fn frames_that_change_all_the_time_come_to_an_end() {
    let count = longest(3000) as u64;
    for last_look in [u64::MAX, 100, 7000, 20_000] {
        let weather: &'static Weather = Box::leak(Box::new(Weather {
            looks: Cell::new(0),
            last_look,
        }));
        let mut records = Array((0..count).map(candidate).collect());
        let mut pacer = Pacer::new(|| Ok::<(), ()>(()));
        let found = group(&mut records, &weather, &mut Space::new().lend(), &mut pacer);
        let Duplicates { frames, groups, .. } = found.unwrap_or_default();
        assert!(
            2 * groups <= frames && frames <= count,
            "{frames} in {groups}"
        );
    }
}

/// A memory of equal frames of which those with odd numbers can be looked at once only.
struct Fading(Cell<BTreeSet<u64>>, Memory);

impl Frames for &'static Fading {
    type Frame = Look<'static>;

    fn frame(&self, pfn: u64) -> Lookup<Look<'static>> {
        let mut seen = self.0.take();
        let is_new = seen.insert(pfn);
        self.0.set(seen);
        lookup((is_new || pfn % 2 == 0).then(|| self.1.look(pfn)).flatten())
    }
}

#[test]
fn a_frame_that_went_away_after_its_sample_is_left_out() {
    let memory = Memory {
        frames: (0..9).map(|pfn| (pfn, [pfn / 5; WORDS])).collect(),
        looks: Cell::new(0),
    };
    let fading: &'static Fading = Box::leak(Box::new(Fading(Cell::default(), memory)));
    let mut records = Array((0..9).map(candidate).collect());
    let mut pacer = Pacer::new(|| Ok::<(), ()>(()));
    let found = group(&mut records, &fading, &mut Space::new().lend(), &mut pacer);
    // Of 0–4 and 5–8 the even ones are left: three and two.
    let left = Duplicates {
        frames: 5,
        groups: 2,
        lost: 4,
    };
    assert_eq!(found, Ok(left));
}

/// A memory of equal frames of which those with odd numbers are not to be read.
struct Closed(Memory);

impl Frames for &'static Closed {
    type Frame = Look<'static>;

    fn frame(&self, pfn: u64) -> Lookup<Look<'static>> {
        match self.0.look(pfn) {
            Some(look) if pfn % 2 == 0 => Lookup::Found(look),
            _ => Lookup::Closed,
        }
    }
}

#[test]
fn a_frame_that_is_not_to_be_read_is_left_out_but_not_lost() {
    let closed: &'static Closed = Box::leak(Box::new(Closed(Memory {
        frames: (0..4).map(|pfn| (pfn, [0; WORDS])).collect(),
        looks: Cell::new(0),
    })));
    let mut records = Array((0..4).map(candidate).collect());
    let mut pacer = Pacer::new(|| Ok::<(), ()>(()));
    let found = group(&mut records, &closed, &mut Space::new().lend(), &mut pacer);
    let wanted = Duplicates {
        frames: 2,
        groups: 1,
        lost: 0,
    };
    assert_eq!(found, Ok(wanted));
}
