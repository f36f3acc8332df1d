// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! A table of members, each a key with a tag, that is asked without a lock.
//!
//! A key has a *home*, the line that its hash names. It lives there, or if that is full in one of the
//! lines behind it. What can be found from a home is written there: how many members have it, how many
//! of them live elsewhere, and how far away at most. So a look-up that finds nothing reads one word as a
//! rule, and one cache line if the home has members.
//!
//! # Order
//!
//! One task at a time changes the table; anybody may look up meanwhile. A key is looked up neither
//! while it is inserted for the first time, except by somebody who may as well not find it, nor while
//! it is removed or later. So it is found with its own tag or not at all:
//!
//! - its way was free before, and gets the tag before the key;
//! - its home says how far away it may be before it gets there, and until it is gone.
//!
//! Others come and go in the lines that are looked through, but no other member has the same key.
//! `tests/loom` tries that out.

use crate::word::Word;

/// Members of one line.
pub const WAYS: usize = 7;

/// No member has this key.
const FREE: u64 = 0;

/// Two cache lines, of which a look-up that finds nothing reads the first.
#[repr(C, align(64))]
pub struct Line<W> {
    /// A [`Home`].
    home: W,
    keys: [W; WAYS],
    tags: [W; WAYS],
}

impl<W: Word> Default for Line<W> {
    fn default() -> Self {
        let words = || core::array::from_fn(|_| W::new(0));
        Self {
            home: W::new(0),
            keys: words(),
            tags: words(),
        }
    }
}

/// The lines of a table, each of which begins as the default.
pub trait Lines {
    /// What they are made of.
    type Word: Word;
    /// How many they are: at most 2¹⁸.
    fn count(&self) -> usize;
    /// The one that lies `steps` behind the home of `key`; the first one lies behind the last.
    fn line(&self, key: u64, steps: usize) -> &Line<Self::Word>;
}

/// What a line knows of the members whose home it is; 0 if there is none.
#[derive(Clone, Copy)]
struct Home(u64);

impl Home {
    /// One member; and one that lives elsewhere.
    const MEMBER: u64 = 1;
    const AWAY: u64 = 1 << 21;
    const STEPS: u32 = 42;
    const MASK: u64 = (1 << 21) - 1;

    fn steps(self) -> usize {
        (self.0 >> Self::STEPS) as usize
    }

    fn with(self, steps: usize) -> Self {
        let away = if steps == 0 { 0 } else { Self::AWAY };
        let counts = (self.0 & !(!0 << Self::STEPS)).wrapping_add(Self::MEMBER + away);
        Self((self.steps().max(steps) as u64) << Self::STEPS | counts)
    }

    fn without(self, steps: usize) -> Self {
        let away = if steps == 0 { 0 } else { Self::AWAY };
        let rest = self.0.wrapping_sub(Self::MEMBER + away);
        let is_any_away = rest & (Self::MASK * Self::AWAY) != 0;
        Self(if is_any_away { rest } else { rest & Self::MASK })
    }
}

impl<W: Word> Line<W> {
    fn home(&self) -> Home {
        Home(self.home.load())
    }

    #[inline(always)]
    fn find(&self, key: u64) -> Option<u64> {
        let mut ways = self.keys.iter().zip(&self.tags);
        let (_, tag) = ways.find(|(way, _)| way.load() == key)?;
        Some(tag.load())
    }

    /// Whether there was room.
    fn put(&self, key: u64, tag: u64) -> bool {
        let mut ways = self.keys.iter().zip(&self.tags);
        let Some((way, place)) = ways.find(|(way, _)| way.load() == FREE) else {
            return false;
        };
        place.store(tag);
        way.store(key);
        true
    }

    /// Returns the tag.
    fn take(&self, key: u64) -> Option<u64> {
        let mut ways = self.keys.iter().zip(&self.tags);
        let (way, tag) = ways.find(|(way, _)| way.load() == key)?;
        let tag = tag.load();
        way.store(FREE);
        Some(tag)
    }
}

/// What a look at a home finds.
pub enum Found {
    /// The tag of the member.
    Here(u64),
    /// The member may live elsewhere: [`get`] knows.
    Elsewhere,
    /// It is not a member.
    Nowhere,
}

/// Looks for a member at its home. No member has the key 0.
#[inline(always)]
pub fn look<L: Lines>(lines: &L, key: u64) -> Found {
    let line = lines.line(key, 0);
    if line.home().0 == 0 {
        return Found::Nowhere;
    }
    match line.find(key) {
        Some(tag) => Found::Here(tag),
        // Loaded again, as keeping it would cost those who are found.
        None if line.home().steps() > 0 => Found::Elsewhere,
        None => Found::Nowhere,
    }
}

/// The tag of a member.
pub fn get<L: Lines>(lines: &L, key: u64) -> Option<u64> {
    match look(lines, key) {
        Found::Here(tag) => Some(tag),
        Found::Elsewhere => {
            let mut steps = 1..=lines.line(key, 0).home().steps();
            steps.find_map(|steps| lines.line(key, steps).find(key))
        }
        Found::Nowhere => None,
    }
}

/// Makes `key` a member, unless all lines are full. It must not be one yet.
///
/// Only one task at a time may call this or [`remove`].
pub fn insert<L: Lines>(lines: &L, key: u64, tag: u64) -> bool {
    let free = |line: &Line<L::Word>| line.keys.iter().any(|way| way.load() == FREE);
    let mut steps = 0..lines.count();
    let Some(steps) = steps.find(|&step| free(lines.line(key, step))) else {
        return false;
    };
    let home = lines.line(key, 0);
    home.home.store(home.home().with(steps).0);
    lines.line(key, steps).put(key, tag)
}

/// Makes `key` a member no longer; returns the tag that it had.
pub fn remove<L: Lines>(lines: &L, key: u64) -> Option<u64> {
    let home = lines.line(key, 0);
    if home.home().0 == 0 {
        return None;
    }
    let mut steps = 0..=home.home().steps();
    let (steps, tag) = steps.find_map(|step| Some((step, lines.line(key, step).take(key)?)))?;
    home.home.store(home.home().without(steps).0);
    Some(tag)
}

impl<W: Word> Line<W> {
    /// The members that live in this line.
    pub fn members(&self) -> impl Iterator<Item = u64> + '_ {
        self.keys.iter().map(Word::load).filter(|&key| key != FREE)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::vec::Vec;

    /// With a hash of the test's choice.
    struct Table {
        lines: Vec<Line<AtomicU64>>,
        hash: fn(u64) -> u64,
    }

    impl Table {
        fn new(count: usize, hash: fn(u64) -> u64) -> Self {
            let lines = std::iter::repeat_with(Line::default).take(count).collect();
            Self { lines, hash }
        }

        /// The longest way of a look-up.
        fn longest(&self) -> usize {
            self.lines
                .iter()
                .map(|line| line.home().steps())
                .max()
                .unwrap_or(0)
        }
    }

    impl Lines for Table {
        type Word = AtomicU64;

        fn count(&self) -> usize {
            self.lines.len()
        }

        fn line(&self, key: u64, steps: usize) -> &Line<AtomicU64> {
            &self.lines[((self.hash)(key) as usize + steps) % self.lines.len()]
        }
    }

    fn tag_of(key: u64) -> u64 {
        !key.rotate_left(17)
    }

    /// Of one case at most: after each step all keys are looked for.
    const STEPS: usize = if cfg!(miri) { 70 } else { 400 };

    /// All in one line; in two of them; everywhere.
    const HASHES: [fn(u64) -> u64; 3] = [|_| 3, |key| key & 1, |key| key];

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            hash in 0..HASHES.len(),
            steps in prop::collection::vec((1_u64..80, any::<bool>()), 1..STEPS),
        ) {
            let table = Table::new(8, HASHES[hash]);
            let mut map = HashMap::new();
            for (key, goes) in steps {
                if goes {
                    prop_assert_eq!(remove(&table, key), map.remove(&key));
                } else if !map.contains_key(&key) {
                    let fits = insert(&table, key, tag_of(key));
                    prop_assert_eq!(fits, map.len() < 8 * WAYS);
                    if fits {
                        map.insert(key, tag_of(key));
                    }
                }
                for key in 1..80 {
                    prop_assert_eq!(get(&table, key), map.get(&key).copied());
                }
                let mut listed: Vec<_> = table.lines.iter().flat_map(Line::members).collect();
                let mut known: Vec<_> = map.keys().copied().collect();
                listed.sort_unstable();
                known.sort_unstable();
                prop_assert_eq!(listed, known);
                if map.is_empty() {
                    prop_assert!(table.lines.iter().all(|line| line.home.load(Ordering::Relaxed) == 0));
                }
            }
        }
    }

    #[test]
    fn nothing_is_left_of_those_who_lived_elsewhere() {
        let table = Table::new(64, |_| 5);
        for key in 1..=300 {
            assert!(insert(&table, key, tag_of(key)));
        }
        assert_eq!(table.longest(), 300 / WAYS);
        for key in (1..=300).rev() {
            assert_eq!(remove(&table, key), Some(tag_of(key)));
            // Once only those are left who live at home, nobody is looked for elsewhere.
            assert_eq!(table.longest() == 0, key <= WAYS as u64 + 1, "{key}");
        }
        let homes = table.lines.iter().map(|line| line.home().0);
        assert_eq!(homes.sum::<u64>(), 0);
        assert_eq!(remove(&table, 1), None);
    }

    #[test]
    fn who_is_not_at_a_home_that_all_live_at_is_nowhere() {
        let table = Table::new(8, |_| 5);
        for key in 1..=WAYS as u64 {
            assert!(insert(&table, key, tag_of(key)));
        }
        assert!(matches!(look(&table, 99), Found::Nowhere));
        assert!(insert(&table, 50, tag_of(50)));
        assert!(matches!(look(&table, 99), Found::Elsewhere));
    }

    /// As many as the kernel's table ever holds, with addresses that slabs give out.
    #[test]
    #[cfg_attr(miri, ignore = "takes long, and has nothing for Miri")]
    fn ways_are_short() {
        let hash = |key: u64| key.wrapping_mul(0x61C8_8647) >> 32;
        for (size, members, bound) in [(1664, 32_768, 3), (2048, 32_768, 3), (1728, 100_352, 64)] {
            let table = Table::new(16_384, hash);
            for number in 0..members {
                // 32 KiB of memory for each slab, one after the other but for a gap now and then.
                let per_slab = 32_768 / size;
                let slab = number / per_slab;
                let at = (slab + slab / 100 * 37) * 32_768 + number % per_slab * size;
                assert!(insert(&table, 0xFFFF_8881_0000_0000 + at, 1));
            }
            let longest = table.longest();
            assert!(longest <= bound, "{members} of {size} bytes: {longest}");
        }
    }

    /// Is over when it ends, also by a failure: others who wait for that do not wait for ever then.
    struct UntilHere<'a>(&'a AtomicBool);

    impl Drop for UntilHere<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn lasting_members_are_found_with_their_tags_while_others_come_and_go() {
        // Few lines, and full: many live elsewhere.
        let table = Table::new(16, |key| key % 5);
        let lasting: Vec<u64> = (1..=40).collect();
        for &key in &lasting {
            assert!(insert(&table, key, tag_of(key)));
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        for &key in &lasting {
                            assert_eq!(get(&table, key), Some(tag_of(key)));
                        }
                        for key in 1000..1100 {
                            assert_eq!(get(&table, key), None, "never a member");
                        }
                    }
                });
            }
            let _until_here = UntilHere(&is_over);
            let rounds = if cfg!(miri) { 3 } else { 3000 };
            for round in 0..rounds {
                let others: Vec<u64> = (0..60).map(|n| 2000 + n + round % 7).collect();
                others
                    .iter()
                    .for_each(|&key| assert!(insert(&table, key, tag_of(key))));
                others
                    .iter()
                    .for_each(|&key| assert!(remove(&table, key).is_some()));
            }
        });
    }
}
