// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading while processes come and go.

use anyhow::{ensure, Context, Result};
use pagelens::proc;
use rustix::process::{kill_process, waitid, Pid, Signal, WaitId, WaitIdOptions};
use workloads::process::rest;
use workloads::{errno, layout_of, Workload};

use crate::support::storm;

fn rounds() -> usize {
    match std::env::var("PAGELENS_LONG").as_deref() {
        Ok("1") => 1000,
        _ => 30,
    }
}

#[test]
fn it_loads_for_random_pids_while_they_come_and_go() -> Result<()> {
    let still = Workload::start("holder", &["rw:aa:100"])?;
    let _storm = storm()?;
    let expected = layout_of(still.pid())?;
    let mut random = workloads::random()?;
    let (mut shown, mut refused, mut of_the_storm) = (0, 0, 0);
    for round in 0..rounds() {
        // One that stands still, one of the storm, any process, any number.
        let pid = match round % 5 {
            0 => still.pid(),
            1 => random.u32(1..still.pid() + 100),
            kind => {
                let mut pids = proc::pids()?;
                pids.retain(|pid| kind == 2 || *pid > still.pid());
                pids[random.usize(..pids.len())]
            }
        };
        match layout_of(pid) {
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
            Err(error) if matches!(errno(&error), Some(libc::ESRCH | libc::EINVAL)) => refused += 1,
            Err(error) => return Err(error.into()),
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
        let whole = layout_of(holder.pid())?.layout;
        let pid = Pid::from_raw(holder.pid() as i32).context("no pid")?;
        let result = std::thread::scope(|scope| -> Result<_> {
            let killer = scope.spawn(move || kill_process(pid, Signal::KILL));
            if round % 2 == 0 {
                killer.join().ok().context("the killer panicked")??;
                let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                waitid(WaitId::Pid(pid), dead)?;
            }
            Ok(layout_of(holder.pid()))
        })?;
        match result {
            Ok(report) => {
                ensure!(round % 2 == 1, "a dead one was shown: {report:?}");
                assert_eq!(report.layout, whole, "round {round}");
            }
            Err(error) => ensure!(
                errno(&error) == Some(libc::ESRCH),
                "round {round}: {error:#}"
            ),
        }
    }
    Ok(())
}
