// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder that is like /proc: crowds, processes that do not let go, and files that nobody understands.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{json, rows, run};

/// Columns of which the folder has all files.
const COLUMNS: &str = "pss,uss,anonymous,page_table,name,processes";

fn add(folder: &Path, pid: u32, kilobytes: u64) {
    let own = folder.join(pid.to_string());
    fs::create_dir(&own).unwrap();
    let status = format!(
        "Name:\tp{}\nPPid:\t1\nUid:\t7\t7\t7\t7\nVmSize:\t{kilobytes} kB\nRssAnon:\t{kilobytes} kB\n\
         RssFile:\t0 kB\nRssShmem:\t0 kB\nVmPTE:\t4 kB\nVmSwap:\t0 kB\nThreads:\t1\n",
        pid % 10
    );
    fs::write(own.join("status"), status).unwrap();
    let rollup = format!(
        "1-2 ---p 0 0 0 [rollup]\nRss: {kilobytes} kB\nPss: {kilobytes} kB\nPrivate_Clean: 0 kB\n\
         Private_Dirty: {kilobytes} kB\n"
    );
    fs::write(own.join("smaps_rollup"), rollup).unwrap();
}

#[test]
fn ten_thousand_processes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for pid in 1..=10_000 {
        add(folder.path(), pid, u64::from(pid));
    }
    let place = folder.path().to_str().unwrap();
    let answer = json(&["ps", "--source", place, "--columns", COLUMNS]);
    assert_eq!(rows(&answer).len(), 10);
    assert_eq!(answer["totals"]["processes"], 10_000);
    assert_eq!(
        answer["totals"]["pss_bytes"],
        10_000 * 10_001 / 2 * 1024_u64
    );
    let all = run(&[
        "ps",
        "--source",
        place,
        "--by",
        "process",
        "--columns",
        COLUMNS,
    ]);
    assert_eq!(all.stdout.lines().count(), 10_002);
}

#[test]
fn one_that_does_not_let_go_is_left_out_and_the_others_told() {
    let folder = tempfile::tempdir().unwrap();
    for pid in 1..=40 {
        add(folder.path(), pid, 4);
    }
    // Whoever opens a pipe to read it waits for somebody who writes.
    for stuck in ["7", "33"] {
        let file = folder.path().join(stuck).join("smaps_rollup");
        fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(&file)
            .status()
            .unwrap();
        assert!(made.success());
    }
    let start = Instant::now();
    let place = folder.path().to_str().unwrap();
    let words = ["ps", "--source", place, "--columns", COLUMNS];
    let answer = json(&words);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(answer["totals"]["processes"], 38);
    assert_eq!(answer["left_out"][0]["reason"], "busy");
    assert_eq!(answer["left_out"][0]["pids"], serde_json::json!([7, 33]));
    let run = run(&words);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .contains("2 processes left out, whose memory others kept locked"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_is_not_understood_is_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for pid in 1..=3 {
        add(folder.path(), pid, 4);
    }
    fs::write(
        folder.path().join("2/smaps_rollup"),
        "\x1b nonsense\nRss: many kB\n",
    )
    .unwrap();
    let place = folder.path().to_str().unwrap();
    let answer = json(&["ps", "--source", place, "--columns", COLUMNS]);
    assert_eq!(answer["totals"]["processes"], 2);
    assert_eq!(answer["left_out"][0]["reason"], "not_understood");
    assert_eq!(answer["left_out"][0]["pids"], serde_json::json!([2]));
}
