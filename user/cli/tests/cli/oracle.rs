// SPDX-License-Identifier: MIT OR Apache-2.0
//! An oracle of its own adds up smaps_rollup and status of processes that stand still.

use std::fs;

use crate::support::{json, row_of, rows, Sleeper};

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

#[test]
fn figures_of_stopped_processes_are_those_of_proc() {
    let programs = [
        "sleep",
        "sleep",
        "sleep",
        "sleep",
        "/usr/bin/sleep",
        "sleep",
    ];
    let sleepers: Vec<_> = programs.iter().map(Sleeper::start).collect();
    for sleeper in &sleepers {
        sleeper.settle();
    }
    sleepers.iter().for_each(Sleeper::stop);
    let pids: Vec<u32> = sleepers.iter().map(Sleeper::pid).collect();
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    let scope = words.join(",");
    // What they share with other processes changes as those come and go: only when nothing did
    // meanwhile can there be no difference.
    for _ in 0..200 {
        let before = all_told(&pids);
        let single = json(&["ps", "--by", "process", "--pid", &scope]);
        let together = json(&["ps", "--pid", &scope]);
        if all_told(&pids) != before {
            continue;
        }
        for (pid, figures) in pids.iter().zip(&before) {
            let row = row_of(&single, *pid);
            for ((key, ..), bytes) in FIGURES.iter().zip(figures) {
                assert_eq!(row[key], *bytes, "{key} of {pid}");
            }
        }
        for (at, (key, ..)) in FIGURES.iter().enumerate() {
            let sum: u64 = before.iter().map(|figures| figures[at]).sum();
            assert_eq!(together["totals"][key], sum, "{key}");
            let rows = rows(&together).iter();
            let told: u64 = rows.map(|row| row[key].as_u64().unwrap()).sum();
            assert_eq!(told, sum, "{key}");
        }
        return;
    }
    panic!("other processes did not keep still for a moment");
}
