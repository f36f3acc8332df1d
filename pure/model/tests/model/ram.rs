// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Every frame has one kind, and nothing is lost between a table and who adds its parts up.

use std::collections::BTreeMap;

use abi::pagelens::ram::*;
use model::ram::{add, put, sums, take, Facts, Part, Put, FRAME};
use proptest::prelude::*;

use crate::support::cases;

fn kind(facts: u64) -> u32 {
    Facts(facts).kind()
}

#[test]
fn each_mark_has_its_kind() {
    for (facts, expected) in [
        (0, RAM_KERNEL),
        (Facts::LARGE | Facts::CHARGED, RAM_KERNEL),
        (Facts::MAPPED, RAM_KERNEL),
        (Facts::OFFLINE, RAM_OFFLINE),
        (Facts::POISONED, RAM_POISONED),
        (Facts::ZERO, RAM_ZERO),
        (Facts::RESERVED, RAM_RESERVED),
        (Facts::RESERVED | Facts::NOT_RAM, RAM_HOLE),
        (Facts::BUDDY, RAM_FREE),
        (Facts::UNREFERENCED, RAM_FREE_PER_CPU),
        (Facts::UNACCEPTED, RAM_UNACCEPTED),
        (Facts::GIVEN_AWAY, RAM_GIVEN_AWAY),
        (Facts::TABLE, RAM_PAGE_TABLES),
        (Facts::HUGETLB, RAM_HUGETLB),
        (Facts::HUGETLB | Facts::UNREFERENCED, RAM_HUGETLB_FREE),
        (Facts::SLAB, RAM_SLAB),
        (Facts::ZSMALLOC, RAM_COMPRESSED),
        (Facts::KMALLOC, RAM_KMALLOC),
        (Facts::ANONYMOUS, RAM_ANONYMOUS),
        (Facts::ANONYMOUS | Facts::KSM, RAM_KSM),
        (Facts::ANONYMOUS | Facts::SWAP_CACHE, RAM_SWAP_CACHE),
        (Facts::SWAP_CACHE, RAM_SWAP_CACHE),
        (Facts::MAPPING, RAM_FILE),
        (Facts::MAPPING | Facts::SWAP_BACKED, RAM_SHARED_MEMORY),
        (Facts::POOL, RAM_NETWORK),
        (Facts::LRU, RAM_DETACHED),
    ] {
        assert_eq!(kind(facts), expected, "{facts:#x}");
    }
}

#[test]
fn a_mark_that_goes_before_others_hides_them() {
    let all = [
        (Facts::OFFLINE, RAM_OFFLINE),
        (Facts::POISONED, RAM_POISONED),
        (Facts::ZERO, RAM_ZERO),
        (Facts::RESERVED, RAM_RESERVED),
        (Facts::BUDDY, RAM_FREE),
        (Facts::SLAB, RAM_SLAB),
        (Facts::ANONYMOUS, RAM_ANONYMOUS),
        (Facts::MAPPING, RAM_FILE),
        (Facts::UNREFERENCED, RAM_FREE_PER_CPU),
        (Facts::LRU, RAM_DETACHED),
    ];
    for (at, &(mark, expected)) in all.iter().enumerate() {
        let later: u64 = all[at..].iter().map(|(mark, _)| mark).sum();
        assert_eq!(kind(mark | later), expected);
    }
    // A frame whose last reference is just being given up is still what it was.
    assert_eq!(kind(Facts::MAPPING | Facts::UNREFERENCED), RAM_FILE);
}

#[test]
fn sums_are_of_what_the_kind_has() {
    let used = Facts::MAPPED | Facts::DIRTY | Facts::WRITEBACK | Facts::LARGE | Facts::UNEVICTABLE;
    let all = sums(Facts(Facts::MAPPING | used | Facts::CHARGED), 3, 7);
    let (bytes, mappings) = (3 * FRAME, 7 * FRAME);
    let expected = RamSums {
        bytes,
        mapped: bytes,
        mappings,
        dirty: bytes,
        mapped_dirty: bytes,
        writeback: bytes,
        large: bytes,
        unevictable: bytes,
        charged: bytes,
    };
    assert_eq!(all, expected);
    // The bits mean something else in the kernel's own frames, but that of being mapped.
    let kernel = sums(Facts(used), 3, 7);
    let expected = RamSums {
        bytes,
        mapped: bytes,
        mappings,
        ..RamSums::default()
    };
    assert_eq!(kernel, expected);
    let clean = sums(Facts(Facts::ANONYMOUS | Facts::DIRTY), 1, 9);
    assert_eq!((clean.dirty, clean.mapped, clean.mappings), (FRAME, 0, 0));
    assert_eq!(clean.mapped_dirty, 0);
    assert_eq!(sums(Facts(0), u64::MAX, 0).bytes, u64::MAX);
}

fn zone(node: u32, kind: u32, order: u32, bytes: u64) -> RamZone {
    RamZone {
        node,
        kind,
        order,
        sums: RamSums {
            bytes,
            ..RamSums::default()
        },
        ..RamZone::default()
    }
}

#[test]
fn all_kinds_of_a_zone_fit_into_one_table() {
    let mut table = [RamZone::default(); 64];
    let kinds = (1..RAM_KINDS as u32).map(|kind| (kind, 0));
    let orders = (0..RAM_ORDERS as u32).map(|order| (RAM_FREE, order));
    for (kind, order) in kinds.chain(orders) {
        assert_eq!(put(&mut table, &zone(0, kind, order, 1)), Put::New);
        assert_eq!(put(&mut table, &zone(0, kind, order, 1)), Put::Added);
    }
}

#[test]
fn what_has_no_room_gives_way_to_what_comes() {
    let mut table = [RamZone::default(); 2];
    assert_eq!(put(&mut table, &zone(0, 1, 0, 5)), Put::New);
    assert_eq!(put(&mut table, &zone(1, 1, 0, 3)), Put::New);
    // The smaller of the two goes.
    let there = Put::InsteadOf(zone(1, 1, 0, 3));
    assert_eq!(put(&mut table, &zone(2, 1, 0, 9)), there);
    let mut at = 0;
    let mut left = [
        take(&mut table, &mut at).map(|part| part.node),
        take(&mut table, &mut at).map(|part| part.node),
    ];
    left.sort_unstable();
    assert_eq!(left, [Some(0), Some(2)]);
    assert!(take(&mut table, &mut at).is_none());
    // Nothing is told twice.
    assert!(take(&mut table, &mut 0).is_none());
    // Without a table, all is told as it comes.
    let part = zone(0, 1, 0, 5);
    assert_eq!(put(&mut [], &part), Put::InsteadOf(part));
}

#[test]
fn files_are_told_apart_by_all_that_names_them() {
    let file = RamFile {
        inode: 5,
        dev_major: 8,
        dev_minor: 1,
        kind: RAM_FILE,
        ..RamFile::default()
    };
    let mut device = file;
    device.header.flags = RAM_FILE_DEVICE;
    let others = [
        RamFile { inode: 6, ..file },
        RamFile {
            dev_major: 9,
            ..file
        },
        RamFile {
            dev_minor: 2,
            ..file
        },
        RamFile {
            kind: RAM_SHARED_MEMORY,
            ..file
        },
        device,
    ];
    assert!(file.is_same(&file));
    assert!(others.iter().all(|other| !file.is_same(other)));
    let group = RamGroup {
        cgroup: 3,
        kind: 1,
        ..RamGroup::default()
    };
    assert!(!group.is_same(&RamGroup { cgroup: 4, ..group }));
    assert!(!group.is_same(&RamGroup { kind: 2, ..group }));
    for (node, zone, kind, order) in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)] {
        let other = RamZone {
            node,
            zone,
            kind,
            order,
            ..RamZone::default()
        };
        assert!(!RamZone::default().is_same(&other));
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_frame_has_a_kind_that_there_is(facts in any::<u64>(), frames in any::<u64>()) {
        prop_assert!((kind(facts) as usize) < RAM_KINDS);
        let sums = sums(Facts(facts), frames, frames);
        let parts = [sums.mapped, sums.dirty, sums.writeback, sums.large, sums.unevictable, sums.charged];
        prop_assert!(parts.iter().all(|&part| part <= sums.bytes));
        prop_assert!(sums.mapped_dirty <= sums.mapped.min(sums.dirty));
    }

    #[test]
    fn parts_add_up_to_what_was_put(
        parts in proptest::collection::vec((0_u64..40, 0_u32..3, 1_u64..1000), 0..300),
        size in 1_u32..6,
    ) {
        let mut table = vec![RamGroup::default(); 1 << size];
        let (mut told, mut expected) = (Vec::new(), BTreeMap::new());
        for (cgroup, kind, bytes) in parts {
            let sums = RamSums { bytes, dirty: bytes, ..RamSums::default() };
            let part = RamGroup { cgroup, kind, sums, ..RamGroup::default() };
            add(expected.entry((cgroup, kind)).or_insert_with(RamSums::default), &sums);
            if let Put::InsteadOf(before) = put(&mut table, &part) {
                told.push(before);
            }
        }
        let mut at = 0;
        told.extend(std::iter::from_fn(|| take(&mut table, &mut at)));
        let mut sums = BTreeMap::new();
        for part in told {
            add(sums.entry((part.cgroup, part.kind)).or_insert_with(RamSums::default), &part.sums);
        }
        prop_assert_eq!(sums, expected);
    }
}
