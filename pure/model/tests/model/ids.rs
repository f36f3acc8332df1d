// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Sets of process ids against the standard library's, and what they cost.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::support::{cases, longest};
use model::ids::{Ids, Words, END, WORDS};
use proptest::prelude::*;

fn listed<W: Words + ?Sized>(ids: &Ids<'_, W>, most: usize) -> (Vec<u32>, bool) {
    let mut listed = Vec::new();
    let more = ids.lowest(most, |id| listed.push(id));
    (listed, more)
}

/// Words that count how often they are looked at.
struct Counted {
    words: Vec<u64>,
    looks: Cell<usize>,
}

impl Words for Counted {
    fn get(&self, index: usize) -> u64 {
        self.looks.set(self.looks.get() + 1);
        self.words[index]
    }

    fn set(&mut self, index: usize, word: u64) {
        self.words[index] = word;
    }
}

/// How often the words of a set are looked at until the ids of `mappings` are in it.
fn looks(mappings: impl Iterator<Item = u32>) -> usize {
    let mut words = Counted {
        words: vec![0; WORDS],
        looks: Cell::new(0),
    };
    let mut ids = Ids::new(&mut words);
    mappings.for_each(|id| ids.insert(id));
    words.looks.get()
}

#[test]
fn a_mapping_costs_the_same_however_many_there_are() {
    // One process with many mappings, and many processes in the order that is worst for an array
    // that is kept sorted.
    for count in [1, 2000, 65_536] {
        let looks = [
            looks((0..count).map(|_| 4000)),
            looks((1..=count as u32).rev()),
        ];
        assert!(looks.iter().all(|&looks| looks <= count), "{looks:?}");
    }
}

#[test]
fn a_list_costs_a_look_at_each_word() {
    let mut words = Counted {
        words: vec![0; WORDS],
        looks: Cell::new(0),
    };
    let ids = Ids::new(&mut words);
    assert_eq!(listed(&ids, 10), (Vec::new(), false));
    assert_eq!(words.looks.get(), WORDS);
}

#[test]
fn the_bounds_of_ids() {
    let mut words = vec![0; WORDS];
    let mut ids = Ids::new(words.as_mut_slice());
    for id in [0, 1, 63, 64, END - 1, END, u32::MAX] {
        ids.insert(id);
    }
    assert_eq!(listed(&ids, 4), (vec![1, 63, 64, END - 1], false));
    assert_eq!(listed(&ids, 3), (vec![1, 63, 64], true));
    assert_eq!(listed(&ids, 0), (vec![], true));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_lowest_are_listed_once_in_order(
        inserted in prop::collection::vec(prop_oneof![1u32..200, 1..END], 0..longest(500)),
        most in 0usize..600,
    ) {
        let mut words = vec![0; WORDS];
        let mut ids = Ids::new(words.as_mut_slice());
        inserted.iter().for_each(|&id| ids.insert(id));
        let expected: BTreeSet<u32> = inserted.into_iter().collect();
        let (listed, more) = listed(&ids, most);
        prop_assert_eq!(more, expected.len() > most);
        prop_assert_eq!(listed, expected.into_iter().take(most).collect::<Vec<_>>());
    }
}
