// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that nobody can look at, and such that one has to wait for.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Result};
use rustix::process::{kill_process, Pid, Signal};
use workloads::{Running, SysSetting, Workload};

use super::{holder, statm, Loaded};
use crate::failing::FAILSLAB;
use crate::pf_stat::stuck::{self, while_stuck};
use crate::pf_stat::{start_cow, COW};
use crate::runner::skip;
use crate::support::wait_until;

fn left_out() -> Result<u64> {
    let text = fs::read_to_string("/sys/module/memory_info/parameters/left_out")?;
    Ok(text.trim().parse()?)
}

/// A process whose mmap lock a thread takes for changes without rest, for as long at a time as it takes
/// to change `pages` pages. To look at it takes many stretches.
struct Busy {
    process: Workload,
    _many_areas: SysSetting,
}

impl Busy {
    fn start(pages: usize) -> Result<Self> {
        const FILE: &str = "/tmp/busy";
        const AREAS: u64 = 200_000;
        let many_areas = SysSetting::set("/proc/sys/vm/max_map_count", "300000")?;
        File::create(FILE)?.set_len(4096)?;
        let mut process = holder("busy", &[&format!("views:{FILE}:{AREAS}")])?;
        process.ask(&format!("churn:{pages}"))?;
        Ok(Self {
            process,
            _many_areas: many_areas,
        })
    }
}

#[test]
fn a_signal_that_has_to_wait_makes_no_reset_leave_out_who_is_only_busy() -> Result<()> {
    if Path::new(FAILSLAB).is_dir() {
        return skip("so many areas take this kernel too long", &["debug"]);
    }
    let mut loaded = Loaded::new()?;
    let busy = Busy::start(1)?;
    let reset = ["-c", "trap : ALRM; echo RESET > /proc/memory_info"];
    let mut reset = Running::start(Command::new("sh").args(reset))?;
    let call = format!("/proc/{}/syscall", reset.pid());
    wait_until("it waits for a lock", || {
        Ok(fs::read_to_string(&call)?.starts_with("1 "))
    })?;
    kill_process(Pid::from_child(&reset), Signal::ALARM)?;
    ensure!(reset.wait()?.success(), "the RESET failed");
    assert_eq!(left_out()?, 0);
    let seen = loaded.info.program(b"busy")?;
    assert_eq!((seen.total, seen.valid), statm([busy.process.pid()])?);
    Ok(())
}

#[test]
fn a_reset_leaves_out_who_has_it_wait_all_the_time() -> Result<()> {
    const STUCK: usize = 16;
    if !stuck::can_be() {
        return stuck::skip();
    }
    let mut loaded = Loaded::new()?;
    let stuck: Result<Vec<_>> = (0..STUCK).map(|_| start_cow()).collect();
    // Each wait is short, but there are many. What the stuck ones leave is a tenth of a second.
    let _busy = Busy::start(1 << 8)?;
    stuck::while_all_stuck(&mut stuck?, || loaded.info.reset().map_err(Into::into))?;
    assert_eq!(left_out()?, STUCK as u64 + 1);
    let seen = loaded.info.program(b"busy")?;
    assert_eq!((seen.total, seen.valid), (0, 0), "{seen:?}");
    Ok(())
}

#[test]
fn a_reset_leaves_out_whose_mmap_lock_nobody_gets() -> Result<()> {
    if !stuck::can_be() {
        return stuck::skip();
    }
    let mut loaded = Loaded::new()?;
    let mut cow = start_cow()?;
    assert_eq!(left_out()?, 0);
    while_stuck(&mut cow, || {
        let reset = ["-c", "echo RESET > /proc/memory_info"];
        let mut reset = Running::start(Command::new("sh").args(reset))?;
        wait_until("the RESET is done", || Ok(reset.try_wait()?.is_some()))?;
        ensure!(reset.wait()?.success(), "the RESET failed");
        Ok(())
    })?;
    assert_eq!(left_out()?, 1);
    let seen = loaded.info.program(COW.as_bytes())?;
    assert_eq!((seen.total, seen.valid), (0, 0), "{seen:?}");
    let seen = loaded.now(COW)?;
    assert_eq!(left_out()?, 0);
    assert!(seen.valid > 0, "{seen:?}");
    Ok(())
}
