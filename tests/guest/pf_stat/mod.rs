// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pf_stat`: the document, the table of faults, the life of programs, the calls, and the weather.

mod areas;
mod calls;
mod cleanup;
mod crowds;
mod document;
mod faults;
mod held;
mod life;
mod storms;
pub mod stuck;
mod table;

use anyhow::{ensure, Context, Result};
use pagelens::pf_stat::{self, Ledger};
use workloads::{KernelLog, Module, Workload};

use crate::support::errno;

pub const COW: &str = "cow";

/// The loaded module, tracking one name.
fn tracking(name: &str) -> Result<Module> {
    let module = Module::load("pf_stat", &[])?;
    pf_stat::set_param(name.as_bytes())?;
    Ok(module)
}

fn ledger(name: &str) -> Result<Ledger> {
    Ledger::of(name)?.with_context(|| format!("{name} is not tracked"))
}

/// What a step of `cow` answered.
#[derive(Debug, Clone, Copy)]
struct Step {
    start: u64,
    end: u64,
    child: u64,
}

fn step(cow: &mut Workload, step: &str) -> Result<Step> {
    let answer = cow.ask(step)?;
    let mut numbers = answer.split(' ').map(str::parse);
    let mut next = || numbers.next().context("a short answer");
    let (start, end, child) = (next()??, next()??, next()??);
    Ok(Step { start, end, child })
}

pub fn start_cow() -> Result<Workload> {
    Workload::start::<&str>(COW, &[])
}

/// `start-end` of each line of a maps file, without the page that no process owns.
fn ranges(maps: &str) -> Vec<(u64, u64)> {
    let own = maps.lines().filter(|line| !line.contains("[vsyscall]"));
    let hex = |digits| u64::from_str_radix(digits, 16).unwrap();
    own.map(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        (hex(start), hex(end))
    })
    .collect()
}

/// The lines with which the module reported errors since the last call: what follows the document's
/// `[INFO940][ERROR]`.
fn errors_in(log: &mut KernelLog) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (level, text) in log.messages()? {
        if let Some(line) = text.strip_prefix("[INFO940][ERROR] ") {
            ensure!(level == 3, "level {level}: {text}");
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}
