// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame by frame beside what the kernel says of each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;

use anyhow::{ensure, Context, Result};
use pagelens::device::ram::{self, Ram, RamRun};

use super::{look, runs_and_groups, Loaded};

const FRAME: u64 = 4096;

/// The bits of `include/uapi/linux/kernel-page-flags.h` that have a kind.
const SLAB: u64 = 1 << 7;
const BUDDY: u64 = 1 << 10;
const ANON: u64 = 1 << 12;
const SWAP_CACHE: u64 = 1 << 13;
const SWAP_BACKED: u64 = 1 << 14;
const HUGE: u64 = 1 << 17;
const POISONED: u64 = 1 << 19;
const KSM: u64 = 1 << 21;
const OFFLINE: u64 = 1 << 23;
const ZERO: u64 = 1 << 24;
const TABLE: u64 = 1 << 26;
const RESERVED: u64 = 1 << 32;

/// The kinds that a frame with these flags may be.
fn kinds(flags: u64) -> &'static [u32] {
    let marks: [(u64, &[u32]); 9] = [
        (POISONED, &[ram::RAM_POISONED]),
        (ZERO, &[ram::RAM_ZERO]),
        (RESERVED, &[ram::RAM_RESERVED, ram::RAM_HOLE]),
        (BUDDY, &[ram::RAM_FREE]),
        (OFFLINE, &[ram::RAM_GIVEN_AWAY]),
        (TABLE, &[ram::RAM_PAGE_TABLES]),
        (HUGE, &[ram::RAM_HUGETLB, ram::RAM_HUGETLB_FREE]),
        (SLAB, &[ram::RAM_SLAB]),
        (KSM, &[ram::RAM_KSM]),
    ];
    if let Some((_, kinds)) = marks.iter().find(|(mark, _)| flags & mark != 0) {
        return kinds;
    }
    match (flags & ANON != 0, flags & SWAP_BACKED != 0) {
        _ if flags & SWAP_CACHE != 0 && flags & SWAP_BACKED != 0 => &[ram::RAM_SWAP_CACHE],
        (true, _) => &[ram::RAM_ANONYMOUS],
        (false, true) => &[ram::RAM_SHARED_MEMORY, ram::RAM_DETACHED],
        (false, false) => &[
            ram::RAM_FREE_PER_CPU,
            ram::RAM_UNACCEPTED,
            ram::RAM_FILE,
            ram::RAM_DETACHED,
            ram::RAM_KMALLOC,
            ram::RAM_COMPRESSED,
            ram::RAM_NETWORK,
            ram::RAM_KERNEL,
        ],
    }
}

/// One of the files with a word for each frame.
fn words(file: &str) -> Result<Vec<u64>> {
    let mut bytes = Vec::new();
    let mut from = File::open(file).context(file.to_owned())?;
    // By large pieces: it is a word at a time otherwise.
    let mut piece = vec![0; 1 << 20];
    loop {
        match from.read(&mut piece)? {
            0 => break,
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
    let words = bytes.chunks_exact(8);
    Ok(words
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
        .collect())
}

/// Each frame, with the run that it is in.
fn each(map: &Ram) -> impl Iterator<Item = (usize, &RamRun)> {
    map.runs.iter().flat_map(|run| {
        let first = (run.start / FRAME) as usize;
        (first..first + (run.sums.bytes / FRAME) as usize).map(move |frame| (frame, run))
    })
}

#[test]
fn no_frame_is_counted_twice_and_none_is_left_out() -> Result<()> {
    let loaded = Loaded::new()?;
    let map = look(&loaded, &runs_and_groups())?;
    let mut next = 0;
    for run in &map.runs {
        ensure!(run.start >= next, "{run:?} begins before {next:#x}");
        next = run.start + run.sums.bytes;
    }
    let runs: u64 = map.runs.iter().map(|run| run.sums.bytes).sum();
    let groups: u64 = map.groups.values().map(|sums| sums.bytes).sum();
    assert_eq!((runs, groups), (map.end.bytes, map.end.bytes));
    // All that the kernel has records of.
    let frames = words("/proc/kpageflags")?;
    const NO_PAGE: u64 = 1 << 20;
    let known = frames.iter().filter(|&&flags| flags & NO_PAGE == 0).count() as u64;
    let online = map.end.bytes - map.of_kind(ram::RAM_OFFLINE).bytes;
    println!(
        "{} frames, {} of them no memory",
        known,
        map.of_kind(ram::RAM_HOLE).bytes / FRAME
    );
    ensure!(online / FRAME <= known, "{} and {known}", online / FRAME);
    Ok(())
}

#[test]
fn zones_have_all_the_memory_that_the_kernel_says_is_present() -> Result<()> {
    let loaded = Loaded::new()?;
    let map = look(&loaded, &ram::Question::default())?;
    let mut ours: BTreeMap<(u32, &str), u64> = BTreeMap::new();
    for (place, sums) in &map.zones {
        let name = ["DMA", "DMA32", "Normal", "Movable", "none"][place.zone as usize];
        if place.kind != ram::RAM_HOLE && place.kind != ram::RAM_OFFLINE {
            *ours.entry((place.node, name)).or_default() += sums.bytes / FRAME;
        }
    }
    let text = fs::read_to_string("/proc/zoneinfo")?;
    let mut theirs = BTreeMap::new();
    let mut zone = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Node", node, "zone", name] => {
                zone = Some((node.trim_end_matches(',').parse::<u32>()?, name.to_owned()));
            }
            ["present", count] => {
                let (node, name) = zone.clone().context("no zone")?;
                let count: u64 = count.parse()?;
                if count > 0 {
                    theirs.insert((node, name), count);
                }
            }
            _ => {}
        }
    }
    let ours: BTreeMap<_, _> = ours
        .into_iter()
        .map(|((node, name), frames)| ((node, name.to_owned()), frames))
        .collect();
    assert_eq!(ours, theirs);
    let present: u64 = map.nodes.iter().map(|node| node.present).sum();
    assert_eq!(present, theirs.values().sum::<u64>() * FRAME);
    Ok(())
}

/// What stood still: the same before and after.
fn settled(file: &str, before: &[u64]) -> Result<Vec<Option<u64>>> {
    let after = words(file)?;
    let pairs = before.iter().zip(after);
    Ok(pairs
        .map(|(&before, after)| (before == after).then_some(before))
        .collect())
}

#[test]
fn each_frame_is_what_kpageflags_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let before = words("/proc/kpageflags")?;
    let map = look(&loaded, &runs_and_groups())?;
    let settled = settled("/proc/kpageflags", &before)?;
    let (mut wrong, mut compared) = (BTreeMap::new(), 0_u64);
    for (frame, run) in each(&map) {
        let Some(&Some(flags)) = settled.get(frame) else {
            continue;
        };
        compared += 1;
        if !kinds(flags).contains(&run.kind) {
            wrong
                .entry((run.kind, flags))
                .or_insert_with(Vec::new)
                .push(frame);
        }
    }
    for ((kind, flags), frames) in &wrong {
        println!(
            "{} for {flags:#x}: {} frames, {:?}",
            ram::name_of(*kind),
            frames.len(),
            &frames[..frames.len().min(4)]
        );
    }
    println!("{compared} frames compared");
    for (kind, sums) in map.by_kind() {
        println!(
            "{:>10} {:>24} {sums:?}",
            sums.bytes / FRAME,
            ram::name_of(kind)
        );
    }
    ensure!(
        compared > map.end.bytes / FRAME * 9 / 10,
        "only {compared} frames stood still"
    );
    let wrong: usize = wrong.values().map(Vec::len).sum();
    ensure!(wrong == 0, "{wrong} frames");
    Ok(())
}

#[test]
fn each_frame_is_mapped_and_paid_for_as_kpagecount_and_kpagecgroup_say() -> Result<()> {
    let loaded = Loaded::new()?;
    let (counts, groups) = (words("/proc/kpagecount")?, words("/proc/kpagecgroup")?);
    let map = look(&loaded, &runs_and_groups())?;
    let counts = settled("/proc/kpagecount", &counts)?;
    let groups = settled("/proc/kpagecgroup", &groups)?;
    let (mut mapped, mut paid, mut compared) = (0_u64, 0_u64, 0_u64);
    let mut mappings = 0;
    for (frame, run) in each(&map) {
        let (Some(&Some(count)), Some(&Some(group))) = (counts.get(frame), groups.get(frame))
        else {
            continue;
        };
        compared += 1;
        let is_mapped = count != 0 && run.kind != ram::RAM_ZERO;
        if is_mapped != (run.sums.mapped != 0) {
            println!("frame {frame}: mapped {count} times, {run:?}");
            mapped += 1;
        }
        if group != run.cgroup {
            println!("frame {frame}: cgroup {group}, {run:?}");
            paid += 1;
        }
        mappings += count;
    }
    ensure!(
        compared > map.end.bytes / FRAME * 9 / 10,
        "only {compared} frames stood still"
    );
    ensure!(mapped == 0 && paid == 0, "{mapped} and {paid} frames");
    println!("{mappings} and {} mappings", map.total().mappings / FRAME);
    Ok(())
}
