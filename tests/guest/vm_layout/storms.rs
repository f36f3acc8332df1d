// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading while processes come and go.

use std::fs;

use anyhow::{ensure, Context, Result};
use rustix::process::{kill_process, waitid, Pid, Signal, WaitId, WaitIdOptions};
use workloads::process::rest;
use workloads::{layout_of, refusal, Workload};

use crate::support::storm;

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

fn rounds() -> usize {
    match std::env::var("PAGELENS_LONG").as_deref() {
        Ok("1") => 1000,
        _ => 30,
    }
}

/// The processes that there are now from number `first` on.
fn pids(first: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|pid| *pid >= first).collect())
}

#[test]
fn it_loads_for_random_pids_while_they_come_and_go() -> Result<()> {
    let still = Workload::start("holder", &["rw:aa:100"])?;
    let _storm = storm()?;
    let expected = layout_of(still.pid(), "")?;
    let mut random = Random(42);
    let (mut shown, mut refused, mut of_the_storm) = (0, 0, 0);
    for round in 0..rounds() {
        // One that stands still, one of the storm, any process, any number.
        let pid = match round % 5 {
            0 => still.pid(),
            1 => random.below(still.pid() as usize + 100) as u32 + 1,
            kind => {
                let pids = pids(if kind == 2 { 1 } else { still.pid() + 1 })?;
                pids[random.below(pids.len())]
            }
        };
        match layout_of(pid, "") {
            Ok(report) => {
                shown += 1;
                of_the_storm += usize::from(report.name == "storm");
                let layout = &report.layout;
                ensure!(
                    layout.rss <= layout.total_vm && layout.vma_count > 0,
                    "{report:?}"
                );
                if pid == still.pid() {
                    assert_eq!(report.layout, expected.layout, "round {round}");
                }
            }
            // ESRCH and EINVAL: no such process, a kernel thread.
            Err(error) if matches!(refusal(&error), Some(3 | 22)) => refused += 1,
            Err(error) => return Err(error),
        }
    }
    println!("{shown} shown, {of_the_storm} of them of the storm, {refused} refused");
    assert!(shown > 0 && refused > 0 && of_the_storm > 0);
    Ok(())
}

/// One that is killed after, before, or while it is looked at.
#[test]
fn a_dying_process_is_shown_whole_or_refused() -> Result<()> {
    for round in 0..rounds() {
        let holder = Workload::start("holder", &["rw:aa:100"])?;
        rest(holder.pid())?;
        let whole = layout_of(holder.pid(), "")?.layout;
        let pid = Pid::from_raw(holder.pid() as i32).context("no pid")?;
        let result = std::thread::scope(|scope| -> Result<_> {
            let killer = scope.spawn(move || kill_process(pid, Signal::KILL));
            if round % 2 == 0 {
                killer.join().ok().context("the killer panicked")??;
                let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                waitid(WaitId::Pid(pid), dead)?;
            }
            Ok(layout_of(holder.pid(), ""))
        })?;
        match result {
            Ok(report) => {
                ensure!(round % 2 == 1, "a dead one was shown: {report:?}");
                assert_eq!(report.layout, whole, "round {round}");
            }
            Err(error) => ensure!(refusal(&error) == Some(3), "round {round}: {error:#}"),
        }
    }
    Ok(())
}
