// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memory_info`'s RESET against a user-space program that does the same job, and KSM.

mod peer;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use pagelens::{Duplicates, MemoryInfo};
use workloads::process::rest;
use workloads::{Ksm, Module, Workload};

use crate::harness::{alternate, milliseconds, print, ratio};
use peer::Peer;

const NAME: &str = "contents";
const ROUNDS: usize = 7;
const PAGES: [u64; 4] = [1_000, 10_000, 50_000, 200_000];

/// What the pages hold, and how many times the peer's time must be ours.
struct Contents {
    title: &'static str,
    step: &'static str,
    goal: f64,
}

const CONTENTS: [Contents; 3] = [
    Contents {
        title: "all unique",
        step: "unique",
        goal: 15.0,
    },
    Contents {
        title: "all identical",
        step: "fill:aa",
        goal: 3.0,
    },
    Contents {
        title: "last bytes differ",
        step: "tail",
        goal: 2.0,
    },
];

impl Contents {
    fn holder(&self, pages: u64, more: &[&str]) -> Result<Workload> {
        let step = format!("{}:{pages}", self.step);
        let holder = Workload::start("holder", &[&["--name", NAME, &step], more].concat())?;
        rest(holder.pid())?;
        Ok(holder)
    }

    fn duplicates(&self, pages: u64) -> Duplicates {
        match self.step {
            "fill:aa" => Duplicates { pages, groups: 1 },
            _ => Duplicates::default(),
        }
    }
}

pub fn run() -> Result<()> {
    let _module = Module::load("memory_info", &[])?;
    let mut info = MemoryInfo::open()?;
    let mut peer = Peer::new()?;
    against_user_space(&mut info, &mut peer)?;
    beside_ksm(&mut info)
}

/// For how long at most the last RESET held an mmap lock, as the module publishes it.
fn longest_lock() -> Result<Duration> {
    let text = fs::read_to_string("/sys/module/memory_info/parameters/longest_lock_ns")?;
    Ok(Duration::from_nanos(text.trim().parse()?))
}

fn against_user_space(info: &mut MemoryInfo, peer: &mut Peer) -> Result<()> {
    // What a snapshot costs without the pages in question.
    let empty = Workload::start("holder", &["--name", NAME])?;
    let base = times(info, peer)?;
    drop(empty);

    let mut rows = Vec::new();
    let mut locks = Vec::new();
    for contents in &CONTENTS {
        for pages in PAGES {
            let _holder = contents.holder(pages, &[])?;
            agree(info, peer, contents.duplicates(pages))?;
            let times = times(info, peer)?;
            locks.push(longest_lock()?);
            rows.push(row(contents, pages, times, base));
        }
    }
    print(
        &format!(
            "RESET against pagemap + process_vm_readv + xxh3. Without the pages a snapshot takes \
             {} and {} ms; `/page` is what each page adds.",
            milliseconds(base[0]),
            milliseconds(base[1]),
        ),
        &HEAD,
        &rows,
    );
    println!(
        "No mmap lock was held longer than {} ms at a stretch.",
        milliseconds(locks.into_iter().max().unwrap_or_default())
    );
    Ok(())
}

const HEAD: [&str; 9] = [
    "contents",
    "pages",
    "ours ms",
    "peer ms",
    "ratio",
    "ours ns/page",
    "peer ns/page",
    "ratio/page",
    "goal",
];

/// Our time and the peer's, and what is left of them for each page without the time at the base.
fn row(
    contents: &Contents,
    pages: u64,
    [ours, theirs]: [Duration; 2],
    base: [Duration; 2],
) -> Vec<String> {
    let per_page =
        |time: Duration, base| time.saturating_sub(base).as_nanos() as f64 / pages as f64;
    let (our_page, their_page) = (per_page(ours, base[0]), per_page(theirs, base[1]));
    vec![
        contents.title.to_owned(),
        pages.to_string(),
        milliseconds(ours),
        milliseconds(theirs),
        format!("{:.1}", ratio(theirs, ours)),
        format!("{our_page:.0}"),
        format!("{their_page:.0}"),
        format!("{:.1}", their_page / our_page.max(1.0)),
        format!("{:.0}", contents.goal),
    ]
}

fn times(info: &mut MemoryInfo, peer: &mut Peer) -> Result<[Duration; 2]> {
    alternate(
        ROUNDS,
        [&mut || Ok(info.reset()?), &mut || peer.snapshot().map(drop)],
    )
}

/// Both sides must find the same in the program that is measured.
fn agree(info: &mut MemoryInfo, peer: &mut Peer, expected: Duplicates) -> Result<()> {
    info.reset()?;
    let ours = info.program(NAME.as_bytes())?;
    let snapshot = peer.snapshot()?;
    let theirs = snapshot
        .get(NAME.as_bytes())
        .context("the peer has no such program")?;
    ensure!(
        ours.duplicates == expected,
        "we found {:?}, not {expected:?}",
        ours.duplicates
    );
    ensure!(
        (ours.total, ours.valid, ours.duplicates)
            == (theirs.total, theirs.valid, theirs.duplicates),
        "we found {ours:?}, the peer {theirs:?}"
    );
    Ok(())
}

/// KSM merges, we only count: its time is what finding the same duplicates costs there.
fn beside_ksm(info: &mut MemoryInfo) -> Result<()> {
    const PAGES: u64 = 50_000;
    let mut rows = Vec::new();
    for contents in &CONTENTS {
        let _holder = contents.holder(PAGES, &["mergeable"])?;
        let [ours] = alternate(ROUNDS, [&mut || Ok(info.reset()?)])?;
        let Duplicates { pages, groups } = info.program(NAME.as_bytes())?.duplicates;
        let theirs = merging((pages, groups))?;
        rows.push(vec![
            contents.title.to_owned(),
            PAGES.to_string(),
            pages.to_string(),
            groups.to_string(),
            milliseconds(ours),
            milliseconds(theirs),
        ]);
    }
    print(
        "RESET beside KSM at full speed; both found the same pages in the same groups.",
        &[
            "contents",
            "pages",
            "duplicates",
            "groups",
            "ours ms",
            "KSM ms",
        ],
        &rows,
    );
    Ok(())
}

/// How long KSM takes to merge that many pages into that many.
fn merging(expected: (u64, u64)) -> Result<Duration> {
    let start = Instant::now();
    let ksm = Ksm::run()?;
    let first = ksm.scans()?;
    // Three scans see every page unchanged twice and then merge it.
    while ksm.scans()? < first + 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let time = start.elapsed();
    let merged = ksm.merged()?;
    ensure!(
        merged == expected,
        "KSM merged {merged:?}, not {expected:?}"
    );
    Ok(time)
}
