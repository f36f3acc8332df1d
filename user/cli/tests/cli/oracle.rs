// SPDX-License-Identifier: MIT OR Apache-2.0
//! An oracle of its own adds up smaps_rollup and status of processes that stand still.

use std::fs;

use serde_json::Value;

use crate::support::{json, row_of, rows, Alone, Sleeper};

/// What lines of some files say, and the keys that must say the same.
const FIGURES: [(&str, &str, &[&str]); 10] = [
    ("pss_bytes", "smaps_rollup", &["Pss:"]),
    (
        "uss_bytes",
        "smaps_rollup",
        &["Private_Clean:", "Private_Dirty:"],
    ),
    ("present_bytes", "smaps_rollup", &["Rss:"]),
    ("swap_pss_bytes", "smaps_rollup", &["SwapPss:"]),
    ("anonymous_bytes", "status", &["RssAnon:"]),
    ("file_bytes", "status", &["RssFile:"]),
    ("shmem_bytes", "status", &["RssShmem:"]),
    ("swap_bytes", "status", &["VmSwap:"]),
    ("page_table_bytes", "status", &["VmPTE:"]),
    ("total_bytes", "status", &["VmSize:"]),
];

fn told(pid: u32, file: &str, keys: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let mut sum = 0;
    for line in text.lines() {
        for key in keys {
            if let Some(value) = line.strip_prefix(key) {
                sum += value.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
    }
    sum << 10
}

fn all_told(pids: &[u32]) -> Vec<Vec<u64>> {
    let figures = |&pid: &u32| {
        FIGURES
            .iter()
            .map(move |(_, file, keys)| told(pid, file, keys))
    };
    pids.iter().map(|pid| figures(pid).collect()).collect()
}

/// The first thing that differs from what was told before.
fn differs(answer: &Value, pids: &[u32], told: &[Vec<u64>]) -> Option<String> {
    for (pid, figures) in pids.iter().zip(told) {
        let row = row_of(answer, *pid);
        for ((key, ..), bytes) in FIGURES.iter().zip(figures) {
            if row[key] != *bytes {
                return Some(format!("{key} of {pid}: {} for {bytes}", row[key]));
            }
        }
    }
    let sums = FIGURES.iter().enumerate();
    let mut sums =
        sums.map(|(at, (key, ..))| (key, told.iter().map(|figures| figures[at]).sum::<u64>()));
    let wrong = sums.find(|(key, sum)| answer["totals"][key] != *sum);
    wrong.map(|(key, sum)| format!("{key}: {} for {sum}", answer["totals"][key]))
}

#[test]
fn figures_of_stopped_processes_are_those_of_proc() {
    let alone = Alone::new();
    let sleepers: Vec<_> = (0..6).map(|_| alone.start()).collect();
    sleepers.iter().for_each(Sleeper::settle);
    sleepers.iter().for_each(Sleeper::stop);
    let pids: Vec<u32> = sleepers.iter().map(Sleeper::pid).collect();
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    let scope = words.join(",");
    let mut difference = None;
    // The pages of the vdso are everybody's: their share of the PSS changes with the number of processes.
    // Somebody stands in for pagelens until that is started, so that there are as many.
    for _ in 0..50 {
        let stand_in = Sleeper::start("sleep");
        stand_in.settle();
        let before = all_told(&pids);
        drop(stand_in);
        let answer = json(&["ps", "--by", "process", "--pid", &scope]);
        assert_eq!(rows(&answer).len(), pids.len());
        difference = differs(&answer, &pids, &before);
        if difference.is_none() {
            let together = json(&["ps", "--pid", &scope]);
            assert_eq!(rows(&together).len(), 1);
            let keys = [
                "uss_bytes",
                "present_bytes",
                "anonymous_bytes",
                "page_table_bytes",
            ];
            for key in keys {
                assert_eq!(rows(&together)[0][key], answer["totals"][key], "{key}");
            }
            return;
        }
    }
    panic!("{difference:?}");
}
