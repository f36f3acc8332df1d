// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that are really there, by kind.

use anyhow::{ensure, Context, Result};
use pagelens::{proc, Kind, Memuse, PAGE_SIZE};
use workloads::{Module, Workload};

use crate::narrator::Narrator;

pub fn play(narrator: &Narrator) -> Result<()> {
    let _module = Module::load("memuse", &[])?;
    table(narrator)?;
    kinds(narrator)?;
    narrator.say("Whoever asks for what there is not gets an errno, as from any system call.");
    narrator.run("memuse-asm 99999999 1 || true")?;
    narrator.run("memuse-asm 1 11 || true")?;
    Ok(())
}

/// The document's table, and how much each row grew.
fn table(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "A module has added a system call to this unpatched kernel: memuse(pid, type). A program
         asks it about itself after 20000 bytes of malloc that it uses, 20000 that it does not use,
         and 20000 recursive calls. Each row is a process of its own.",
    );
    narrator.run("memuse-runner")?;
    narrator.say(
        "What is used takes 5 pages of heap; what is not takes one, because malloc notes behind it
         where the free memory begins. Recursion takes stack, and nothing takes kernel stack.",
    );
    let page = PAGE_SIZE as i64;
    for (case, heap_pages) in [("nothing", 0), ("active", 5), ("passive", 1), ("stack", 0)] {
        let [stack, kernel, heap] = growth(narrator, case)?;
        let is_so = heap == heap_pages * page && kernel == 0 && (stack > 0) == (case == "stack");
        narrator.check(
            &format!(
                "{case}: {heap_pages} pages of heap, {} of stack",
                stack / page
            ),
            is_so,
        )?;
    }
    Ok(())
}

/// By how many bytes call stack, kernel stack and heap grew.
fn growth(narrator: &Narrator, case: &str) -> Result<[i64; 3]> {
    let line = narrator.run(&format!("memuse-runner {case}"))?;
    let numbers = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<i64>, _>>()?;
    ensure!(numbers.len() == 7, "`{line}`");
    Ok([0, 1, 2].map(|index| numbers[index + 3] - numbers[index]))
}

fn kinds(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "All kinds of a process that has some of each. Kinds 1 and 3 to 8 add up to kind 0, and
         /proc/PID/smaps, added up line by line, says the same of each.",
    );
    let steps = [
        "rw:bb:20",
        "shm:cc:40",
        "file:/lab/busybox",
        "heap:50",
        "stack:30",
        "threads:7",
    ];
    let holder = Workload::start("holder", &steps)?;
    holder.stop()?;
    let all = parts_add_up(narrator, holder.pid())?;
    let smaps = proc::kinds::present(holder.pid())?;
    let resident = smaps.get(&Kind::All).context("smaps is empty")?;
    let call = Memuse::new();
    let agrees = Kind::PARTS
        .into_iter()
        .try_fold(*resident == all, |agrees, kind| {
            let theirs = smaps.get(&kind).copied().unwrap_or(0);
            anyhow::Ok(agrees && call.bytes(holder.pid(), kind)? == theirs)
        })?;
    narrator.check("smaps agrees with each", agrees)
}

/// Shows the bytes of each kind, and returns all that are present.
fn parts_add_up(narrator: &Narrator, pid: u32) -> Result<u64> {
    let call = Memuse::new();
    let mut sum = 0;
    for kind in Kind::EACH {
        let bytes = call.bytes(pid, kind)?;
        println!(
            "  {:>2}  {:<14}{bytes:>12}",
            kind.number(),
            format!("{kind:?}")
        );
        if Kind::PARTS.contains(&kind) {
            sum += bytes;
        }
    }
    println!();
    let all = call.bytes(pid, Kind::All)?;
    narrator.check("the parts add up to all", sum == all)?;
    Ok(all)
}
