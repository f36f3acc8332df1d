// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Sorting in place against the standard library's.

use crate::support::{cases, longest, Array, Space};
use model::sort::{dedup, end_of_run, sort, Pacer, Records};
use proptest::prelude::*;
use std::cell::Cell;

fn endless() -> Pacer<impl FnMut() -> Result<(), ()>> {
    Pacer::new(|| Ok(()))
}

/// Records of which few, many or all bits vary.
fn records() -> impl Strategy<Value = Vec<u128>> {
    let bits = prop_oneof![
        Just(0),
        Just(0b1011),
        Just(0xff << 40),
        Just(u128::MAX),
        any::<u128>()
    ];
    (bits, any::<u128>()).prop_flat_map(|(bits, rest)| {
        let record = any::<u128>().prop_map(move |record| record & bits | rest & !bits);
        prop::collection::vec(record, 0..longest(3000))
    })
}

/// Records that count how often they are looked at.
struct Looked {
    records: Array,
    looks: Cell<usize>,
}

impl Records for Looked {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, index: usize) -> u128 {
        self.looks.set(self.looks.get() + 1);
        self.records.get(index)
    }

    fn set(&mut self, index: usize, record: u128) {
        self.records.set(index, record);
    }

    fn truncate(&mut self, len: usize) {
        self.records.truncate(len);
    }
}

/// How often records are looked at until they are sorted by all of their bits.
fn looks(records: impl Iterator<Item = u128>) -> usize {
    let mut looked = Looked {
        records: Array(records.collect()),
        looks: Cell::new(0),
    };
    let all = 0..looked.len();
    let mut space = Space::new();
    let sorted = sort(
        &mut looked,
        all,
        u128::MAX,
        &mut space.lend(),
        &mut endless(),
    );
    assert_eq!(sorted, Ok(()));
    assert!(looked.records.0.is_sorted());
    looked.looks.get()
}

#[test]
fn only_no_records_are_none() {
    assert!(Array(Vec::new()).is_empty());
    assert!(!Array(vec![0]).is_empty());
}

#[test]
fn what_is_in_order_costs_one_look() {
    // And one more at the first.
    assert_eq!(looks(0..1000), 1001);
}

#[test]
fn bits_that_do_not_vary_cost_nothing() {
    let shuffled = (0..1000).map(|n| n * 611 % 1000);
    let high = shuffled.clone().map(|n| n | 0xabcd << 100);
    assert_eq!(looks(shuffled), looks(high));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn it_orders_by_the_masked_bits_and_loses_nothing(
        records in records(),
        mask in prop_oneof![Just(u128::MAX), Just(0), any::<u128>()],
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(records.len() + 1);
        let mut array = Array(records.clone());
        let Ok(()) = sort(&mut array, cut..records.len(), mask, &mut Space::new().lend(), &mut endless()) else {
            return Err(TestCaseError::fail("nothing stopped it"));
        };
        prop_assert_eq!(&array.0[..cut], &records[..cut], "outside the range");
        prop_assert!(array.0[cut..].is_sorted_by_key(|record| record & mask));
        let (mut before, mut after) = (records, array.0);
        before.sort_unstable();
        after.sort_unstable();
        prop_assert_eq!(before, after);
    }

    #[test]
    fn dedup_keeps_the_first_of_equal_neighbours(
        records in prop::collection::vec(0..6u128, 0..100),
        mask in 0..8u128,
    ) {
        let mut array = Array(records.clone());
        prop_assert_eq!(dedup(&mut array, mask, &mut endless()), Ok(()));
        let mut expected = records;
        expected.dedup_by_key(|record| *record & mask);
        prop_assert_eq!(array.0, expected);
    }

    #[test]
    fn a_run_ends_where_the_masked_bits_change(
        records in prop::collection::vec(0..4u128, 1..50),
        mask in 0..4u128,
        start in any::<prop::sample::Index>(),
    ) {
        let start = start.index(records.len());
        let first = records[start] & mask;
        let run = records[start..].iter().take_while(|record| *record & mask == first).count();
        let len = records.len();
        prop_assert_eq!(end_of_run(&Array(records), start..len, mask, &mut endless()), Ok(start + run));
    }
}

#[test]
fn the_pause_is_called_once_a_period() {
    let pauses = Cell::new(0);
    let mut pacer = Pacer::new(|| {
        pauses.set(pauses.get() + 1);
        Ok::<(), ()>(())
    });
    // In units of work, with the pauses until then: too much at once is one pause.
    for (units, expected) in [
        (2047, 0),
        (1, 1),
        (2047, 1),
        (1, 2),
        (9999, 3),
        (2047, 3),
        (1, 4),
    ] {
        assert_eq!(pacer.tick(units), Ok(()));
        assert_eq!(pauses.get(), expected, "after {units}");
    }
}

#[test]
fn runs_of_one_record_are_a_unit_each() {
    let mut pauses = 0;
    let mut pacer = Pacer::new(|| {
        pauses += 1;
        Ok::<(), ()>(())
    });
    let different = Array((0..2048).collect());
    for start in 0..2048 {
        let end = end_of_run(&different, start..2048, u128::MAX, &mut pacer);
        assert_eq!(end, Ok(start + 1));
    }
    assert_eq!(pauses, 1);
}

#[test]
fn the_pause_is_called_within_a_long_run_too() {
    let many = longest(200_000);
    let mut pauses = 0;
    let mut pacer = Pacer::new(|| {
        pauses += 1;
        Ok::<(), ()>(())
    });
    let equal = Array(vec![7; 2 * many]);
    let run = many..2 * many;
    assert_eq!(end_of_run(&equal, run, u128::MAX, &mut pacer), Ok(2 * many));
    let expected = many / 2048;
    assert!((expected..=expected + 1).contains(&pauses), "{pauses}");
}

#[test]
fn the_pause_is_called_often_and_its_error_stops_the_work() {
    let many = longest(200_000) as u128;
    let shuffled = (0..many)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % many)
        .collect();
    let mut array = Array(shuffled);
    let mut pauses = 0;
    let all = 0..array.0.len();
    let mut pacer = Pacer::new(|| {
        pauses += 1;
        if pauses == 3 {
            Err("stop")
        } else {
            Ok(())
        }
    });
    let result = sort(
        &mut array,
        all,
        u128::MAX,
        &mut Space::new().lend(),
        &mut pacer,
    );
    if many > 10_000 {
        assert_eq!(result, Err("stop"));
        assert_eq!(pauses, 3);
    }
}
