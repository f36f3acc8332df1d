// SPDX-License-Identifier: MIT OR Apache-2.0
//! What others may do while a cleanup has to wait.
//!
//! Removing a probe waits until every task has left the kernel or slept, be it for minutes. Here a
//! task stays in the kernel until it is killed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use pagelens::pf_stat;
use workloads::{process, Running, Workload};

use super::{errno, start_cow, step, tracking, COW};
use crate::support::{wait_until, Cgroup};

/// Calls `body` while a cleanup is held up, which ends after it.
fn while_a_cleanup_waits<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    let busy = Workload::start("storm", &["kernel"])?;
    wait_until("nothing but kernel time passes", || {
        Ok(process::kernel_ticks(busy.pid())? > 20)
    })?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            pf_stat::cleanup().expect("the cleanup succeeds");
            is_done.store(true, Ordering::Relaxed);
        });
        wait_until("nothing is tracked", || {
            Ok(pf_stat::get_info(COW.as_bytes()).is_err())
        })?;
        let result = body()?;
        assert_eq!(process::state(busy.pid())?, 'R', "still in the kernel");
        assert!(!is_done.load(Ordering::Relaxed), "the cleanup did not wait");
        drop(busy);
        Ok(result)
    })
}

#[test]
fn nobody_who_only_looks_waits_for_a_cleanup() -> Result<()> {
    let _module = tracking(COW)?;
    let _cow = start_cow()?;
    while_a_cleanup_waits(|| {
        assert_eq!(errno(pf_stat::get_info(COW.as_bytes())), libc::ESRCH);
        let text = fs::read_to_string(pf_stat::Ledger::PATH)?;
        assert_eq!(text.lines().count(), 1, "{text}");
        Ok(())
    })
}

/// Starts tracking the name in a process of its own, and waits until that sleeps in the call.
fn waiting_tracker() -> Result<Running> {
    let set = ["-o", "set_param", "-p", COW];
    let tracker = Running::start(Command::new("pf-test").args(set))?;
    wait_until("it waits in pf_set_param", || waits(&tracker))?;
    Ok(tracker)
}

fn waits(tracker: &Running) -> Result<bool> {
    let call = fs::read_to_string(format!("/proc/{}/syscall", tracker.pid()))?;
    Ok(call.starts_with("385 "))
}

#[test]
fn a_name_that_is_tracked_during_a_cleanup_is_counted_after_it() -> Result<()> {
    let _module = tracking(COW)?;
    let _first = start_cow()?;
    let mut tracker = while_a_cleanup_waits(waiting_tracker)?;
    assert!(tracker.wait()?.success());
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    assert_eq!(pf_stat::get_info(COW.as_bytes())?.at(done.start), Some(100));
    Ok(())
}

#[test]
fn who_waits_for_a_cleanup_can_be_frozen_and_goes_on_waiting() -> Result<()> {
    let _module = tracking(COW)?;
    let _cow = start_cow()?;
    let group = Cgroup::new("pf_stat-test")?;
    let mut tracker = while_a_cleanup_waits(|| {
        let mut tracker = waiting_tracker()?;
        group.take(tracker.pid())?;
        group.freeze(true)?;
        group.freeze(false)?;
        wait_until("it ended or waits again", || {
            Ok(tracker.try_wait()?.is_some() || waits(&tracker)?)
        })?;
        assert_eq!(tracker.try_wait()?, None, "it was not called again");
        Ok(tracker)
    })?;
    assert!(tracker.wait()?.success());
    assert_eq!(super::ledger(COW)?.generation, 0, "it is tracked");
    Ok(())
}

#[test]
fn who_waits_for_a_cleanup_can_be_killed() -> Result<()> {
    let _module = tracking(COW)?;
    let _cow = start_cow()?;
    while_a_cleanup_waits(|| {
        let mut tracker = waiting_tracker()?;
        tracker.kill()?;
        assert_eq!(tracker.wait()?.signal(), Some(libc::SIGKILL));
        Ok(())
    })?;
    assert_eq!(errno(pf_stat::get_info(COW.as_bytes())), libc::ESRCH);
    Ok(())
}
