// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes of many threads, and many callers at once.

use std::fs;

use anyhow::{ensure, Context, Result};
use pagelens::{Kind, Memuse};
use workloads::{SysSetting, Workload};

use super::Loaded;
use crate::support::{wait_until, Cgroup};

/// Callers that have large rooms at the same time, at most.
const LARGE_ROOMS: usize = 8;
/// What one caller holds without a large room: a page for entries, a page for stack pointers.
const EACH: u64 = 8 << 10;
/// What all large rooms hold together.
const LARGE: u64 = 2 << 20;

#[test]
fn more_threads_than_a_callers_room_has_are_counted_exactly() -> Result<()> {
    const THREADS: usize = 2000;
    let loaded = Loaded::new()?;
    let _areas = SysSetting::set("/proc/sys/vm/max_map_count", "65530")?;
    let holder = Workload::start("holder", &["rw:bb:100", &format!("threads:{THREADS}")])?;
    holder.stop()?;
    loaded.check(holder.pid())?;
    let pid = holder.pid() as i32;
    let kinds = [Kind::ThreadStacks, Kind::Anonymous];
    let expected = kinds.map(|kind| loaded.call.bytes(holder.pid(), kind).ok());
    ensure!(expected[0] >= Some(THREADS as u64 * super::PAGE));
    // So many that not all of them can have a large room.
    std::thread::scope(|scope| {
        let call = || kinds.map(|kind| Memuse::default().raw(pid, kind.number()).ok());
        let callers: Vec<_> = (0..3 * LARGE_ROOMS)
            .map(|_| scope.spawn(move || [call(), call()]))
            .collect();
        for caller in callers {
            assert_eq!(caller.join().ok(), Some([expected, expected]));
        }
    });
    Ok(())
}

/// Bytes that the kernel holds for itself, but for stacks and page tables.
fn kernel_memory() -> Result<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = |name: &str| -> Result<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(number.context("meminfo")?.trim().parse()?)
    };
    Ok((kilobytes("SUnreclaim:")? + kilobytes("VmallocUsed:")?) << 10)
}

#[test]
fn a_crowd_of_callers_holds_a_bounded_amount_that_their_cgroup_pays_for() -> Result<()> {
    const CALLERS: u64 = 1000;
    const THREADS: u64 = 5000;
    /// What others do meanwhile, and what a CPU takes from a cgroup in advance.
    const NOISE: u64 = 8 << 20;
    let _loaded = Loaded::new()?;
    let target = Workload::start("holder", &[format!("threads:{THREADS}")])?;
    target.stop()?;
    let cgroup = Cgroup::new("crowd")?;
    let kind = Kind::Anonymous.number();
    let arguments = [
        CALLERS.to_string(),
        target.pid().to_string(),
        kind.to_string(),
    ];
    let mut crowd = Workload::start("memuse-crowd", &arguments)?;
    // What it holds by now was paid for by another group and stays so.
    cgroup.take(crowd.pid())?;
    let (before, paid_before) = (kernel_memory()?, cgroup.number("memory.current")?);
    // The callers shall not keep this thread from looking at them.
    rustix::process::nice(-20)?;
    crowd.say("go")?;
    let mut most = 0;
    let held = wait_until("a quarter of the callers is served", || {
        most = kernel_memory()?.max(most);
        let paid = cgroup.number("memory.peak")?.saturating_sub(paid_before);
        Ok(paid >= CALLERS / 4 * EACH)
    });
    rustix::process::nice(20)?;
    let paid = cgroup.number("memory.peak")?.saturating_sub(paid_before);
    drop(crowd);
    let grown = most.saturating_sub(before);
    println!("{paid} bytes paid for, {grown} bytes of kernel memory more");
    held?;
    let bound = CALLERS * EACH + LARGE + NOISE;
    ensure!(paid <= bound, "{paid} bytes paid for");
    ensure!(grown <= bound, "{grown} bytes of kernel memory");
    Ok(())
}
