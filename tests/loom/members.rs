// SPDX-License-Identifier: GPL-2.0
//! Look-ups in the table of members beside one task that changes it.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use model::members::{get, insert, remove, Line, Lines, WAYS};

use crate::check;
use crate::word::Watched;

/// A key's home is the line of its hundreds.
struct Table<const ORDER: bool>(Vec<Line<Watched<ORDER>>>);

impl<const ORDER: bool> Lines for Table<ORDER> {
    type Word = Watched<ORDER>;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn line(&self, key: u64, steps: usize) -> &Line<Watched<ORDER>> {
        &self.0[(key as usize / 100 + steps) % self.0.len()]
    }
}

fn table<const ORDER: bool>(lines: usize) -> Arc<Table<ORDER>> {
    let lines = std::iter::repeat_with(Line::default).take(lines);
    Arc::new(Table(lines.collect()))
}

/// As many members with this home as a line has room for: 1, 2, 3, …
fn fill(table: &Table<true>) {
    for key in 1..=WAYS as u64 {
        assert!(insert(table, key, tag_of(key)));
    }
}

fn tag_of(key: u64) -> u64 {
    key + 10_000
}

/// The way of a new member was another's, or its own under another tag, as happens when memory is used
/// again.
fn insertion<const ORDER: bool>(before: u64, key: u64) {
    const OLD: u64 = 1;

    check(3, move || {
        let table = table::<ORDER>(1);
        assert!(insert(&*table, before, OLD));
        assert_eq!(remove(&*table, before), Some(OLD));
        let reader = thread::spawn({
            let table = table.clone();
            move || {
                let found = get(&*table, key);
                assert!(found.is_none_or(|tag| tag == tag_of(key)), "a wrong tag");
            }
        });
        assert!(insert(&*table, key, tag_of(key)));
        reader.join().unwrap();
        assert_eq!(get(&*table, key), Some(tag_of(key)));
    });
}

#[test]
fn a_new_member_is_found_with_its_own_tag_or_not_at_all() {
    insertion::<true>(1, 2);
}

#[test]
fn a_member_that_comes_again_is_not_found_with_its_old_tag() {
    insertion::<true>(1, 1);
}

#[test]
#[should_panic(expected = "a wrong tag")]
fn a_key_that_is_seen_before_its_tag_is_noticed() {
    insertion::<false>(1, 2);
}

/// Somebody else is told of a new member and finds it, wherever it lives.
fn telling(filled: bool) {
    check(3, move || {
        const KEY: u64 = 50;
        let table = table::<true>(2);
        if filled {
            fill(&table);
        }
        let told = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (table, told) = (table.clone(), told.clone());
            move || {
                if told.load(Ordering::Acquire) {
                    assert_eq!(get(&*table, KEY), Some(tag_of(KEY)));
                }
            }
        });
        assert!(insert(&*table, KEY, tag_of(KEY)));
        told.store(true, Ordering::Release);
        // Somebody comes and goes who lives elsewhere, too, or at the same home.
        assert!(insert(&*table, 60, tag_of(60)));
        assert_eq!(remove(&*table, 60), Some(tag_of(60)));
        reader.join().unwrap();
    });
}

#[test]
fn who_is_told_of_a_member_finds_it_at_home() {
    telling(false);
}

#[test]
fn who_is_told_of_a_member_finds_it_elsewhere() {
    telling(true);
}

/// `change` happens while members that stay are looked for: one at home, one in the line behind it.
fn staying(change: fn(&Table<true>)) {
    const AWAY: u64 = 50;

    check(2, move || {
        let table = table::<true>(3);
        fill(&table);
        assert!(insert(&*table, AWAY, tag_of(AWAY)));
        let reader = thread::spawn({
            let table = table.clone();
            move || {
                for key in [AWAY, 2] {
                    assert_eq!(get(&*table, key), Some(tag_of(key)), "a lost member");
                }
                assert_eq!(get(&*table, 99), None, "never a member");
            }
        });
        change(&table);
        reader.join().unwrap();
        assert_eq!(get(&*table, AWAY), Some(tag_of(AWAY)));
    });
}

#[test]
fn those_who_stay_are_found_while_others_come_and_go_at_their_home() {
    staying(|table| {
        assert_eq!(remove(table, 3), Some(tag_of(3)));
        assert!(insert(table, 60, tag_of(60)));
    });
}

#[test]
fn those_who_stay_are_found_while_others_come_and_go_elsewhere() {
    staying(|table| {
        assert!(insert(table, 60, tag_of(60)));
        assert_eq!(remove(table, 60), Some(tag_of(60)));
    });
}

#[test]
fn those_who_stay_are_found_while_others_have_another_home() {
    staying(|table| {
        assert!(insert(table, 101, tag_of(101)));
        assert_eq!(remove(table, 101), Some(tag_of(101)));
    });
}
