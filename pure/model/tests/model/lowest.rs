// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What is said of a range is what looking at all numbers says.

use model::lowest::Lowest;
use proptest::prelude::*;

use crate::support::cases;

fn offered(lowest: &mut Lowest<Vec<u64>>, from: u64, numbers: &[u64]) {
    lowest.start(from);
    numbers.iter().for_each(|&number| lowest.offer(number));
    lowest.finish();
}

#[test]
fn nothing_is_known_before_the_first_round() {
    let lowest = Lowest::new(vec![0; 4]);
    assert_eq!(lowest.room(), 4);
    assert_eq!(lowest.any_in(&(0..u64::MAX)), None);
    assert_eq!(lowest.any_in(&(u64::MAX..u64::MAX)), None);
}

#[test]
fn what_lies_beyond_the_numbers_kept_is_not_known() {
    let mut lowest = Lowest::new(vec![0; 2]);
    offered(&mut lowest, 10, &[50, 5, 30, 20, 40]);
    assert_eq!(lowest.any_in(&(10..20)), Some(false));
    assert_eq!(lowest.any_in(&(10..21)), Some(true));
    assert_eq!(lowest.any_in(&(21..30)), Some(false));
    assert_eq!(lowest.any_in(&(30..31)), Some(true));
    assert_eq!(lowest.any_in(&(31..40)), None);
    // What is below the bound counts for nothing: 5 does not.
    assert_eq!(lowest.any_in(&(0..10)), Some(false));
    // It holds 20 all the same.
    assert_eq!(lowest.any_in(&(0..25)), Some(true));
    offered(&mut lowest, 31, &[50, 5, 30, 20, 40]);
    assert_eq!(lowest.any_in(&(31..40)), Some(false));
    assert_eq!(lowest.any_in(&(51..u64::MAX)), Some(false));
    // What is at the bound counts.
    offered(&mut lowest, 30, &[50, 30]);
    assert_eq!(lowest.any_in(&(30..31)), Some(true));
}

/// A mapping that grows downwards by a page while all threads are looked at for its sake.
#[test]
fn a_range_whose_start_falls_at_each_round_is_known_after_one() {
    let stack_pointers = [5, 15, 25, 900, 950, 990];
    let mut lowest = Lowest::new(vec![0; 2]);
    offered(&mut lowest, 0, &stack_pointers);
    let (mut start, mut rounds) = (500, 0);
    while lowest.any_in(&(start..1000)).is_none() {
        rounds += 1;
        assert!(rounds < 100, "no end, at {start}");
        offered(&mut lowest, start, &stack_pointers[3..]);
        start -= 1;
    }
    assert_eq!(rounds, 1);
    assert_eq!(lowest.any_in(&(start..1000)), Some(true));
    assert_eq!(lowest.any_in(&(start..900)), Some(false));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn each_range_is_known_after_one_more_round_at_most(
        numbers in prop::collection::vec(0u64..2000, 0..200),
        twice in 0usize..200,
        room in 1usize..64,
        lengths in prop::collection::vec((0u64..20, 1u64..100), 1..50),
    ) {
        let mut numbers = numbers;
        numbers.extend_from_within(..twice.min(numbers.len()));
        let mut lowest = Lowest::new(vec![0; room]);
        let (mut at, mut rounds) = (0, 0);
        for (gap, length) in lengths {
            let range = at + gap..at + gap + length;
            at = range.end;
            let expected = numbers.iter().any(|number| range.contains(number));
            let found = lowest.any_in(&range).unwrap_or_else(|| {
                rounds += 1;
                offered(&mut lowest, range.start, &numbers);
                lowest.any_in(&range).expect("known after a round")
            });
            prop_assert_eq!(found, expected, "{:?}", range);
        }
        // Each round but the last gets past as many numbers as there is room for.
        prop_assert!(rounds <= numbers.len() / room + 2, "{} rounds", rounds);
    }
}
