// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls while everything changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{ensure, Context, Result};
use pagelens::{proc, Kind, Memuse};
use workloads::Workload;

use super::{errno, numbers_in, Loaded, PAGE};
use crate::support::{is_long, storm, OneCpu};

#[test]
fn in_a_storm_every_call_is_answered_or_finds_nobody() -> Result<()> {
    let loaded = Loaded::new()?;
    let still = Workload::start("holder", &["rw:bb:300", "threads:3"])?;
    still.stop()?;
    let expected = Kind::EACH.map(|kind| loaded.call.bytes(still.pid(), kind).ok());
    let _storm = storm()?;
    let (mut answers, mut ended) = (0, 0);
    for round in 0..if is_long() { 500 } else { 40 } {
        for pid in proc::pids()? {
            for kind in Kind::EACH {
                match loaded.call.raw(pid as i32, kind.number()) {
                    Ok(_) => answers += 1,
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => ended += 1,
                    Err(error) => anyhow::bail!("{kind:?} of {pid}: {error}"),
                }
            }
        }
        let now = Kind::EACH.map(|kind| loaded.call.bytes(still.pid(), kind).ok());
        assert_eq!(now, expected, "round {round}: who stands still");
    }
    ensure!(
        answers > 0 && ended > 0,
        "{answers} answers, {ended} had ended"
    );
    Ok(())
}

#[test]
fn a_process_that_is_killed_is_whole_or_gone() -> Result<()> {
    const PAGES: u64 = 3000;
    let loaded = Loaded::new()?;
    for round in 0..if is_long() { 300 } else { 30 } {
        let wanted = round % 10;
        let (answers, is_gone) = (AtomicU64::new(0), AtomicBool::new(false));
        let holder = Workload::start("holder", &[format!("rw:bb:{PAGES}")])?;
        let pid = rustix::process::Pid::from_raw(holder.pid() as i32);
        let pid = pid.ok_or_else(|| anyhow::anyhow!("no pid"))?;
        std::thread::scope(|scope| -> Result<()> {
            let killer = scope.spawn(|| {
                while answers.load(Ordering::Relaxed) < wanted && !is_gone.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)
            });
            // It stays until it is waited for: each answer must be all of it, until there is none.
            let seen = loop {
                match loaded
                    .call
                    .raw(pid.as_raw_nonzero().get(), abi::memuse::ANONYMOUS)
                {
                    Ok(bytes) if bytes >= PAGES * PAGE => answers.fetch_add(1, Ordering::Relaxed),
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                        break answers.load(Ordering::Relaxed)
                    }
                    other => {
                        is_gone.store(true, Ordering::Relaxed);
                        anyhow::bail!("of a part: {other:?}")
                    }
                };
            };
            is_gone.store(true, Ordering::Relaxed);
            killer
                .join()
                .map_err(|_| anyhow::anyhow!("the killer panicked"))??;
            // The kill waited for as many.
            ensure!(seen >= wanted, "gone after {seen} answers, before the kill");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn random_numbers_get_bytes_or_the_documented_errors() -> Result<()> {
    const CALLS: u32 = 100_000;
    let loaded = Loaded::new()?;
    let _holder = Workload::start("holder", &["rw:bb:10", "threads:2"])?;
    let mut random = workloads::random()?;
    let seen = proc::pids()?;
    let mut counts = [0; 3];
    for _ in 0..CALLS {
        let pid = match random.u32(..8) {
            0 => seen[random.usize(..seen.len())] as i32,
            1..=3 => random.i32(-400..400),
            _ => random.i32(..),
        };
        let kind = match random.u32(..4) {
            0 => random.i32(..),
            _ => random.i32(-16..16),
        };
        match loaded.call.raw(pid, kind) {
            Ok(bytes) => {
                ensure!(Kind::from_number(kind).is_some(), "{pid} {kind}");
                ensure!(
                    bytes % PAGE == 0 && bytes < 1 << 40,
                    "{pid} {kind}: {bytes}"
                );
                counts[0] += 1;
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EINVAL) => {
                    ensure!(Kind::from_number(kind).is_none(), "{pid} {kind}");
                    counts[1] += 1;
                }
                Some(libc::ESRCH) => counts[2] += 1,
                _ => anyhow::bail!("{pid} {kind}: {error}"),
            },
        }
    }
    ensure!(counts.iter().all(|&count| count > 100), "{counts:?}");
    Ok(())
}

#[test]
fn the_module_unloads_while_it_is_hammered() -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    let is_over = AtomicBool::new(false);
    let served = AtomicU64::new(0);
    let holder = Workload::start("holder", &["rw:bb:3000", "threads:3"])?;
    let pid = holder.pid() as i32;
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (is_over, served) = (&is_over, &served);
            scope.spawn(move || {
                let call = Memuse::default();
                let mut kind = thread;
                while !is_over.load(Ordering::Relaxed) {
                    kind = (kind + 1) % 11;
                    match call.raw(pid, kind) {
                        Ok(_) => drop(served.fetch_add(1, Ordering::Relaxed)),
                        result => assert_eq!(errno(result), libc::ENOSYS),
                    }
                    // Not in the middle of a call, when this thread's turn ends.
                    std::thread::yield_now();
                }
            });
        }
        let cycles = || -> Result<()> {
            for _ in 0..if is_long() { 200 } else { 30 } {
                let before = served.load(Ordering::Relaxed);
                workloads::module::insert("memuse", "")?;
                crate::support::wait_until("calls are served", || {
                    Ok(served.load(Ordering::Relaxed) > before + 10)
                })?;
                crate::support::remove_between_calls("memuse")?;
            }
            Ok(())
        };
        let done = cycles();
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

/// Whoever is named here is reaped by the exec of another thread, and so is the first thread.
#[test]
fn threads_that_an_exec_reaps_have_figures_until_they_are_gone() -> Result<()> {
    let loaded = Loaded::new()?;
    let stack = loaded.kernel_stack()?;
    for round in 0..if is_long() { 1000 } else { 30 } {
        let mut holder = Workload::start("holder", &["rw:bb:10", "threads:3"])?;
        let mut threads = numbers_in(&format!("/proc/{}/task", holder.pid()))?;
        threads.retain(|&thread| thread != holder.pid() as i32);
        std::thread::scope(|scope| -> Result<()> {
            let watch = |thread| loop {
                match loaded.call.raw(thread, abi::memuse::KERNEL_STACK) {
                    Ok(bytes) => ensure!((stack..=5 * stack).contains(&bytes), "{bytes}"),
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            };
            let callers: Vec<_> = threads
                .iter()
                .map(|&thread| scope.spawn(move || watch(thread)))
                .collect();
            assert_eq!(callers.len(), 3);
            holder.say("execute:holder")?;
            for caller in callers {
                let joined = caller.join().map_err(|_| anyhow::anyhow!("panicked"))?;
                joined.with_context(|| format!("round {round}"))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
