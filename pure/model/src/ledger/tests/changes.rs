// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! A root whose areas change while faults are entered.

use super::*;

/// What may happen to a root that has faults. Pages are numbered.
#[derive(Clone, Debug)]
enum Step {
    Grow(usize, u64),
    Unmap(usize),
    Split(usize),
    /// Of the root, or of a child that has the areas as they were so many steps ago.
    Fault(usize, Kind, usize),
}

fn some_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_usize..12, 1_u64..3).prop_map(|(area, pages)| Step::Grow(area, pages)),
        1 => (0_usize..12).prop_map(Step::Unmap),
        1 => (0_usize..12).prop_map(Step::Split),
        8 => (0_usize..12, kinds(), prop_oneof![3 => Just(0), 1 => 0_usize..20])
            .prop_map(|(area, kind, ago)| Step::Fault(area, kind, ago)),
    ];
    vec(step, 0..3 * MANY)
}

/// Twelve places of an address space far from each other, of which each has an area, one that
/// was split, or none; each area grows downwards.
fn ground(place: usize) -> u64 {
    (place as u64 + 1) * 100_000 * PAGE
}

fn change(areas: &mut Vec<Span>, step: &Step) {
    match *step {
        Step::Grow(place, pages) => {
            let end = ground(place);
            let first = areas
                .iter_mut()
                .find(|area| (end - 90_000 * PAGE..end).contains(&area.start));
            match first {
                Some(area) => area.start -= pages * PAGE,
                None => areas.push(Span {
                    start: end - 2 * PAGE,
                    end,
                }),
            }
        }
        Step::Unmap(place) => {
            let end = ground(place);
            areas.retain(|area| !(end - 90_000 * PAGE..end).contains(&area.start));
        }
        Step::Split(place) => {
            let end = ground(place);
            if let Some(area) = areas
                .iter_mut()
                .find(|area| area.end == end && area.start + PAGE < end)
            {
                let middle = area.start + PAGE;
                area.end = middle;
                areas.push(Span { start: middle, end });
            }
        }
        Step::Fault(..) => {}
    }
    areas.sort_unstable_by_key(|area| area.start);
}

proptest! {
    #[test]
    fn few_areas_are_told_apart_however_often_they_change(steps in some_steps()) {
        let mut ledger = ledger(192);
        let mut root = TestRoot::of(&[]);
        let mut history: Vec<Vec<Span>> = Vec::new();
        let mut expected = Counts::ZERO;
        for step in &steps {
            change(&mut root.areas, step);
            root.version += 1;
            history.push(root.areas.clone());
            if let Step::Fault(area, kind, ago) = *step {
                let seen = &history[history.len() - 1 - ago.min(history.len() - 1)];
                if let Some(area) = seen.get(area) {
                    ledger.count(area.start, kind, 1, &mut root);
                    expected.add(kind, 1);
                }
            }
        }
        let areas = root.areas.clone();
        let mut tallies = vec![Counts::ZERO; areas.len()];
        let folded = folded(&ledger, &areas, &mut tallies);
        prop_assert_eq!(folded.total, expected);
        prop_assert_eq!(folded.unplaced, Counts::ZERO);
        prop_assert_eq!(sum(tallies.iter().chain([&folded.gone])), expected);
    }

    #[test]
    fn nothing_differs_from_a_ledger_without_bounds_while_areas_only_grow(
        grows in vec((0_usize..12, 1_u64..3), 0..2 * MANY),
    ) {
        let (mut bounded, mut unbounded) = (ledger(192), ledger(800));
        let mut root = TestRoot::of(&[]);
        for (area, pages) in grows {
            change(&mut root.areas, &Step::Grow(area, pages));
            root.version += 1;
            let area = area % root.areas.len();
            let start = root.areas[area].start;
            bounded.count(start, Kind::Copied, 1, &mut root);
            unbounded.count(start, Kind::Copied, 1, &mut TestRoot::nothing());
        }
        let areas = root.areas.clone();
        let mut one = vec![Counts::ZERO; areas.len()];
        let mut other = one.clone();
        prop_assert_eq!(folded(&bounded, &areas, &mut one), folded(&unbounded, &areas, &mut other));
        prop_assert_eq!(one, other);
    }
}
