// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens capture` and `pagelens diff`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{json, row_of, rows, run, Alone, Sleeper};

/// Bytes of the planted leak.
const LEAK: usize = 5 << 20;

/// Grows by [`LEAK`] in one area when it hears a line. Run by the test below as a program of its own.
#[test]
#[ignore = "a program that a test runs"]
fn leaking_program() {
    const STEP: usize = 64 << 10;
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(LEAK / STEP);
    println!("ready");
    for _ in std::io::stdin().lock().lines() {
        // Pieces below the size from which malloc makes areas of their own.
        kept.extend((0..LEAK / STEP).map(|_| vec![1; STEP]));
        println!("done");
    }
    assert!(kept.iter().all(|piece| piece[0] == 1));
}

struct Leaking(Child);

impl Leaking {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--ignored",
            "--exact",
            "--nocapture",
            "capture::leaking_program",
        ]);
        command.env("MALLOC_ARENA_MAX", "1");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut leaking = Self(child.unwrap());
        leaking.wait_for("ready");
        leaking
    }

    fn wait_for(&mut self, word: &str) {
        // One byte at a time: nothing of the next answer is taken away.
        let mut lines = BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with(word)));
    }

    fn leak(&mut self) {
        writeln!(self.0.stdin.as_mut().unwrap()).unwrap();
        self.wait_for("done");
    }
}

impl Drop for Leaking {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn capture(file: &Path, scope: &[&str]) {
    let run = run(&[&["capture", "-o", file.to_str().unwrap()], scope].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.starts_with("pagelens: kept "), "{}", run.stderr);
}

#[test]
fn a_capture_is_read_like_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    let alone = Alone::new();
    let sleeper = alone.start();
    sleeper.settle();
    sleeper.stop();
    let pid = sleeper.pid().to_string();
    capture(&file, &["--pid", &pid]);
    let kept = json(&["ps", "--source", file.to_str().unwrap()]);
    let now = json(&["ps", "--pid", &pid]);
    assert_eq!(kept["source"], "proc");
    assert_eq!(kept["capture"], file.to_str().unwrap());
    let (kept, now) = (row_of(&kept, sleeper.pid()), row_of(&now, sleeper.pid()));
    for key in [
        "name",
        "pids",
        "uss_bytes",
        "anonymous_bytes",
        "page_table_bytes",
        "total_bytes",
    ] {
        assert_eq!(kept[key], now[key], "{key}");
    }
}

#[test]
fn a_leak_of_5_mb_is_found_in_its_area_among_200_processes() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let sleepers: Vec<_> = (0..200).map(|_| Sleeper::start("sleep")).collect();
    sleepers.iter().for_each(Sleeper::settle);
    let mut leaking = Leaking::start();
    let pids: Vec<u32> = sleepers
        .iter()
        .map(Sleeper::pid)
        .chain([leaking.0.id()])
        .collect();
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    let scope = ["--pid", &words.join(",")];
    capture(&a, &scope);
    leaking.leak();
    capture(&b, &scope);
    let files = [a.to_str().unwrap(), b.to_str().unwrap()];
    for by in ["program", "process", "area", "kind"] {
        let answer = json(&["diff", files[0], files[1], "--by", by]);
        let changes = rows(&answer)
            .iter()
            .map(|row| row["change_bytes"].as_i64().unwrap());
        let totals = &answer["totals"];
        let change =
            totals["after_bytes"].as_i64().unwrap() - totals["before_bytes"].as_i64().unwrap();
        assert_eq!(changes.sum::<i64>(), change, "{by}");
        let first = &rows(&answer)[0];
        let grown = first["change_bytes"].as_u64().unwrap();
        assert!(grown.abs_diff(LEAK as u64) < 256 << 10, "{by}: {first}");
        match by {
            "process" => assert_eq!(first["pid"], leaking.0.id()),
            "area" => assert!(first["area_start"].is_u64() && first["pid"] == leaking.0.id()),
            "kind" => assert_eq!(first["kind"], "anonymous"),
            _ => assert!(first["pid"].is_null()),
        }
    }
    let since = json(&["diff", files[0], "--pid", &leaking.0.id().to_string()]);
    assert!(
        rows(&since)[0]["change_bytes"].as_u64() > Some(4 << 20),
        "{since:#}"
    );
}
