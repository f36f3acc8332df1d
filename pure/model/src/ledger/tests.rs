// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

mod changes;
mod index;

extern crate std;
use super::*;
use crate::area::Span;
use proptest::collection::vec;
use proptest::prelude::*;
use std::{collections::BTreeMap, vec, vec::Vec};

const PAGE: u64 = 4096;

type TestLedger = Ledger<Vec<Bucket>, Vec<u16>>;

fn ledger(buckets: usize) -> TestLedger {
    Ledger::new(vec![Bucket::EMPTY; buckets], vec![7; index_len(buckets)]).unwrap()
}

/// A root whose areas are known, and for some areas copies that are counted elsewhere.
#[derive(Default)]
struct TestRoot {
    areas: Vec<Span>,
    is_known: bool,
    version: u32,
    elsewhere: BTreeMap<u64, u64>,
    asked: usize,
}

impl TestRoot {
    fn of(areas: &[Span]) -> Self {
        Self {
            areas: areas.to_vec(),
            is_known: true,
            ..Self::default()
        }
    }

    fn nothing() -> Self {
        Self::default()
    }
}

impl Root for TestRoot {
    fn place(&mut self, address: u64) -> Place {
        self.asked += 1;
        match find(&self.areas, address) {
            _ if !self.is_known => Place::Unknown,
            Some(area) => Place::Area(area.start),
            None => Place::Gone,
        }
    }

    fn version(&mut self) -> Option<u32> {
        Some(self.version)
    }

    fn close(&mut self, start: u64) -> u64 {
        self.elsewhere.remove(&start).unwrap_or_default()
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Copied),
        Just(Kind::Reused),
        Just(Kind::ZeroFilled),
        Just(Kind::Split),
        Just(Kind::FirstWrite),
        Just(Kind::Remote),
    ]
}

/// Events of one case at most: Miri is some thousand times slower.
const MANY: usize = if cfg!(miri) { 20 } else { 400 };

/// Events in a row, more than there are places.
const LONG: u64 = if cfg!(miri) { 600 } else { 5_000 };

/// Faults in areas that begin at small multiples of a page.
fn some_faults() -> impl Strategy<Value = Vec<(u64, Kind)>> {
    vec(((0_u64..60).prop_map(|page| page * PAGE), kinds()), 0..MANY)
}

/// Ascending areas without overlap within the same addresses.
fn some_areas() -> impl Strategy<Value = Vec<Span>> {
    vec((0_u64..4, 1_u64..6), 0..12).prop_map(|sizes| {
        let mut at = 0;
        let mut areas = Vec::new();
        for (hole, length) in sizes {
            let start = at + hole * PAGE;
            at = start + length * PAGE;
            areas.push(Span { start, end: at });
        }
        areas
    })
}

fn sum<'a>(all: impl IntoIterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::ZERO;
    all.into_iter().for_each(|counts| sum.merge(counts));
    sum
}

fn entered(faults: &[(u64, Kind)], buckets: usize) -> TestLedger {
    let mut ledger = ledger(buckets);
    for (start, kind) in faults {
        ledger.count(*start, *kind, 1, &mut TestRoot::nothing());
    }
    ledger
}

/// As a report does it, for a root that has these areas.
fn folded<T: Tally>(ledger: &TestLedger, areas: &[Span], tallies: &mut [T]) -> Folded {
    fold(ledger.buckets(), ledger.rest(), areas, tallies, |_| {
        Place::Gone
    })
}

fn total(ledger: &TestLedger) -> Counts {
    folded::<Counts>(ledger, &[], &mut []).total
}

proptest! {
    #[test]
    fn settling_makes_one_bucket_of_each_area_and_gives_up_the_rest(
        faults in some_faults(), areas in some_areas(), looks in 1_usize..20,
    ) {
        let mut ledger = entered(&faults, 64);
        let before = {
            let mut tallies = vec![Counts::ZERO; areas.len()];
            (folded(&ledger, &areas, &mut tallies), tallies)
        };
        let mut root = TestRoot::of(&areas);
        let mut next = 0;
        while let Some(behind) = ledger.settle(next, looks, &mut root) {
            next = behind;
        }
        let mut tallies = vec![Counts::ZERO; areas.len()];
        prop_assert_eq!(folded(&ledger, &areas, &mut tallies), before.0);
        prop_assert_eq!(tallies, before.1);
        prop_assert!(ledger.buckets().iter().all(|b| areas.iter().any(|a| a.start == b.start)));
        prop_assert_eq!(ledger.rest().gone, before.0.gone);
    }

    #[test]
    fn every_area_has_what_was_entered_within_it(faults in some_faults(), areas in some_areas()) {
        let mut counts = vec![Counts::ZERO; areas.len()];
        folded(&entered(&faults, 64), &areas, &mut counts);
        for (area, counts) in areas.iter().zip(&counts) {
            let mut expected = Counts::ZERO;
            for (start, kind) in &faults {
                if (area.start..area.end).contains(start) {
                    expected.add(*kind, 1);
                }
            }
            prop_assert_eq!(*counts, expected);
        }
    }

    #[test]
    fn nothing_is_lost(faults in some_faults(), areas in some_areas(), buckets in 1_usize..80) {
        let mut counts = vec![Counts::ZERO; areas.len()];
        let folded = folded(&entered(&faults, buckets), &areas, &mut counts);
        let mut expected = Counts::ZERO;
        faults.iter().for_each(|(_, kind)| expected.add(*kind, 1));
        prop_assert_eq!(folded.total, expected);
        let parts = counts.iter().chain([&folded.gone, &folded.unplaced]);
        prop_assert_eq!(sum(parts), expected);
    }

    #[test]
    fn areas_that_are_not_listed_are_not_gone(
        faults in some_faults(), areas in some_areas(), listed in 0_usize..12,
    ) {
        let ledger = entered(&faults, 64);
        let mut all = vec![Counts::ZERO; areas.len()];
        let expected = folded(&ledger, &areas, &mut all);
        let listed = listed.min(areas.len());
        let mut some = vec![Counts::ZERO; listed];
        let place = |address| TestRoot::of(&areas).place(address);
        let found = fold(ledger.buckets(), ledger.rest(), &areas[..listed], &mut some, place);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(&some[..], &all[..listed]);
    }

    #[test]
    fn what_cannot_be_told_is_unplaced_and_not_gone(faults in some_faults(), areas in some_areas()) {
        let ledger = entered(&faults, 64);
        let mut told = vec![Counts::ZERO; areas.len()];
        let mut untold = told.clone();
        let expected = folded(&ledger, &areas, &mut told);
        let unknown = |_| Place::Unknown;
        let found = fold(ledger.buckets(), ledger.rest(), &areas, &mut untold, unknown);
        prop_assert_eq!(found.unplaced, expected.gone);
        prop_assert_eq!((found.gone, found.total), (Counts::ZERO, expected.total));
        prop_assert_eq!(untold, told);
    }

    #[test]
    fn faults_are_the_sum_of_their_kinds(faults in some_faults(), areas in some_areas()) {
        let mut counts = vec![Counts::ZERO; areas.len()];
        let mut sums = vec![Faults(0); areas.len()];
        let ledger = entered(&faults, 64);
        prop_assert_eq!(folded(&ledger, &areas, &mut counts), folded(&ledger, &areas, &mut sums));
        let expected: Vec<Faults> = counts.iter().map(|c| Faults(c.faults())).collect();
        prop_assert_eq!(sums, expected);
    }

    #[test]
    fn the_order_of_faults_does_not_matter(mut faults in some_faults(), areas in some_areas()) {
        let mut one = vec![Counts::ZERO; areas.len()];
        let mut other = one.clone();
        let first = folded(&entered(&faults, 64), &areas, &mut one);
        faults.reverse();
        prop_assert_eq!(folded(&entered(&faults, 64), &areas, &mut other), first);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn merged_areas_have_the_sum_of_their_parts(faults in some_faults(), cut in 1_u64..59) {
        let parts = [
            Span { start: 0, end: cut * PAGE },
            Span { start: cut * PAGE, end: 60 * PAGE },
        ];
        let mut of_parts = [Counts::ZERO; 2];
        let mut of_whole = [Counts::ZERO];
        let ledger = entered(&faults, 64);
        folded(&ledger, &parts, &mut of_parts);
        folded(&ledger, &[Span { start: 0, end: 60 * PAGE }], &mut of_whole);
        prop_assert_eq!(sum(&of_parts), of_whole[0]);
    }

    #[test]
    fn buckets_are_a_map_from_starts_to_counts(faults in some_faults()) {
        let mut expected: BTreeMap<u64, Counts> = BTreeMap::new();
        for (start, kind) in &faults {
            expected.entry(*start).or_default().add(*kind, 1);
        }
        let ledger = entered(&faults, 64);
        let found: BTreeMap<u64, Counts> =
            ledger.buckets().iter().map(|b| (b.start, b.counts)).collect();
        prop_assert_eq!(found.len(), ledger.buckets().len());
        prop_assert_eq!(found, expected);
    }
}

fn pages(first: u64, count: u64) -> Span {
    Span {
        start: first * PAGE,
        end: (first + count) * PAGE,
    }
}

#[test]
fn an_area_that_grows_downwards_has_all_of_its_faults() {
    let mut ledger = ledger(512);
    let mut root = TestRoot::of(&[pages(9_999, 1)]);
    for page in (9_999 - LONG..9_999).rev() {
        root.areas[0].start = page * PAGE;
        root.version += 1;
        ledger.count(page * PAGE, Kind::Copied, 1, &mut root);
    }
    let mut counts = [Counts::ZERO];
    let folded = folded(&ledger, &root.areas, &mut counts);
    assert_eq!(counts[0].copied, LONG);
    assert_eq!((folded.gone.copied, folded.unplaced.copied), (0, 0));
}

#[test]
fn areas_that_come_and_go_leave_their_places() {
    let mut ledger = ledger(512);
    let mut root = TestRoot::of(&[]);
    for page in 0..LONG {
        root.areas = vec![pages(2 * page, 1)];
        root.version += 1;
        ledger.count(2 * page * PAGE, Kind::Copied, 1, &mut root);
    }
    let folded = folded::<Counts>(&ledger, &root.areas, &mut []);
    assert_eq!((folded.gone.copied, folded.unplaced.copied), (LONG - 1, 0));
}

#[test]
fn faults_in_more_areas_than_places_are_unplaced_and_cost_few_questions() {
    let areas: Vec<Span> = (0..600).map(|number| pages(2 * number, 1)).collect();
    let mut ledger = ledger(512);
    let mut root = TestRoot::of(&areas);
    let mut most = 0;
    let rounds = if cfg!(miri) { 4 } else { 20 };
    for round in 0..rounds {
        for area in &areas {
            root.asked = 0;
            ledger.count(area.start, Kind::Copied, 1, &mut root);
            most = most.max(root.asked);
            // Once all were looked at in vain: only where this one is.
            assert!(round < 2 || root.asked <= 1);
        }
    }
    assert!(most <= LOOKS + 1, "{most}");
    let mut counts = vec![Counts::ZERO; 600];
    let folded = folded(&ledger, &areas, &mut counts);
    assert_eq!(folded.unplaced.copied, 88 * rounds);
    assert_eq!(folded.gone.copied, 0);
    assert!(counts[..512].iter().all(|counts| counts.copied == rounds));
}

#[test]
fn a_place_is_found_again_when_areas_have_gone() {
    let areas: Vec<Span> = (0..600).map(|number| pages(2 * number, 1)).collect();
    let mut ledger = ledger(512);
    let mut root = TestRoot::of(&areas);
    for _ in 0..4 {
        for area in &areas {
            ledger.count(area.start, Kind::Copied, 1, &mut root);
        }
    }
    root.areas.drain(..100);
    root.version += 1;
    let last = areas[599].start;
    // All buckets are looked at within so many attempts.
    for _ in 0..512 / LOOKS {
        ledger.count(last, Kind::Copied, 1, &mut root);
    }
    assert_eq!(
        ledger.count(last, Kind::Copied, 1, &mut root),
        Entered::There
    );
    assert_eq!(
        ledger.count(areas[598].start, Kind::Copied, 1, &mut root),
        Entered::There
    );
}

#[test]
fn copies_that_are_counted_elsewhere_come_along() {
    let mut ledger = ledger(4);
    let mut root = TestRoot::of(&[pages(1, 9)]);
    ledger.count(5 * PAGE, Kind::Copied, 1, &mut TestRoot::nothing());
    root.elsewhere.insert(5 * PAGE, 6);
    ledger.settle(0, 9, &mut root);
    assert_eq!(
        ledger.buckets(),
        [Bucket {
            start: PAGE,
            counts: Counts {
                copied: 7,
                ..Counts::ZERO
            }
        }]
    );
}

#[test]
fn a_take_over_is_found_where_its_copy_was_counted() {
    let mut ledger = ledger(4);
    let mut root = TestRoot::of(&[pages(1, 9)]);
    ledger.count(5 * PAGE, Kind::Copied, 1, &mut root);
    ledger.settle(0, 9, &mut root);
    ledger.turn_into_reuse(5 * PAGE, Kind::Copied, &mut root);
    let total = total(&ledger);
    assert_eq!((total.copied, total.reused), (0, 1));
    ledger.turn_into_reuse(5 * PAGE, Kind::Copied, &mut root);
    assert_eq!(self::total(&ledger).faults(), 1);
}

#[test]
fn a_split_leaves_earlier_counts_with_the_lower_part() {
    let ledger = entered(&[(0, Kind::Copied), (0, Kind::Copied)], 4);
    let areas = [
        Span {
            start: 0,
            end: 8192,
        },
        Span {
            start: 8192,
            end: 16384,
        },
    ];
    let mut counts = [Counts::ZERO; 2];
    folded(&ledger, &areas, &mut counts);
    assert_eq!(counts.map(|counts| counts.faults()), [2, 0]);
}

#[test]
fn clearing_starts_anew() {
    let mut ledger = entered(&[(4096, Kind::Copied), (8192, Kind::Reused)], 1);
    ledger.clear();
    assert_eq!(ledger.buckets(), &[]);
    assert_eq!(folded::<Counts>(&ledger, &[], &mut []), Folded::default());
    ledger.count(8192, Kind::Reused, 1, &mut TestRoot::nothing());
    assert_eq!(ledger.buckets().len(), 1);
}

#[test]
fn an_unfitting_index_is_refused() {
    assert!(Ledger::new(vec![Bucket::EMPTY; 4], vec![0_u16; 4]).is_none());
}

#[test]
fn a_take_over_is_not_a_copy_any_more() {
    let mut ledger = ledger(2);
    ledger.count(0, Kind::Copied, 1, &mut TestRoot::nothing());
    ledger.turn_into_reuse(0, Kind::Copied, &mut TestRoot::nothing());
    assert_eq!((total(&ledger).reused, total(&ledger).copied), (1, 0));
}
