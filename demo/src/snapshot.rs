// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all processes have, in one pass.

use std::fs;

use anyhow::{Context, Result};
use pagelens::device::{Detail, Device, Question, Snapshot};
use workloads::{Module, Workload};

use crate::narrator::Narrator;

pub fn play(narrator: &Narrator) -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    narrator.say(
        "One device answers for all processes at once. Here a process holds 4 MiB and forks: parent
         and child share them, so that each pays for half. The proportional set size (PSS) says so,
         where the resident set counts everything twice.",
    );
    let mut parent = Workload::start("holder", &["--name", "parent", "rw:aa:1024"])?;
    let child: u32 = parent.ask("forkas:child")?.parse()?;
    let snapshot = look(narrator, &[parent.pid(), child])?;
    check(narrator, &snapshot, parent.pid(), 2 << 20)?;
    check(narrator, &snapshot, child, 2 << 20)?;

    narrator.say("The parent writes to all of it, and pays for its copy alone.");
    parent.ask("write")?;
    let snapshot = look(narrator, &[parent.pid(), child])?;
    check(narrator, &snapshot, parent.pid(), 4 << 20)?;
    check(narrator, &snapshot, child, 4 << 20)
}

/// All processes, of which the lines of some are shown.
fn look(narrator: &Narrator, shown: &[u32]) -> Result<Snapshot> {
    let question = Question {
        detail: Detail::Frames,
        ..Question::default()
    };
    let snapshot = Snapshot::read(Device::open()?.snapshot(&question)?)?;
    for process in &snapshot.processes {
        let Some(space) = snapshot.memories.get(&process.memory) else {
            continue;
        };
        if shown.contains(&process.pid) {
            let name = String::from_utf8_lossy(&process.comm);
            let sums = &space.memory.sums;
            narrator.show(&format!(
                "{:>7}: resident {:>5} KiB, PSS {:>5} KiB, its own {:>5} KiB",
                name.trim_end_matches('\0'),
                sums.present >> 10,
                sums.pss >> 22,
                (sums.private_clean + sums.private_dirty) >> 10,
            ));
        }
    }
    Ok(snapshot)
}

/// Checks a process's PSS: against the kernel's own, and that what the scene is about is in it.
fn check(narrator: &Narrator, snapshot: &Snapshot, pid: u32, least: u64) -> Result<()> {
    let sums = snapshot.memory_of(pid).context("no memory")?.memory.sums;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let theirs = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let ours = sums.pss >> 22;
    narrator.check(
        &format!("{ours} KiB, as smaps_rollup says"),
        theirs.is_some_and(|line| line.trim() == format!("{ours} kB"))
            && sums.pss_anonymous >> 12 >= least,
    )
}
