// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command `pagelens`: it says what the library says, by the module as by `/proc`.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::kshram::Control;
use pagelens::proc::kinds;
use pagelens::processes::{Figure, Processes, Question, Scope};
use pagelens::{Choice, Kind, Source};
use serde_json::Value;
use workloads::{Module, Running};

use crate::pf_stat::start_cow;
use crate::pf_stat::stuck::{can_be, skip, while_stuck};
use crate::stopped::{self, PROGRAMS};

/// Runs the command; what it wrote, if it answered.
fn run(words: &[&str]) -> Result<String> {
    let output = Command::new("pagelens")
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "{words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn json(words: &[&str]) -> Result<Value> {
    let text = run(&[words, &["--json"]].concat())?;
    serde_json::from_str(&text).context(text)
}

fn rows(answer: &Value) -> Result<&Vec<Value>> {
    answer["rows"].as_array().context("no rows")
}

/// Some programs that stand still.
struct Standing(Vec<Running>);

impl Standing {
    fn start() -> Result<Self> {
        let all: Result<_> = PROGRAMS
            .iter()
            .map(|program| stopped::start(program))
            .collect();
        Ok(Self(all?))
    }

    fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Running::pid).collect()
    }

    fn words(&self) -> String {
        let words: Vec<_> = self.pids().iter().map(u32::to_string).collect();
        words.join(",")
    }

    /// What a source says of them.
    fn told(&self, choice: &Choice) -> Result<Processes> {
        let scope = Scope {
            pids: self.pids(),
            ..Scope::default()
        };
        let question = Question {
            scope,
            with_areas: true,
            ..Question::default()
        };
        let told = Source::choose(choice)?.processes(&question)?;
        assert_eq!(
            (told.processes.len(), told.left_out.len()),
            (self.0.len(), 0)
        );
        Ok(told)
    }
}

#[test]
fn both_sources_say_the_same_of_all_that_proc_knows() -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    let standing = Standing::start()?;
    let (kernel, proc) = (
        standing.told(&Choice::Kernel)?,
        standing.told(&Choice::Proc)?,
    );
    let mut compared = 0;
    for (ours, theirs) in kernel.processes.iter().zip(&proc.processes) {
        assert_eq!((ours.pid, &ours.name), (theirs.pid, &theirs.name));
        assert_eq!(
            (ours.ppid, ours.uid, ours.threads),
            (theirs.ppid, theirs.uid, theirs.threads)
        );
        for &figure in Figure::ALL {
            if let (Some(ours), Some(theirs)) =
                (ours.figures.get(figure), theirs.figures.get(figure))
            {
                // Which /proc rounds down.
                assert_eq!(
                    ours >> 10 << 10,
                    theirs,
                    "{figure:?} of {kernel:?} {proc:?}"
                );
                compared += 1;
            }
        }
        for (ours, theirs) in ours.areas.iter().zip(&theirs.areas) {
            assert_eq!(ours.addresses(), theirs.addresses());
            assert_eq!(ours.access, theirs.access);
            let of = |area: &pagelens::processes::Area| area.figures.pss_bytes.map(|pss| pss >> 10);
            assert_eq!(of(ours), of(theirs), "{ours:?} {theirs:?}");
        }
    }
    // All but the zero pages, and the PSS of swap.
    assert_eq!(compared, PROGRAMS.len() * (Figure::ALL.len() - 2));
    Ok(())
}

#[test]
fn the_command_says_what_the_library_says() -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    let standing = Standing::start()?;
    let words = standing.words();
    for (word, choice) in [
        ("kernel", Choice::Kernel),
        ("proc", Choice::Proc),
        ("auto", Choice::Kernel),
    ] {
        let answer = json(&["ps", "--source", word, "--by", "process", "--pid", &words])?;
        let told = standing.told(&choice)?;
        assert_eq!(answer["source"], told.origin.name());
        for process in &told.processes {
            let mut rows = rows(&answer)?.iter();
            let row = rows
                .find(|row| row["pids"][0] == process.pid)
                .context("no row")?;
            assert_eq!(row["name"], process.name.text().as_ref());
            for &figure in Figure::ALL {
                let (theirs, ours) = (
                    &row[format!("{}_bytes", figure.key())],
                    process.figures.get(figure),
                );
                // The vdso's pages are everybody's, and the command's, too, while it runs.
                let differs = match (theirs.as_u64(), ours) {
                    (Some(theirs), Some(ours)) if figure.key().starts_with("pss") => {
                        theirs.abs_diff(ours) > 1024
                    }
                    (theirs, ours) => theirs != ours,
                };
                ensure!(
                    !differs,
                    "{figure:?} by {word}: {theirs} {ours:?} of {process:?}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn all_of_the_machine_is_led_to_its_memory_by_the_module() -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    let text = run(&["ps"])?;
    let last = text.lines().last().context("nothing")?;
    ensure!(
        last.starts_with("PSS ") && last.ends_with("of memory (by the module)"),
        text
    );
    let answer = json(&["doctor"])?;
    let source = rows(&answer)?.iter().find(|row| row["check"] == "source");
    ensure!(source.context("no source")?["found"]
        .as_str()
        .is_some_and(|found| found.starts_with("kernel: ")));
    let areas = json(&["map", &std::process::id().to_string()])?;
    assert_eq!(areas["source"], "kernel");
    ensure!(rows(&areas)?.iter().any(|row| row["zero_bytes"].is_u64()));
    Ok(())
}

#[test]
fn a_process_whose_lock_is_held_is_left_out_and_the_others_are_told() -> Result<()> {
    if !can_be() {
        return skip();
    }
    let _module = Module::load("pagelens", &[])?;
    let mut cow = start_cow()?;
    let (stuck, other) = (cow.pid(), std::process::id());
    let words = format!("{stuck},{other}");
    while_stuck(&mut cow, || {
        for source in ["proc", "kernel"] {
            let mut command = Command::new("pagelens");
            let output = command
                .args(["ps", "--json", "--source", source, "--pid", &words])
                .output()?;
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let answer: Value = serde_json::from_slice(&output.stdout)?;
            assert_eq!(answer["left_out"][0]["reason"], "busy", "{answer:#}");
            assert_eq!(answer["left_out"][0]["pids"], serde_json::json!([stuck]));
            assert_eq!(answer["totals"]["processes"], 1);
            // What takes no lock is told.
            let quick = json(&[
                "ps",
                "--source",
                source,
                "--pid",
                &words,
                "--columns",
                "present,name",
            ])?;
            assert_eq!(quick["totals"]["processes"], 2, "{quick:#}");
        }
        Ok(())
    })
}

#[test]
fn a_capture_by_the_module_is_compared_with_one_by_proc() -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    let standing = Standing::start()?;
    let words = standing.words();
    let files = ["/tmp/kernel.pagelens", "/tmp/proc.pagelens"];
    for (file, source) in files.iter().zip(["kernel", "proc"]) {
        run(&["capture", "-o", file, "--source", source, "--pid", &words])?;
    }
    let answer = json(&["diff", files[0], files[1], "--by", "process"])?;
    // Nothing is new or gone, and what differs is what /proc rounds away.
    for row in rows(&answer)? {
        let change = row["change_bytes"].as_i64().context("no change")?;
        ensure!((-4096..=4096).contains(&change), "{row}");
        ensure!(
            row["before_bytes"].is_u64() && row["after_bytes"].is_u64(),
            "{row}"
        );
    }
    for file in files {
        fs::remove_file(file)?;
    }
    Ok(())
}

#[test]
fn kinds_are_those_of_memuse() -> Result<()> {
    let standing = stopped::start(&["tester", "300", "3"])?;
    let pid = standing.pid();
    let words = pid.to_string();
    let of = |answer: &Value, kind: &str| -> Result<u64> {
        let row = rows(answer)?
            .iter()
            .find(|row| row["kind"] == kind)
            .context("no kind")?;
        row["size_bytes"].as_u64().context("no size")
    };
    let by_proc = json(&["use", &words])?;
    assert_eq!(by_proc["source"], "proc");
    let _module = Module::load("memuse", &[])?;
    let by_module = json(&["use", &words])?;
    assert_eq!(by_module["source"], "kernel");
    assert_eq!(by_module["rows"], by_proc["rows"]);
    assert_eq!(of(&by_module, "heap")?, kinds::bytes(pid, Kind::Heap)?);
    let heap = run(&[
        "use",
        &words,
        "heap",
        "--bytes",
        "--no-header",
        "--columns",
        "size",
    ])?;
    assert_eq!(heap.trim().parse::<u64>()?, kinds::bytes(pid, Kind::Heap)?);
    Ok(())
}

#[test]
fn slots_are_made_filled_read_and_wiped() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = run(&["shm", "create", "64K", "--label", "a \x1b[31m label"])?;
    let slot = slot.trim();
    let mut child = Command::new("pagelens")
        .args(["shm", "write", slot, "--offset", "5"])
        .stdin(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(b"hello")?;
    ensure!(child.wait()?.success());
    let contents = run(&["shm", "cat", slot])?;
    assert_eq!(contents.len(), 64 << 10);
    assert_eq!(&contents.as_bytes()[..11], b"\0\0\0\0\0hello\0");
    let listed = run(&["shm", "ls"])?;
    ensure!(
        listed.contains("a \\u{1b}[31m label") && !listed.contains('\x1b'),
        listed
    );
    run(&["shm", "resize", slot, "128K"])?;
    run(&["shm", "wipe", slot])?;
    run(&["shm", "seal", slot])?;
    run(&["shm", "label", slot, "plain"])?;
    let seen = Control::open()?.slot(slot.parse()?)?;
    assert_eq!(
        (seen.size, seen.is_sealed, seen.label.as_str()),
        (128 << 10, true, "plain")
    );
    ensure!(run(&["shm", "cat", slot])?.bytes().all(|byte| byte == 0));
    let answer = json(&["shm", "ls"])?;
    let row = rows(&answer)?.iter().find(|row| row["label"] == "plain");
    assert_eq!(row.context("no row")?["size_bytes"], 128 << 10);
    let refused = Command::new("pagelens")
        .args(["shm", "resize", slot, "1M"])
        .output()?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(
        refused.status.code() == Some(1) && said.contains("sealed"),
        said
    );
    Ok(())
}
