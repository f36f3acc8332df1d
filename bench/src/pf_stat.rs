// SPDX-License-Identifier: MIT OR Apache-2.0
//! What counting costs a copy-on-write fault: `pf_stat` against bpftrace, which counts the entries
//! of `do_wp_page` by the start of the area; and what a report costs.
//!
//! Every round measures all sides in the same guest, one after the other. A measurement is the best
//! of many short runs, as the machine below the guest is shared; what a side adds to a fault is
//! taken within the round, and medians of rounds count.

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use pagelens::pf_stat::{self, Ledger};
use rustix::process::{kill_process, Pid, Signal};
use workloads::{Module, Running, Workload};

use crate::harness::print;

const NAME: &str = "cow";
const ROUNDS: usize = 7;
const PAGES: u64 = 400;
const FORKS: u64 = 60;
const REPORTS: u32 = 2_000;

const THREADS: u64 = 8;
const CROWD_PAGES: u64 = 3_200;
const CROWD_FORKS: u64 = 5;
const CROWD_ROUNDS: usize = 3;

const PROGRAM: &str = "fentry:vmlinux:do_wp_page { @[args->vmf->vma->vm_start] = count(); }";

/// A running bpftrace with its probe attached.
struct Bpftrace {
    child: Running,
    output: Lines<BufReader<ChildStdout>>,
}

impl Bpftrace {
    fn start() -> Result<Self> {
        let script = format!("BEGIN {{ printf(\"ready\\n\"); }} {PROGRAM}");
        let mut command = Command::new("bpftrace");
        let mut child = Running::start(command.args(["-e", &script]).stdout(Stdio::piped()))?;
        let output = child.stdout.take().context("no output")?;
        let mut this = Self {
            child,
            output: BufReader::new(output).lines(),
        };
        for line in this.output.by_ref() {
            if line? == "ready" {
                return Ok(this);
            }
        }
        anyhow::bail!("bpftrace ended without being ready")
    }

    /// Ends it; what it has counted. It prints `@[ADDRESS]: COUNT` when it is interrupted.
    fn counted(mut self) -> Result<u64> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let mut sum = 0;
        for line in self.output.by_ref() {
            if let Some((_, count)) = line?.split_once("]: ") {
                sum += count.parse::<u64>()?;
            }
        }
        Ok(sum)
    }
}

/// Nanoseconds that a forced copy takes, in a fresh program.
fn per_fault() -> Result<f64> {
    let mut cow = Workload::start::<&str>(NAME, &[])?;
    let answer = cow.ask(&format!("time {PAGES} {FORKS}"))?;
    let time = answer.split(' ').nth(1).context("a short answer")?;
    Ok(time.parse::<f64>()? / PAGES as f64)
}

/// Measures with a name tracked, and checks that the faults were counted or not.
fn per_fault_tracking(name: &str) -> Result<f64> {
    pf_stat::set_param(name.as_bytes())?;
    let time = per_fault()?;
    if name == NAME {
        enough(pf_stat::get_info(name.as_bytes())?.total)?;
    } else {
        let idle = Ledger::of(name)?.context("it is not tracked")?;
        ensure!(idle.faults == 0, "{idle:?}: somebody else's faults");
        let is_tracked = pf_stat::get_info(NAME.as_bytes()).is_ok();
        ensure!(!is_tracked, "{NAME} is tracked, too");
    }
    pf_stat::cleanup()?;
    Ok(time)
}

fn per_fault_bpftrace() -> Result<f64> {
    let bpftrace = Bpftrace::start()?;
    let time = per_fault()?;
    enough(bpftrace.counted()?)?;
    Ok(time)
}

fn enough(counted: u64) -> Result<()> {
    let forced = PAGES * FORKS;
    ensure!(counted >= forced, "{counted} of {forced} were counted");
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

pub fn run() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    faults()?;
    crowds()?;
    reports()
}

/// Where a measurement goes, and how it is made.
type Side<'a> = (&'a mut Vec<f64>, fn() -> Result<f64>);

fn faults() -> Result<()> {
    let (mut plain, mut tracked, mut others, mut peer) = (vec![], vec![], vec![], vec![]);
    per_fault()?;
    for round in 0..ROUNDS {
        let mut sides: [Side; 3] = [
            (&mut tracked, || per_fault_tracking(NAME)),
            (&mut others, || per_fault_tracking("another")),
            (&mut peer, per_fault_bpftrace),
        ];
        if round % 2 == 1 {
            sides.reverse();
        }
        plain.push(added_by(sides)?);
    }
    let peer = median(peer);
    let row = |side: &str, added: f64, goal: &str| {
        vec![
            side.to_owned(),
            format!("{added:.0}"),
            format!("{:.2}", added / peer.max(1.0)),
            goal.to_owned(),
        ]
    };
    print(
        &format!("A forced copy takes {:.0} ns; added:", median(plain)),
        &["side", "ns/fault", "of bpftrace's", "goal"],
        &[
            row("pf_stat, tracked", median(tracked), "≤ 0.50"),
            row("pf_stat, another tracked", median(others), "≤ 0.25"),
            row("bpftrace", peer, ""),
        ],
    );
    Ok(())
}

/// Measures each side once and notes what it adds to the baseline, which is returned.
fn added_by(sides: [Side; 3]) -> Result<f64> {
    // The baseline is taken before and after: the machine is shared and drifts.
    let before = per_fault()?;
    let mut times = Vec::new();
    for (added, measure) in sides {
        times.push((added, measure()?));
    }
    let base = (before + per_fault()?) / 2.0;
    for (added, time) in times {
        added.push(time - base);
    }
    Ok(base)
}

/// Nanoseconds that a forced copy takes when eight threads make them, by turns in so many areas.
fn per_fault_of_crowd(areas: u64) -> Result<f64> {
    let pages = (CROWD_PAGES / areas).max(THREADS);
    let mut cow = Workload::start::<&str>(NAME, &[])?;
    let answer = cow.ask(&format!("teams {areas} {pages} {THREADS} {CROWD_FORKS}"))?;
    let time = answer.split(' ').nth(1).context("a short answer")?;
    Ok(time.parse::<f64>()? / (areas * pages) as f64)
}

fn crowds() -> Result<()> {
    let mut rows = Vec::new();
    for areas in [1, 16, 96, 400, 800] {
        let (mut plain, mut added) = (Vec::new(), Vec::new());
        for _ in 0..CROWD_ROUNDS {
            let before = per_fault_of_crowd(areas)?;
            pf_stat::set_param(NAME.as_bytes())?;
            let tracked = per_fault_of_crowd(areas)?;
            pf_stat::cleanup()?;
            let base = (before + per_fault_of_crowd(areas)?) / 2.0;
            plain.push(base);
            added.push(tracked - base);
        }
        let (plain, added) = (median(plain), median(added));
        rows.push(vec![
            areas.to_string(),
            format!("{plain:.0}"),
            format!("{added:.0}"),
            format!("{:.3}", added / plain.max(1.0)),
        ]);
    }
    print(
        "Eight threads, in so many areas by turns:",
        &["areas", "ns/fault", "added", "of it"],
        &rows,
    );
    Ok(())
}

/// The time of one call, beyond that of an empty system call.
fn report_time() -> Result<(Duration, Duration)> {
    let (mut calls, mut empty) = (Vec::new(), Vec::new());
    let mut words = [0; pf_stat::WORDS];
    for _ in 0..REPORTS {
        let start = Instant::now();
        pf_stat::get_info_raw(NAME.as_bytes(), &mut words)?;
        calls.push(start.elapsed().as_secs_f64());
        ensure!(words[0] == 128, "{} areas", words[0]);
        let start = Instant::now();
        let _ = rustix::process::getppid();
        empty.push(start.elapsed().as_secs_f64());
    }
    let time = |figures| Duration::from_secs_f64(median(figures));
    Ok((time(calls), time(empty)))
}

fn reports() -> Result<()> {
    pf_stat::set_param(NAME.as_bytes())?;
    let mut cow = Workload::start::<&str>(NAME, &[])?;
    cow.ask("areas 200")?;
    let running = report_time()?;
    drop(cow);
    let ended = report_time()?;
    let microseconds = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
    let row = |what: &str, (call, empty): (Duration, Duration)| {
        vec![
            what.to_owned(),
            microseconds(call),
            microseconds(empty),
            microseconds(call.saturating_sub(empty)),
            "< 20".to_owned(),
        ]
    };
    print(
        "pf_get_info of 128 areas, in microseconds of the emulated guest:",
        &["program", "call", "empty call", "beyond", "goal"],
        &[row("running", running), row("ended", ended)],
    );
    pf_stat::cleanup()?;
    Ok(())
}
