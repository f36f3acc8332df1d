// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Every present page has one kind.

use std::ops::Range;

use model::area::{Area, Backing};
use model::memuse::{Kind, Layout, PAGE_SIZE};
use proptest::prelude::*;

use crate::support::cases;

fn area(range: Range<u64>, backing: Backing) -> Area {
    Area {
        range,
        backing,
        grows_down: false,
    }
}

/// Says whether a range holds one of these.
fn holds(pointers: &[u64]) -> impl Fn(&Range<u64>) -> Option<bool> + '_ {
    |range| Some(pointers.iter().any(|pointer| range.contains(pointer)))
}

#[test]
fn numbers_and_kinds_are_one_to_one() {
    for (number, kind) in (0..).zip(Kind::EACH) {
        assert_eq!(kind.number(), number);
        assert_eq!(Kind::from_number(number), Some(kind));
    }
    assert_eq!(Kind::from_number(-1), None);
    assert_eq!(Kind::from_number(11), None);
    assert_eq!(Kind::from_number(i32::MIN), None);
}

#[test]
fn the_heap_is_every_page_that_the_break_reaches_into() {
    let layout = Layout::new(0x1000, 0x3001, 0);
    assert_eq!(layout.heap(), &(0x1000..0x4000));
    assert_eq!(Layout::new(0x1800, 0x1801, 0).heap(), &(0x1000..0x2000));
    assert!(Layout::new(0x1000, 0x1000, 0).heap().is_empty());
    assert!(Layout::new(0x2000, 0x1000, 0).heap().is_empty());
    // Addresses that a program set to nonsense.
    assert!(Layout::new(0, u64::MAX, 0).heap().contains(&0x1000));
}

#[test]
fn pages_are_split_at_the_heaps_borders() {
    let layout = Layout::new(0x3000, 0x5000, 0);
    assert_eq!(layout.pages_outside_heap(0x1000, 2), 2);
    assert_eq!(layout.pages_outside_heap(0x1000, 3), 2);
    assert_eq!(layout.pages_outside_heap(0x3000, 2), 0);
    assert_eq!(layout.pages_outside_heap(0x2000, 10), 8);
    assert_eq!(layout.pages_outside_heap(0x5000, 7), 7);
    assert_eq!(layout.pages_outside_heap(u64::MAX - 0xfff, 1), 1);
}

#[test]
fn the_main_stack_grows_down_and_holds_its_start() {
    let layout = Layout::new(0, 0, 0x7fff);
    assert_eq!(layout.start_stack(), 0x7fff);
    let mut stack = area(0x6000..0x8000, Backing::Anonymous);
    assert_eq!(layout.kind_of(&stack, holds(&[])), Some(Kind::Anonymous));
    stack.grows_down = true;
    assert_eq!(layout.kind_of(&stack, |_| None), Some(Kind::CallStack));
    let other = Area {
        range: 0x4000..0x6000,
        ..stack
    };
    assert_eq!(layout.kind_of(&other, holds(&[])), Some(Kind::Anonymous));
}

#[test]
fn a_thread_stack_is_anonymous_and_holds_a_stack_pointer() {
    let layout = Layout::new(0, 0, 0);
    let pointers = [0x500, 0x1fff, 0x4000];
    for (range, kind) in [
        (0x1000..0x2000, Kind::ThreadStacks),
        (0x2000..0x4000, Kind::Anonymous),
        (0x4000..0x5000, Kind::ThreadStacks),
        (0x5000..0x6000, Kind::Anonymous),
    ] {
        let anonymous = area(range.clone(), Backing::Anonymous);
        let found = layout.kind_of(&anonymous, holds(&pointers));
        assert_eq!(found, Some(kind), "{range:?}");
        assert_eq!(layout.kind_of(&anonymous, |_| None), None);
        let file = area(range, Backing::File);
        assert_eq!(layout.kind_of(&file, |_| None), Some(Kind::File));
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_parts_add_up_to_all(
        start_brk in 0u64..1 << 20,
        size in 0u64..1 << 18,
        areas in prop::collection::vec((1u64..64, 0usize..4, any::<bool>()), 1..20),
        pointers in prop::collection::vec(0u64..1 << 20, 0..5),
    ) {
        const BACKINGS: [Backing; 4] =
            [Backing::Anonymous, Backing::File, Backing::SharedMemory, Backing::Kernel];
        let layout = Layout::new(start_brk, start_brk + size, 1 << 17);
        let (mut at, mut all, mut parts) = (0, 0, 0);
        for (pages, backing, grows_down) in areas {
            let range = at..at + pages * PAGE_SIZE;
            let inside = range.clone().step_by(PAGE_SIZE as usize)
                .filter(|page| layout.heap().contains(page)).count() as u64;
            let area = Area { range, backing: BACKINGS[backing], grows_down };
            let kind = layout.kind_of(&area, holds(&pointers));
            prop_assert!(kind.is_some_and(|kind| Kind::PARTS.contains(&kind)));
            all += pages;
            parts += inside + layout.pages_outside_heap(at, pages);
            at = area.range.end;
        }
        prop_assert_eq!(all, parts);
    }
}
