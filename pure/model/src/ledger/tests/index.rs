// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! How buckets are found by their starts.

use super::*;
use proptest::collection::btree_map;
use std::collections::BTreeSet;

proptest! {
    #[test]
    fn the_index_finds_each_bucket_whatever_was_removed(
        faults in some_faults(), areas in some_areas(), more in some_faults(),
    ) {
        let mut ledger = entered(&faults, 64);
        ledger.settle(0, 1000, &mut TestRoot::of(&areas));
        for (start, kind) in &more {
            ledger.count(*start, *kind, 1, &mut TestRoot::nothing());
        }
        let starts: Vec<u64> = ledger.buckets().iter().map(|b| b.start).collect();
        for (number, start) in starts.iter().enumerate() {
            prop_assert_eq!(ledger.number_of(*start), Some(number));
        }
        let entries = ledger.index.iter().filter(|&&entry| entry != 0).count();
        prop_assert_eq!(entries, starts.len());
    }

    /// Neighbouring starts have homes of their own; starts from all over the addresses share some.
    #[test]
    fn the_index_finds_those_who_had_to_make_way(
        starts in btree_map(0_u64..1 << 35, any::<bool>(), 0..64),
    ) {
        let mut ledger = ledger(64);
        let mut stay = Vec::new();
        for (page, stays) in starts {
            let start = page * PAGE;
            ledger.count(start, Kind::Copied, 1, &mut TestRoot::nothing());
            if stays {
                stay.push(pages(page, 1));
            }
        }
        ledger.settle(0, 1000, &mut TestRoot::of(&stay));
        prop_assert_eq!(ledger.buckets().len(), stay.len());
        for area in &stay {
            let number = ledger.number_of(area.start);
            prop_assert!(number.is_some_and(|number| ledger.is_in_use(number, area.start)));
        }
    }
}

#[test]
fn starts_have_homes_of_their_own_as_a_rule() {
    let ledger = ledger(512);
    for pages in [1, 33, 512, 512 * 512] {
        let starts = (0..512).map(|number| 0x7f00_0000_0000 + number * pages * PAGE);
        let homes: BTreeSet<usize> = starts.map(|start| ledger.home(start)).collect();
        assert!(homes.len() > 256, "{pages} pages apart: {}", homes.len());
    }
}
