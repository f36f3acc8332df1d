// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changed between two moments.
//!
//! What is compared adds up: the PSS by kind, swap, page tables and kernel stacks. Whatever the changes are
//! told by, their sum is the difference of the totals. Processes are the same if their number and the time
//! of their start are; programs if their names are; areas if their addresses overlap most.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::processes::{Area, Figure, Figures, Name, Process, Processes};

/// What changes are told by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiffBy {
    /// Processes of one name.
    #[default]
    Program,
    /// Single processes.
    Process,
    /// Areas of addresses of single processes.
    Area,
    /// Kinds of memory of all processes.
    Kind,
}

/// A kind of memory that is compared.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// All of them together.
    All,
    /// Of the PSS: anonymous.
    Anonymous,
    /// Of the PSS: pages of files.
    File,
    /// Of the PSS: shared memory.
    Shmem,
    /// Swapped out.
    Swap,
    /// Page tables.
    PageTable,
    /// Kernel stacks.
    KernelStack,
    /// The PSS and the swap of an area.
    Resident,
    /// What a process has and none of its areas: the rest that rounding leaves.
    Rest,
}

impl DiffKind {
    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Anonymous => "anonymous",
            Self::File => "file",
            Self::Shmem => "shmem",
            Self::Swap => "swap",
            Self::PageTable => "page_table",
            Self::KernelStack => "kernel_stack",
            Self::Resident => "resident",
            Self::Rest => "rest",
        }
    }
}

/// The kinds, and the figures that say how much there is.
const KINDS: [(DiffKind, Figure); 6] = [
    (DiffKind::Anonymous, Figure::PssAnonymous),
    (DiffKind::File, Figure::PssFile),
    (DiffKind::Shmem, Figure::PssShmem),
    (DiffKind::Swap, Figure::Swap),
    (DiffKind::PageTable, Figure::PageTable),
    (DiffKind::KernelStack, Figure::KernelStack),
];

/// A kernel tells the start of a process in ticks of this length, the module in nanoseconds.
const TICK_NS: u64 = 10_000_000;

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The program; empty if kinds of all processes are told.
    pub name: Name,
    /// The process, unless several are told together.
    pub pid: Option<u32>,
    /// The kind.
    pub kind: DiffKind,
    /// The area, as it is or, if it is gone, as it was.
    pub area: Option<Area>,
    /// What there was; `None`: it is new.
    pub before: Option<u64>,
    /// What there is; `None`: it is gone.
    pub after: Option<u64>,
}

impl Change {
    /// By how much it grew.
    #[must_use]
    pub fn change(&self) -> i64 {
        let signed = |bytes: Option<u64>| i64::try_from(bytes.unwrap_or(0)).unwrap_or(i64::MAX);
        signed(self.after) - signed(self.before)
    }
}

/// All that is compared of some figures. What they do not know is not in it, before and after alike.
fn footprint(figures: &Figures) -> u64 {
    let parts = KINDS.iter().filter_map(|&(_, figure)| figures.get(figure));
    parts.fold(0, u64::saturating_add)
}

/// What all processes of an answer have.
#[must_use]
pub fn footprint_of(answer: &Processes) -> u64 {
    let once = answer
        .told_once()
        .map(|process| footprint(&process.figures));
    once.fold(0, u64::saturating_add)
}

/// What changed from one moment to another, in no order; what did not change is not told.
#[must_use]
pub fn diff(before: &Processes, after: &Processes, by: DiffBy) -> Vec<Change> {
    let changes = match by {
        DiffBy::Program => programs(before, after),
        DiffBy::Process => processes(before, after),
        DiffBy::Area => areas(before, after),
        DiffBy::Kind => kinds(before, after),
    };
    let changed = changes.into_iter();
    changed
        .filter(|change| change.before != change.after)
        .collect()
}

/// Puts what there was and what there is side by side.
fn pairs<'a, K: Ord, V>(
    before: impl IntoIterator<Item = (K, &'a V)>,
    after: impl IntoIterator<Item = (K, &'a V)>,
) -> BTreeMap<K, (Option<&'a V>, Option<&'a V>)> {
    let mut pairs = BTreeMap::<K, (Option<&V>, Option<&V>)>::new();
    for (key, value) in before {
        pairs.entry(key).or_default().0 = Some(value);
    }
    for (key, value) in after {
        pairs.entry(key).or_default().1 = Some(value);
    }
    pairs
}

fn programs(before: &Processes, after: &Processes) -> Vec<Change> {
    let sums = |answer: &Processes| {
        let mut sums = BTreeMap::<Name, u64>::new();
        for process in answer.told_once() {
            let sum = sums.entry(process.name.clone()).or_default();
            *sum = sum.saturating_add(footprint(&process.figures));
        }
        sums
    };
    let (before, after) = (sums(before), sums(after));
    let pairs = pairs(&before, &after).into_iter();
    let changes = pairs.map(|(name, (before, after))| Change {
        name: name.clone(),
        pid: None,
        kind: DiffKind::All,
        area: None,
        before: before.copied(),
        after: after.copied(),
    });
    changes.collect()
}

/// Which process it is, whoever told it.
fn identity(process: &Process) -> (u32, u64) {
    (process.pid, process.start_time_ns.unwrap_or(0) / TICK_NS)
}

type Pair<'a> = (Option<&'a Process>, Option<&'a Process>);

fn process_pairs<'a>(before: &'a Processes, after: &'a Processes) -> Vec<Pair<'a>> {
    let keyed = |answer: &'a Processes| {
        let once = answer.told_once();
        once.map(|process| (identity(process), process))
    };
    pairs(keyed(before), keyed(after)).into_values().collect()
}

fn processes(before: &Processes, after: &Processes) -> Vec<Change> {
    let pairs = process_pairs(before, after).into_iter();
    pairs
        .filter_map(|pair| of_process(pair, DiffKind::All, footprint))
        .collect()
}

/// The change of one quantity of a process.
fn of_process(pair: Pair<'_>, kind: DiffKind, quantity: fn(&Figures) -> u64) -> Option<Change> {
    let (before, after) = pair;
    let process = after.or(before)?;
    Some(Change {
        name: process.name.clone(),
        pid: Some(process.pid),
        kind,
        area: None,
        before: before.map(|process| quantity(&process.figures)),
        after: after.map(|process| quantity(&process.figures)),
    })
}

fn kinds(before: &Processes, after: &Processes) -> Vec<Change> {
    let sum = |answer: &Processes, figure| {
        let once = answer.told_once();
        once.filter_map(|process| process.figures.get(figure))
            .fold(0, u64::saturating_add)
    };
    let changes = KINDS.iter().map(|&(kind, figure)| Change {
        name: Name::default(),
        pid: None,
        kind,
        area: None,
        before: Some(sum(before, figure)),
        after: Some(sum(after, figure)),
    });
    changes.collect()
}

/// What an area has of what is compared.
fn resident(area: &Area) -> u64 {
    let known = [area.figures.pss_bytes, area.figures.swap_bytes];
    known.into_iter().flatten().fold(0, u64::saturating_add)
}

fn areas(before: &Processes, after: &Processes) -> Vec<Change> {
    let mut changes = Vec::new();
    for (before, after) in process_pairs(before, after) {
        let Some(process) = after.or(before) else {
            continue;
        };
        let of = |process: Option<&'_ Process>| process.map_or(Vec::new(), |p| p.areas.clone());
        for (old, new) in matched(&of(before), &of(after)) {
            changes.push(Change {
                name: process.name.clone(),
                pid: Some(process.pid),
                kind: DiffKind::Resident,
                before: old.as_ref().map(resident),
                after: new.as_ref().map(resident),
                area: new.or(old),
            });
        }
        let table = |figures: &Figures| figures.page_table_bytes.unwrap_or(0);
        let stack = |figures: &Figures| figures.kernel_stack_bytes.unwrap_or(0);
        changes.extend(of_process((before, after), DiffKind::PageTable, table));
        changes.extend(of_process((before, after), DiffKind::KernelStack, stack));
        changes.extend(rest(before, after));
    }
    changes
}

/// What the areas of a process lack of what it has, which may be below 0: both are rounded.
fn rest(before: Option<&Process>, after: Option<&Process>) -> Option<Change> {
    let process = after.or(before)?;
    let lacking = |process: &Process| {
        let figures = &process.figures;
        let others = [figures.page_table_bytes, figures.kernel_stack_bytes];
        let areas = process.areas.iter().map(resident);
        let told = areas
            .chain(others.into_iter().flatten())
            .fold(0, u64::saturating_add);
        i128::from(footprint(figures)) - i128::from(told)
    };
    let (old, new) = (before.map_or(0, lacking), after.map_or(0, lacking));
    // Only the difference counts: both are moved up until neither is below 0.
    let up = old.min(new).min(0);
    let moved = |lacking: i128| u64::try_from(lacking - up).ok();
    Some(Change {
        name: process.name.clone(),
        pid: Some(process.pid),
        kind: DiffKind::Rest,
        area: None,
        before: moved(old),
        after: moved(new),
    })
}

type AreaPair = (Option<Area>, Option<Area>);

/// Puts each area with the one that it overlaps most, if that has none yet. Both are in order.
fn matched(before: &[Area], after: &[Area]) -> Vec<AreaPair> {
    let mut overlaps = Vec::new();
    let mut first = 0;
    for (place, new) in after.iter().enumerate() {
        while before.get(first).is_some_and(|old| old.end <= new.start) {
            first += 1;
        }
        let old = before.iter().enumerate().skip(first);
        for (other, old) in old.take_while(|(_, old)| old.start < new.end) {
            let common = old
                .end
                .min(new.end)
                .saturating_sub(old.start.max(new.start));
            overlaps.push((std::cmp::Reverse(common), place, other));
        }
    }
    overlaps.sort_unstable();
    let (mut olds, mut news) = (vec![None; before.len()], vec![None; after.len()]);
    for (_, new, old) in overlaps {
        if let (Some(slot @ None), Some(other @ None)) = (news.get_mut(new), olds.get_mut(old)) {
            (*slot, *other) = (Some(old), Some(new));
        }
    }
    let news = after.iter().zip(news);
    let mut pairs: Vec<AreaPair> = news
        .map(|(area, old)| {
            (
                old.and_then(|old| before.get(old)).cloned(),
                Some(area.clone()),
            )
        })
        .collect();
    let gone = before.iter().zip(olds).filter(|(_, new)| new.is_none());
    pairs.extend(gone.map(|(area, _)| (Some(area.clone()), None)));
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::processes::{Access, Machine, Origin};

    fn area(start: u64, end: u64, pss: u64) -> Area {
        Area {
            start,
            end,
            access: Access::default(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            name: None,
            figures: Figures {
                pss_bytes: Some(pss),
                ..Figures::default()
            },
        }
    }

    fn process(pid: u32, start: u64, anonymous: u64, areas: Vec<Area>) -> Process {
        Process {
            pid,
            ppid: 1,
            uid: Some(0),
            threads: 1,
            start_time_ns: Some(start),
            name: Name::from(if pid % 2 == 0 { "even" } else { "odd" }),
            cgroup: None,
            shares_with: None,
            may_share: false,
            is_kernel: false,
            figures: Figures {
                pss_anonymous_bytes: Some(anonymous),
                page_table_bytes: Some(4096),
                ..Figures::default()
            },
            areas,
        }
    }

    fn answer(processes: Vec<Process>) -> Processes {
        Processes {
            origin: Origin::Proc,
            time_ns: 0,
            host: Name::default(),
            kernel: Name::default(),
            machine: Machine::default(),
            processes,
            left_out: Vec::new(),
            unknown: Vec::new(),
        }
    }

    #[test]
    fn a_number_that_was_given_again_is_another_process() {
        let before = answer(vec![process(2, 0, 100, Vec::new())]);
        let after = answer(vec![process(2, TICK_NS, 100, Vec::new())]);
        let changes = diff(&before, &after, DiffBy::Process);
        let seen: Vec<_> = changes
            .iter()
            .map(|change| (change.before, change.after))
            .collect();
        assert_eq!(seen, [(Some(4196), None), (None, Some(4196))]);
        assert!(diff(&before, &after, DiffBy::Program).is_empty());
        let rounded = answer(vec![process(2, TICK_NS - 1, 100, Vec::new())]);
        assert!(diff(&before, &rounded, DiffBy::Process).is_empty());
    }

    #[test]
    fn an_area_that_grew_is_found_in_the_one_area_that_changed() {
        let old = vec![area(0x1000, 0x3000, 4096), area(0x9000, 0xa000, 4096)];
        let new = vec![area(0x0, 0x3000, 9000), area(0x9000, 0xa000, 4096)];
        let before = answer(vec![process(1, 0, 8192, old)]);
        let after = answer(vec![process(1, 0, 13096, new)]);
        let changes = diff(&before, &after, DiffBy::Area);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].change(), 4904);
        assert_eq!(changes[0].area.as_ref().map(|area| area.start), Some(0));
    }

    prop_compose! {
        fn some()(
            processes in proptest::collection::btree_map(
                1..6_u32,
                (0..3_u64, 0..1_u64 << 40, proptest::collection::btree_map(0..9_u64, 0..1_u64 << 40, 0..5)),
                0..6,
            )
        ) -> Processes {
            let processes = processes.into_iter().map(|(pid, (start, bytes, areas))| {
                let areas = areas.into_iter().map(|(at, pss)| area(at * 4, at * 4 + 1 + pss % 4, pss));
                process(pid, start * TICK_NS, bytes, areas.collect())
            });
            answer(processes.collect())
        }
    }

    proptest! {
        #[test]
        fn sums_equal_the_difference_of_the_totals(before in some(), after in some()) {
            let signed = |answer| i64::try_from(footprint_of(answer)).unwrap();
            let difference = signed(&after) - signed(&before);
            for by in [DiffBy::Program, DiffBy::Process, DiffBy::Area, DiffBy::Kind] {
                let sum: i64 = diff(&before, &after, by).iter().map(Change::change).sum();
                prop_assert_eq!(sum, difference, "{:?}", by);
            }
            for by in [DiffBy::Program, DiffBy::Process, DiffBy::Area, DiffBy::Kind] {
                prop_assert!(diff(&before, &before, by).is_empty());
            }
        }
    }
}
