// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memuse` against reading and adding up `/proc/PID/smaps`, `smaps_rollup` and `status`.

use std::fs;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use pagelens::{proc, Kind, Memuse};
use workloads::{Module, SysSetting, Workload};

use crate::harness::{alternate, print, ratio};

const ROUNDS: usize = 15;
/// Calls in one turn, where a single one would be too short to time.
const CALLS: u32 = 200;
const GIB_IN_PAGES: u64 = 1 << 18;

pub fn run() -> Result<()> {
    let _module = Module::load("memuse", &[])?;
    let call = Memuse::new();
    let mut rows = Vec::new();
    {
        let small = standing(&["rw:aa:20"])?;
        compare(&mut rows, &call, "small process", small.pid(), CALLS)?;
    }
    let pages = GIB_IN_PAGES;
    {
        let _never = SysSetting::huge_pages("never")?;
        let large = standing(&[&format!("rw:aa:{pages}")])?;
        compare(&mut rows, &call, "1 GiB, small pages", large.pid(), 1)?;
    }
    {
        let _always = SysSetting::huge_pages("always")?;
        let large = standing(&[&format!("huge:aa:{}", pages / 512)])?;
        compare(&mut rows, &call, "1 GiB, huge pages", large.pid(), CALLS)?;
    }
    print(
        "One call of memuse against reading /proc for the same answer, in µs.",
        &[
            "process",
            "kind",
            "ours",
            "smaps",
            "ratio",
            "rollup or status",
            "ratio",
        ],
        &rows,
    );
    constant(&call)
}

/// A process with this memory that is stopped, so that both ways must find the same.
fn standing(steps: &[&str]) -> Result<Workload> {
    let holder = Workload::start("holder", steps)?;
    holder.stop()?;
    Ok(holder)
}

/// Both ways to each of a few kinds, which must agree.
fn compare(
    rows: &mut Vec<Vec<String>>,
    call: &Memuse,
    name: &str,
    pid: u32,
    calls: u32,
) -> Result<()> {
    for kind in [Kind::All, Kind::Heap, Kind::CallStack, Kind::Anonymous] {
        let (ours, theirs) = (call.bytes(pid, kind)?, proc::kinds::bytes(pid, kind)?);
        ensure!(ours == theirs, "{kind:?}: {ours} and {theirs} bytes");
        let [ours, smaps, rollup] = alternate(
            ROUNDS,
            [
                &mut || repeat(calls, || call.bytes(pid, kind)),
                &mut || repeat(calls.min(20), || proc::kinds::bytes(pid, kind)),
                &mut || repeat(calls.min(20), || roll_up(pid)),
            ],
        )?;
        let (ours, smaps) = (ours / calls, smaps / calls.min(20));
        let rollup = (kind == Kind::All).then_some(rollup / calls.min(20));
        rows.push(vec![
            name.to_owned(),
            format!("{kind:?}"),
            microseconds(ours),
            microseconds(smaps),
            format!("{:.0}", ratio(smaps, ours)),
            rollup.map_or(String::new(), microseconds),
            rollup.map_or(String::new(), |time| format!("{:.0}", ratio(time, ours))),
        ]);
    }
    Ok(())
}

/// The sum that the kernel itself can make, of all kinds only.
fn roll_up(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("no Rss")?.parse::<u64>()? << 10)
}

/// Kinds whose time must not depend on how much memory there is.
fn constant(call: &Memuse) -> Result<()> {
    let small = standing(&["rw:aa:20"])?;
    let large = standing(&[&format!("rw:aa:{GIB_IN_PAGES}"), "threads:100"])?;
    let mut rows = Vec::new();
    for kind in [Kind::KernelStack, Kind::PageTables, Kind::Swapped] {
        let [few, many, status] = alternate(
            ROUNDS,
            [
                &mut || repeat(CALLS, || call.bytes(small.pid(), kind)),
                &mut || repeat(CALLS, || call.bytes(large.pid(), kind)),
                &mut || repeat(CALLS, || proc::kinds::bytes(large.pid(), kind)),
            ],
        )?;
        rows.push(vec![
            format!("{kind:?}"),
            microseconds(few / CALLS),
            microseconds(many / CALLS),
            format!("{:.2}", ratio(many, few)),
            microseconds(status / CALLS),
        ]);
    }
    print(
        "Kinds that take the same time for any size, in µs.",
        &[
            "kind",
            "small process",
            "1 GiB, 101 threads",
            "ratio",
            "from status",
        ],
        &rows,
    );
    Ok(())
}

fn repeat<E>(calls: u32, mut call: impl FnMut() -> Result<u64, E>) -> Result<()>
where
    anyhow::Error: From<E>,
{
    for _ in 0..calls {
        std::hint::black_box(call()?);
    }
    Ok(())
}

fn microseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e6)
}
