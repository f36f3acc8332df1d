// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each program name really holds, and which of its read-only pages are equal.

use std::time::Instant;

use anyhow::{Context, Result};
use pagelens::{proc, Duplicates, MemoryInfo, Program, PAGE_SIZE};
use workloads::{Module, Workload};

use crate::narrator::Narrator;

pub fn play(narrator: &Narrator) -> Result<()> {
    // With errno=0 a refused command shows its error in the file only, and `&& cat` goes on.
    let _module = Module::load("memory_info", &["errno=0"])?;
    equal_pages(narrator)?;
    ten_thousand(narrator)?;
    snapshot(narrator)
}

/// `echo COMMAND > /proc/memory_info && cat /proc/memory_info`.
fn command(narrator: &Narrator, command: &str) -> Result<String> {
    narrator.run(&format!(
        "echo '{command}' > /proc/memory_info && cat /proc/memory_info"
    ))
}

fn line(narrator: &Narrator, name: &str) -> Result<Program> {
    let answer = command(narrator, &format!("FILTER|{name}"))?;
    Program::parse_all(answer.as_bytes())?
        .pop()
        .context("no line")
}

fn equal_pages(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "Two processes named Cron. Besides pages of their own, the first has two read-only
         pages full of 0xAA and one full of 0xBB, the second has one of each.",
    );
    let cron = |steps: &[&str]| Workload::start("holder", &[&["--name", "Cron"], steps].concat());
    let _first = cron(&["fill:aa:2", "fill:bb:1", "unique:2"])?;
    let _second = cron(&["fill:aa:1", "fill:bb:1", "fill:01:1"])?;
    command(narrator, "RESET")?;
    let program = line(narrator, "Cron")?;
    narrator.say(
        "`total` is what the mappings span, `valid` what is in memory now: the rest was never
         touched. Three pages are equal to each other, and two more: five pages in two groups.
         All figures are pages of 4 KiB; frames that the two share already count once.",
    );
    let five_in_two = Duplicates {
        pages: 5,
        groups: 2,
    };
    narrator.check(
        "five pages in two groups",
        program.duplicates == five_in_two,
    )?;
    narrator.check(
        "valid + invalid = total",
        program.valid + program.invalid == program.total,
    )
}

fn ten_thousand(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "A test program with 10000 read-only pages of 0xFF. The module counts them from inside
         the kernel; /proc shows enough to do the same slowly, from outside.",
    );
    let _tester = Workload::start::<&str>("tester", &[])?;
    command(narrator, "RESET")?;
    let program = line(narrator, "tester")?;
    let saved = (program.duplicates.savable() * PAGE_SIZE as u64) >> 20;
    narrator.say(&format!(
        "Merged, they would be one page: {saved} MiB less."
    ));

    let mut module = MemoryInfo::open()?;
    let start = Instant::now();
    module.reset()?;
    let kernel_time = start.elapsed();
    let start = Instant::now();
    let surveys = proc::survey(|_, name| name == b"tester")?;
    let proc_time = start.elapsed();
    let survey = surveys.first().context("/proc has no tester")?;
    narrator.check(
        &format!(
            "/proc says the same; it took {} ms for this program, the module {} ms for all",
            proc_time.as_millis(),
            kernel_time.as_millis(),
        ),
        survey.program == program
            && program.duplicates
                == Duplicates {
                    pages: 10_000,
                    groups: 1,
                },
    )
}

fn snapshot(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "ALL, FILTER and DEL speak of a snapshot, taken when the module was loaded or at the
         last RESET. What is deleted is gone until the next one.",
    );
    command(narrator, "RESET")?;
    let sleeper = Workload::start("holder", &["--name", "sleeper"])?;
    let unknown = "[ERROR]: No such process\n";
    let is_unknown = command(narrator, "FILTER|sleeper")? == unknown;
    narrator.check("a process that came later is not in it", is_unknown)?;
    command(narrator, "RESET")?;
    let is_found = line(narrator, "sleeper")?.pids == [sleeper.pid()];
    narrator.check("after a RESET it is", is_found)?;
    let is_deleted = command(narrator, "DEL|sleeper")? == "[SUCCESS]\n"
        && command(narrator, "FILTER|sleeper")? == unknown;
    narrator.check("DEL took it out again", is_deleted)?;
    let all = MemoryInfo::open()?.programs()?;
    let count: usize = all.iter().map(|program| program.pids.len()).sum();
    narrator.check(
        &format!("ALL lists {} names for {count} processes", all.len()),
        count >= all.len() && all.iter().all(|program| program.name != b"sleeper"),
    )
}
