// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything at once: executions, ends, calls, loading and unloading.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use pagelens::pf_stat;
use workloads::module::insert;
use workloads::{KernelLog, Module, SysSetting, Workload};

use super::{errno, errors_in, ledger, start_cow, step, tracking, COW};
use crate::runner::skip;
use crate::support::{is_long, remove_between_calls, wait_until, KPROBES_ENABLED};

fn duration() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 4 })
}

/// Calls `work` in `threads` threads until `body` returns.
fn beside<T>(
    threads: usize,
    work: impl Fn() -> Result<()> + Sync,
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let hammer = || -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                work()?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(hammer)).collect();
        let result = body();
        is_over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().ok().context("a worker panicked")??;
        }
        result
    })
}

/// Who is not tracked, and a module that is not there, are all that a call may object to.
fn ask_everything() -> Result<()> {
    for name in ["storm", "exe", COW] {
        let answer = pf_stat::get_info(name.as_bytes());
        if answer.is_err() {
            let errno = errno(answer);
            ensure!([libc::ESRCH, libc::ENOSYS].contains(&errno), "{errno}");
        }
    }
    let _ = ledger(COW);
    Ok(())
}

#[test]
fn executions_forks_and_ends_while_everything_is_asked() -> Result<()> {
    let _module = tracking("storm")?;
    pf_stat::set_param(b"exe")?;
    let storms = ["exec", "fork", "exit", "munmap"];
    let _running: Vec<Workload> = storms
        .iter()
        .map(|kind| Workload::start("storm", &[kind]))
        .collect::<Result<_>>()?;
    beside(2, ask_everything, || {
        thread::sleep(duration());
        Ok(())
    })?;
    // Few on a slow kernel, but more than one.
    assert!(ledger("exe")?.generation > 1, "{:?}", ledger("exe")?);
    Ok(())
}

#[test]
fn names_come_and_go_while_programs_run() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    let _storms = [
        Workload::start("storm", &["exec"])?,
        Workload::start("storm", &["fork"])?,
    ];
    beside(1, ask_everything, || {
        for _ in 0..if is_long() { 300 } else { 20 } {
            pf_stat::set_param(b"exe")?;
            pf_stat::set_param(b"storm")?;
            let _storm = Workload::start("storm", &["fork"])?;
            wait_until("copies are counted", || Ok(ledger("storm")?.copied > 0))?;
            pf_stat::cleanup()?;
            // A panic here would leave the workers running.
            ensure!(pf_stat::get_info(b"storm").is_err(), "tracked after all");
        }
        Ok(())
    })
}

#[test]
fn the_module_comes_and_goes_while_its_calls_are_hammered() -> Result<()> {
    let _storm = Workload::start("storm", &["fork"])?;
    let served = AtomicU64::new(0);
    let hammer = || {
        match pf_stat::set_param(b"storm") {
            Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
            refused => {
                let errno = errno(refused);
                ensure!(errno == libc::ENOSYS, "{errno}");
            }
        }
        ask_everything()?;
        let _ = pf_stat::cleanup();
        Ok(())
    };
    let rounds = if is_long() { 60 } else { 4 };
    beside(3, hammer, || {
        for _ in 0..rounds {
            let before = served.load(Ordering::Relaxed);
            insert("pf_stat", "")?;
            wait_until("calls are served", || {
                Ok(served.load(Ordering::Relaxed) > before + 3)
            })?;
            // One of the three is always in a call, if they can make one.
            let _no_new_calls = SysSetting::set(KPROBES_ENABLED, "0")?;
            remove_between_calls("pf_stat")?;
        }
        Ok(())
    })
}

#[test]
fn counts_are_exact_beside_a_storm() -> Result<()> {
    let _module = tracking(COW)?;
    let _storms = [
        Workload::start("storm", &["exec"])?,
        Workload::start("storm", &["exit"])?,
    ];
    beside(1, ask_everything, || {
        for _ in 0..5 {
            let mut cow = start_cow()?;
            let done = step(&mut cow, "child-writes 500")?;
            let counted = pf_stat::get_info(COW.as_bytes())?.at(done.start);
            ensure!(counted == Some(500), "{counted:?}");
        }
        Ok(())
    })
}

const TRACING: &str = "/proc/sys/kernel/ftrace_enabled";

/// From 7.3 on the kernel answers EOPNOTSUPP whoever uses tracing.
fn refusal_to_switch_tracing_off() -> Option<i32> {
    fs::write(TRACING, "0").err()?.raw_os_error()
}

#[test]
fn tracing_and_with_it_the_counting_cannot_be_switched_off() -> Result<()> {
    let _module = tracking(COW)?;
    let refusal = refusal_to_switch_tracing_off();
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    assert_eq!(pf_stat::get_info(COW.as_bytes())?.at(done.start), Some(100));
    let known = [Some(libc::EBUSY), Some(libc::EOPNOTSUPP)];
    assert!(known.contains(&refusal), "{refusal:?}");
    Ok(())
}

#[test]
fn without_tracing_no_name_is_tracked() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    if refusal_to_switch_tracing_off() == Some(libc::EOPNOTSUPP) {
        return skip(
            "this kernel refuses to switch tracing off",
            &["stock", "rt", "next", "cloud", "debug"],
        );
    }
    fs::write(TRACING, "1")?;
    {
        let _off = SysSetting::set(TRACING, "0")?;
        let mut log = KernelLog::from_now()?;
        assert_eq!(errno(pf_stat::set_param(COW.as_bytes())), libc::EBUSY);
        let line = "pf_set_param: kernel.ftrace_enabled is 0 (-16)";
        assert_eq!(errors_in(&mut log)?, [line]);
        assert_eq!(
            fs::read_to_string(pf_stat::Ledger::PATH)?.lines().count(),
            1
        );
    }
    pf_stat::set_param(COW.as_bytes())?;
    assert_eq!(ledger(COW)?.generation, 0);
    Ok(())
}
