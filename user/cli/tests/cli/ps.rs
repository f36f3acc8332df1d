// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens ps` on this machine.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use crate::support::{copy, hold_to_schema, json, pagelens, row_of, rows, run, Sleeper};

#[test]
fn programs_come_first_and_the_last_line_leads_to_all_memory() {
    let sleeper = Sleeper::start("sleep");
    sleeper.settle();
    let run = run(&["ps", "--name", "sleep", "--totals"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[0].trim_start().starts_with("PSS"), "{}", run.stdout);
    assert!(lines[1].ends_with("  sleep"), "{}", run.stdout);
    assert!(lines[2].ends_with("  total"), "{}", run.stdout);
    assert!(lines[3].starts_with("PSS "), "{}", run.stdout);
    assert!(
        lines[3].ends_with(" of memory (by /proc)"),
        "{}",
        run.stdout
    );
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
}

#[test]
fn the_way_to_all_memory_adds_up() {
    let answer = json(&["ps"]);
    let memory = answer["memory"].as_object().unwrap();
    let parts = memory.iter().filter(|(key, _)| *key != "total_bytes");
    let sum: i64 = parts.map(|(_, bytes)| bytes.as_i64().unwrap()).sum();
    assert_eq!(sum, memory["total_bytes"].as_i64().unwrap());
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let total: i64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(memory["total_bytes"], total << 10);
}

#[test]
fn figures_that_were_not_asked_for_are_null_and_say_so() {
    let pid = std::process::id().to_string();
    let answer = json(&["ps", &pid, "--columns", "name,present"]);
    let row = row_of(&answer, std::process::id());
    assert!(row["present_bytes"].as_u64() > Some(0));
    assert!(row["pss_bytes"].is_null());
    let unknown = answer["unknown"].as_array().unwrap();
    let reason = unknown
        .iter()
        .find(|one| one["figure"] == "pss_bytes")
        .unwrap();
    assert_eq!(reason["reason"], "not_asked");
    let answer = json(&["ps", &pid]);
    let unknown = answer["unknown"].as_array().unwrap();
    let reason = unknown
        .iter()
        .find(|one| one["figure"] == "zero_bytes")
        .unwrap();
    assert_eq!(reason["reason"], "not_in_proc");
}

#[test]
fn processes_are_put_together_by_what_is_asked() {
    let pid = std::process::id();
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap();
    for by in ["name", "process", "cgroup", "user", "unit"] {
        let answer = json(&["ps", "--by", by]);
        let row = row_of(&answer, pid);
        assert_eq!(
            row["pids"].as_array().unwrap().len() as u64,
            row["processes"]
        );
        if by == "cgroup" {
            assert!(cgroup.contains(row["name"].as_str().unwrap()));
        }
        if by == "process" {
            assert_eq!(row["processes"], 1);
        }
        assert_eq!(answer["by"], by);
    }
}

#[test]
fn csv_has_the_keys_of_json_and_one_line_a_row() {
    let sleeper = Sleeper::start("sleep");
    let run = run(&[
        "ps",
        "--csv",
        "--by",
        "process",
        "--pid",
        &sleeper.pid().to_string(),
    ]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stdout);
    assert!(lines[0].starts_with("pss_bytes,uss_bytes,present_bytes,anonymous_bytes"));
    assert!(lines[1].ends_with(",sleep"), "{}", run.stdout);
    let first = lines[1].split(',').next().unwrap();
    assert_eq!(first.parse::<u64>().unwrap() % 1024, 0);
}

#[test]
fn order_number_and_columns_are_as_asked() {
    let run_ = run(&[
        "ps",
        "--by",
        "process",
        "--sort",
        "total",
        "--top",
        "3",
        "--columns",
        "total,pids",
        "--bytes",
        "--no-header",
    ]);
    let totals: Vec<u64> = run_
        .stdout
        .lines()
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(totals.len(), 3, "{}", run_.stdout);
    assert!(totals.is_sorted_by(|a, b| a >= b), "{totals:?}");
    let help = run(&["ps", "--sort", "help"]);
    assert!(help.stdout.contains("\n* uss "), "{}", help.stdout);
    assert_eq!(help.code, Some(0));
}

#[test]
fn names_are_shown_so_that_no_terminal_obeys_them() {
    let folder = tempfile::tempdir().unwrap();
    let name = b"a\n\x1b[31m\xff\xc2\x9b";
    let program = folder.path().join(std::ffi::OsStr::from_bytes(name));
    copy("/bin/sleep", &program);
    let sleeper = Sleeper::start(&program);
    sleeper.settle();
    let pid = sleeper.pid().to_string();
    let table = run(&["ps", &pid]);
    assert!(
        table.stdout.contains("  a\\n\\u{1b}[31m\\xff\\u{9b}\n"),
        "{}",
        table.stdout
    );
    assert!(!table.stdout.contains('\x1b'));
    let answer = json(&["ps", &pid]);
    assert_eq!(rows(&answer)[0]["name"], "a\n\x1b[31m\\xff\u{9b}");
    let text = run(&["ps", &pid, "--json"]).stdout;
    assert!(!text.contains('\x1b') && !text.contains('\u{9b}'), "{text}");
    // Whoever looks for it finds it by its bytes.
    let words = [b"ps".as_slice(), b"--name", name].map(std::ffi::OsStr::from_bytes);
    let found = run(&words);
    assert_eq!(
        (found.code, found.stdout.lines().count()),
        (Some(0), 3),
        "{}",
        found.stdout
    );
    let error = run(&["ps", "--source", "/nowhere/\x1b[31m"]);
    assert!(!error.stderr.contains('\x1b'), "{}", error.stderr);
}

#[test]
fn a_narrow_terminal_keeps_the_first_columns_and_the_name() {
    let sleeper = Sleeper::start("sleep");
    let pid = sleeper.pid().to_string();
    let at = |columns: &str| {
        let output = pagelens()
            .args(["ps", &pid])
            .env("COLUMNS", columns)
            .output();
        crate::support::Run::from(output.unwrap())
    };
    let narrow = at("20");
    let table: Vec<_> = narrow.stdout.lines().take(2).collect();
    assert!(
        table.iter().all(|line| line.len() <= 20),
        "{}",
        narrow.stdout
    );
    assert!(
        table[0].contains("PSS") && table[1].ends_with("sleep"),
        "{}",
        narrow.stdout
    );
    assert!(
        narrow.stderr.contains("columns do not fit"),
        "{}",
        narrow.stderr
    );
    let wide = at("300");
    assert!(wide.stdout.lines().next().unwrap().contains("KSTACK"));
    assert_eq!(wide.stderr, "");
}

#[test]
fn whoever_closes_the_pipe_hears_nothing() {
    let mut child = pagelens()
        .args(["ps", "--by", "process", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn watching_answers_again_and_again_and_ctrl_c_ends_it() {
    let mut child = pagelens()
        .args([
            "ps",
            "--watch",
            "0.1",
            "--json",
            "--pid",
            &std::process::id().to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        hold_to_schema("ps", &serde_json::from_str(&line).unwrap());
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = child.wait().unwrap();
    // A shell makes 130 of it.
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(2)
    );
}

#[test]
fn processes_that_end_meanwhile_are_no_errors() {
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let until = std::sync::Arc::clone(&stop);
    let busy = std::thread::spawn(move || {
        while !until.load(std::sync::atomic::Ordering::Relaxed) {
            std::process::Command::new("true").status().unwrap();
        }
    });
    for _ in 0..20 {
        let run = run(&["ps", "--name", "true"]);
        assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.join().unwrap();
}
