// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens use` and `pagelens map`: one process.

use std::fs;

use serde_json::Value;

use crate::support::{json, pagelens, rows, run, Run, Sleeper};

/// A sleeper that stands still.
fn stopped() -> Sleeper {
    let sleeper = Sleeper::start("sleep");
    sleeper.settle();
    sleeper.stop();
    sleeper
}

fn of_kind<'a>(answer: &'a Value, kind: &str) -> &'a Value {
    let mut rows = rows(answer).iter();
    &rows.find(|row| row["kind"] == kind).unwrap()["size_bytes"]
}

#[test]
fn kinds_add_up_to_what_is_present() {
    let sleeper = stopped();
    let pid = sleeper.pid().to_string();
    let answer = json(&["use", &pid]);
    let parts = [
        "heap",
        "anonymous",
        "call_stack",
        "thread_stacks",
        "file",
        "shared",
        "vdso",
    ];
    let sum: u64 = parts
        .iter()
        .map(|kind| of_kind(&answer, kind).as_u64().unwrap())
        .sum();
    assert_eq!(of_kind(&answer, "all"), sum);
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .unwrap();
    let present: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert_eq!(of_kind(&answer, "all"), present << 10);
    let plain = run(&[
        "use",
        &pid,
        "all",
        "--bytes",
        "--no-header",
        "--columns",
        "size",
    ]);
    assert_eq!(plain.stdout, format!("{}\n", present << 10));
}

#[test]
fn the_areas_are_those_of_maps() {
    let sleeper = stopped();
    let pid = sleeper.pid().to_string();
    let answer = json(&["map", &pid]);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert_eq!(rows(&answer).len(), maps.lines().count());
    for (row, line) in rows(&answer).iter().zip(maps.lines()) {
        let (start, end) = (row["start"].as_u64().unwrap(), row["end"].as_u64().unwrap());
        let access = row["access"].as_str().unwrap();
        assert!(
            line.starts_with(&format!("{start:08x}-{end:08x} {access} ")),
            "{line} {row}"
        );
        assert!(
            line.ends_with(row["name"].as_str().unwrap_or("")),
            "{line} {row}"
        );
    }
    let part = |part: &str| rows(&answer).iter().any(|row| row["part"] == part);
    for name in ["code", "data", "heap", "stack", "anonymous", "kernel"] {
        assert!(part(name), "no {name}: {answer:#}");
    }
}

#[test]
fn bars_are_of_one_width_and_colours_only_where_wanted() {
    let sleeper = stopped();
    let pid = sleeper.pid().to_string();
    let of = |words: &[&str], columns: &str| {
        let output = pagelens()
            .args(words)
            .env("COLUMNS", columns)
            .output()
            .unwrap();
        Run::from(output)
    };
    let plain = of(&["map", &pid], "60");
    assert!(!plain.stdout.contains('\x1b'));
    let count = fs::read_to_string(format!("/proc/{pid}/maps"))
        .unwrap()
        .lines()
        .count();
    let bars: Vec<_> = plain.stdout.lines().take(count).collect();
    assert!(
        bars.iter().all(|line| line.chars().count() <= 60),
        "{}",
        plain.stdout
    );
    assert!(
        plain.stdout.contains("[heap]") && plain.stdout.contains('#'),
        "{}",
        plain.stdout
    );
    let colored = of(&["map", &pid, "--color", "always"], "60");
    assert!(colored.stdout.contains("\x1b[32m"), "{}", colored.stdout);
}

#[test]
fn one_area_is_told_with_all_figures() {
    let sleeper = stopped();
    let pid = sleeper.pid().to_string();
    let answer = json(&["map", &pid]);
    let heap = rows(&answer)
        .iter()
        .find(|row| row["part"] == "heap")
        .unwrap();
    let address = format!("{:x}", heap["start"].as_u64().unwrap() + 1);
    let run_ = run(&["map", &pid, "--vma", &address]);
    assert!(
        run_.stdout.contains("\nname          [heap]\n"),
        "{}",
        run_.stdout
    );
    assert!(run_.stdout.contains("\nreferenced "), "{}", run_.stdout);
    let one = json(&["map", &pid, "--vma", &address]);
    assert_eq!(rows(&one), &vec![heap.clone()]);
    let table = run(&[
        "map",
        &pid,
        "--table",
        "--columns",
        "start,part,name",
        "--csv",
    ]);
    assert!(
        table.stdout.starts_with("start,part,name\n0x"),
        "{}",
        table.stdout
    );
}
