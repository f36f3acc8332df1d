// SPDX-License-Identifier: MIT OR Apache-2.0
//! What others may do while a cleanup has to wait.
//!
//! Removing a probe waits until every task has left the kernel or slept, be it for minutes. Here a
//! task stays in the kernel until it is killed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use pagelens::pf_stat;
use workloads::{process, Workload};

use super::{errno, start_cow, step, tracking, COW};
use crate::support::wait_until;

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
fn waiting_tracker() -> Result<Child> {
    let tracker = Command::new("pf-test")
        .args(["-o", "set_param", "-p", COW])
        .spawn()?;
    let call = format!("/proc/{}/syscall", tracker.id());
    wait_until("it waits in pf_set_param", || {
        Ok(fs::read_to_string(&call)?.starts_with("385 "))
    })?;
    Ok(tracker)
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
