// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls for which allocations fail.

use anyhow::{bail, ensure, Result};
use pagelens::Kind;
use workloads::Workload;

use super::Loaded;
use crate::failing::{at_each_rate, each_allocation, widen, Switch};

#[test]
fn each_single_failing_allocation_is_enomem() -> Result<()> {
    let _wide = widen()?;
    let loaded = Loaded::new()?;
    let holder = Workload::start("holder", &["rw:bb:100", "threads:40"])?;
    holder.stop()?;
    let pid = holder.pid() as i32;
    for kind in Kind::EACH {
        let expected = loaded.call.raw(pid, kind.number())?;
        let call = || loaded.call.raw(pid, kind.number());
        let failures = each_allocation(call, |nth, result| {
            ensure!(nth < 100, "{kind:?} allocates without end");
            match result {
                Ok(bytes) => assert_eq!(bytes, expected, "{kind:?}, allocation {nth}"),
                result if errno_is_no_memory(&result) => {}
                Err(error) => bail!("{kind:?}, allocation {nth}: {error}"),
            }
            Ok(())
        })?;
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
    let _wide = widen()?;
    let loaded = Loaded::new()?;
    let holder = Workload::start("holder", &["rw:bb:100", "threads:40"])?;
    holder.stop()?;
    let pid = holder.pid() as i32;
    let expected = loaded.call.raw(pid, abi::memuse::ANONYMOUS)?;
    let switch = Switch::open("make-it-fail")?;
    let mut failures = 0;
    at_each_rate(|rate| {
        for _ in 0..200 {
            let call = || loaded.call.raw(pid, abi::memuse::ANONYMOUS);
            match switch.during("1", call)?.0 {
                Ok(bytes) => assert_eq!(bytes, expected, "{rate}"),
                result => {
                    ensure!(errno_is_no_memory(&result), "{result:?}");
                    failures += 1;
                }
            }
        }
        Ok(())
    })?;
    ensure!(failures > 0, "nothing failed");
    Ok(())
}

fn errno_is_no_memory(result: &std::io::Result<u64>) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(libc::ENOMEM))
}
