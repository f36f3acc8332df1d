// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls for which allocations fail.

use anyhow::{bail, ensure, Result};
use pagelens::Kind;
use workloads::{SysSetting, Workload};

use super::Loaded;
use crate::failing::{has_fault_injection, widen, Switch, FAILSLAB, FAIL_PAGE_ALLOC};

#[test]
fn each_single_failing_allocation_is_enomem() -> Result<()> {
    if !has_fault_injection() {
        return Ok(());
    }
    let loaded = Loaded::new()?;
    let _wide = widen()?;
    let holder = Workload::start("holder", &["rw:bb:100", "threads:40"])?;
    holder.stop()?;
    let pid = holder.pid() as i32;
    let switch = Switch::open("fail-nth")?;
    for kind in Kind::EACH {
        let expected = loaded.call.raw(pid, kind.number())?;
        let mut failures = 0;
        for nth in 1.. {
            ensure!(nth < 100, "{kind:?} allocates without end");
            let call = || loaded.call.raw(pid, kind.number());
            let (result, left) = switch.during(&nth.to_string(), call)?;
            match result {
                Ok(bytes) => {
                    assert_eq!(bytes, expected, "{kind:?}, allocation {nth}");
                    if left > 0 {
                        break; // the nth allocation was not reached: all have had their turn
                    }
                }
                result if errno_is_no_memory(&result) => failures += 1,
                Err(error) => bail!("{kind:?}, allocation {nth}: {error}"),
            }
        }
        // The list of stack pointers may also come from vmalloc: then no single failure hurts it.
        let least = match kind {
            Kind::KernelStack | Kind::PageTables | Kind::Swapped => 0,
            _ => 1,
        };
        ensure!(failures >= least, "{kind:?}: {failures} allocations failed");
    }
    Ok(())
}

#[test]
fn allocations_that_fail_at_any_rate_spoil_no_answer() -> Result<()> {
    if !has_fault_injection() {
        return Ok(());
    }
    let loaded = Loaded::new()?;
    let _wide = widen()?;
    let holder = Workload::start("holder", &["rw:bb:100", "threads:40"])?;
    holder.stop()?;
    let pid = holder.pid() as i32;
    let expected = loaded.call.raw(pid, abi::memuse::ANONYMOUS)?;
    let switch = Switch::open("make-it-fail")?;
    let mut failures = 0;
    for (folder, percent) in [FAILSLAB, FAIL_PAGE_ALLOC]
        .into_iter()
        .flat_map(|folder| ["1", "10", "50"].map(|percent| (folder, percent)))
    {
        // The filter first: else the whole guest is short of memory.
        let _filter = SysSetting::set(format!("{folder}/task-filter"), "Y")?;
        let _times = SysSetting::set(format!("{folder}/times"), "-1")?;
        let _rate = SysSetting::set(format!("{folder}/probability"), percent)?;
        for _ in 0..200 {
            let call = || loaded.call.raw(pid, abi::memuse::ANONYMOUS);
            match switch.during("1", call)?.0 {
                Ok(bytes) => assert_eq!(bytes, expected, "{folder} {percent} %"),
                result => {
                    ensure!(errno_is_no_memory(&result), "{result:?}");
                    failures += 1;
                }
            }
        }
    }
    ensure!(failures > 0, "nothing failed");
    Ok(())
}

fn errno_is_no_memory(result: &std::io::Result<u64>) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(libc::ENOMEM))
}
