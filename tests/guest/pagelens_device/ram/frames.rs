// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame by frame beside what the kernel says of each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{ensure, Context, Result};
use pagelens::device::ram::{self, Ram, RamRun};
use workloads::Workload;

use super::super::holder;
use super::{look, runs_and_groups, Loaded};
use crate::support::Cgroup;

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

/// A program that has memory of many kinds: huge pages of which parts are mapped, too.
fn of_many_kinds() -> Result<Workload> {
    holder(&[
        "rw:aa:3000",
        "huge:bb:3",
        "halve",
        "shm:cc:2000",
        "zero:10",
        "threads:20",
        "fork",
    ])
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

/// How often a frame must be wrong in a row to be wrong: it may change between the looks, and back.
const ROUNDS: usize = 4;

/// The frames for which `wrong` has something to say in each round.
fn always_wrong(
    mut wrong: impl FnMut() -> Result<BTreeMap<usize, String>>,
) -> Result<BTreeMap<usize, String>> {
    let mut always = wrong()?;
    for _ in 1..ROUNDS {
        let again = wrong()?;
        always.retain(|frame, what| again.get(frame) == Some(what));
    }
    Ok(always)
}

/// Fails with some of the frames, if there are any.
fn none(wrong: &BTreeMap<usize, String>) -> Result<()> {
    let some: Vec<_> = wrong.iter().take(5).collect();
    ensure!(wrong.is_empty(), "{} frames: {some:#?}", wrong.len());
    Ok(())
}

#[test]
fn each_frame_is_what_kpageflags_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let _memory = of_many_kinds()?;
    let wrong = always_wrong(|| {
        // Its descriptor has memory, too.
        let answer = loaded.device.ram(&runs_and_groups())?;
        let flags = words("/proc/kpageflags")?;
        let map = Ram::read(answer)?;
        let wrong = each(&map).filter_map(|(frame, run)| {
            let flags = *flags.get(frame)?;
            let is_so = kinds(flags).contains(&run.kind);
            (!is_so).then(|| (frame, format!("{flags:#x}, {}", ram::name_of(run.kind))))
        });
        Ok(wrong.collect())
    })?;
    none(&wrong)
}

#[test]
fn each_frame_is_mapped_as_often_as_kpagecount_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let _memory = of_many_kinds()?;
    let wrong = always_wrong(|| {
        let counts = words("/proc/kpagecount")?;
        let map = look(&loaded, &runs_and_groups())?;
        let (mut wrong, mut frames) = (BTreeMap::new(), 0..0);
        let mut sum = 0;
        for (frame, run) in each(&map) {
            let count = counts.get(frame).copied().unwrap_or(0);
            if (count != 0) != (run.sums.mapped != 0) {
                wrong.insert(frame, format!("{count}, {}", ram::name_of(run.kind)));
            }
            if frame as u64 == run.start / FRAME {
                (frames, sum) = (frame..frame + (run.sums.bytes / FRAME) as usize, 0);
            }
            sum += count;
            if frame + 1 == frames.end && sum * FRAME != run.sums.mappings {
                let ours = run.sums.mappings / FRAME;
                wrong.insert(frames.start, format!("{sum} and {ours} mappings"));
            }
        }
        Ok(wrong)
    })?;
    none(&wrong)
}

#[test]
fn each_frame_is_paid_for_by_the_cgroup_that_kpagecgroup_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let group = Cgroup::new("payer")?;
    let _payer = group.join(|| holder(&["rw:aa:1000"]))??;
    let inode = fs::metadata(group.file(""))?.ino();
    let mut paid = 0;
    let wrong = always_wrong(|| {
        let groups = words("/proc/kpagecgroup")?;
        let map = look(&loaded, &runs_and_groups())?;
        paid = map
            .groups
            .iter()
            .filter(|((group, _), _)| *group == inode)
            .map(|(_, sums)| sums.bytes)
            .sum();
        let wrong = each(&map).filter_map(|(frame, run)| {
            let group = *groups.get(frame)?;
            (group != run.cgroup).then(|| (frame, format!("{group}, {}", run.cgroup)))
        });
        Ok(wrong.collect())
    })?;
    ensure!(paid >= 1000 * FRAME, "{paid} bytes");
    none(&wrong)
}

/// Frames in the lists of CPUs, and in blocks, by zoneinfo.
fn free_by_zoneinfo() -> Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/zoneinfo")?;
    let sum = |key: &str| -> u64 {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key));
        lines
            .filter_map(|count| count.trim().parse::<u64>().ok())
            .sum()
    };
    Ok((sum("count:"), sum("nr_free_pages ")))
}

#[test]
fn free_frames_are_as_many_as_zoneinfo_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut last = None;
    // What others do in between comes and goes.
    for _ in 0..50 {
        let mut answer = loaded.device.ram(&ram::Question::default())?;
        let before = free_by_zoneinfo()?;
        let map = Ram::read(&mut answer)?;
        let after = free_by_zoneinfo()?;
        let frames = |kind| map.of_kind(kind).bytes / FRAME;
        let ours = (frames(ram::RAM_FREE_PER_CPU), frames(ram::RAM_FREE));
        if before == after && before == ours {
            return Ok(());
        }
        last = Some((before, ours, after));
    }
    anyhow::bail!("{last:?}")
}
