// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots for which allocations fail.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use pagelens::MemoryInfo;
use workloads::{SysSetting, Workload};

use super::{pages_in_groups, Loaded};
use crate::failing::{has_fault_injection, widen, Switch, FAILSLAB, FAIL_PAGE_ALLOC};

/// Writes RESET to `module` with the switch on. Returns whether RESET succeeded (it may fail only
/// for want of memory) and what the switch then showed.
fn reset(switch: &Switch, module: &mut File, on: &str) -> Result<(bool, String)> {
    let (written, shown) = switch.during(on, || module.write(b"RESET"))?;
    match written {
        Ok(_) => Ok((true, shown)),
        Err(error) if error.kind() == ErrorKind::OutOfMemory => Ok((false, shown)),
        Err(error) => Err(error).context("RESET failed for another reason"),
    }
}

fn module_file() -> Result<File> {
    Ok(OpenOptions::new().write(true).open(MemoryInfo::PATH)?)
}

#[test]
fn each_single_failing_allocation_ends_in_enomem_and_keeps_the_snapshot() -> Result<()> {
    if !has_fault_injection() {
        return Ok(());
    }
    let mut loaded = Loaded::new()?;
    let _wide = widen()?;
    let _tester = Workload::start("tester", &["600", "2"])?;
    let switch = Switch::open("fail-nth")?;
    let mut module = module_file()?;
    let mut failures = 0;
    for nth in 1.. {
        loaded.info.reset()?;
        loaded.info.delete(b"tester")?;
        let before = loaded.info.run(b"ALL")?;
        let (succeeded, left) = reset(&switch, &mut module, &nth.to_string())?;
        if !succeeded {
            failures += 1;
            assert_eq!(
                fs::read(MemoryInfo::PATH)?,
                b"[ERROR]: Memory allocation error\n"
            );
            assert_eq!(loaded.info.run(b"ALL")?, before, "allocation {nth}");
        } else if left != "0" {
            break; // the nth allocation was not reached: all have had their turn
        }
    }
    assert!(failures > 3, "only {failures} allocations failed");
    assert_eq!(loaded.now("tester")?.duplicates, pages_in_groups(1200, 2));
    Ok(())
}

#[test]
fn allocations_that_fail_at_any_rate_leave_the_snapshot_whole() -> Result<()> {
    if !has_fault_injection() {
        return Ok(());
    }
    let mut loaded = Loaded::new()?;
    let _wide = widen()?;
    let _tester = Workload::start("tester", &["600", "2"])?;
    loaded.info.reset()?;
    let switch = Switch::open("make-it-fail")?;
    let mut module = module_file()?;
    let mut failures = 0;
    for (folder, percent) in [FAILSLAB, FAIL_PAGE_ALLOC]
        .into_iter()
        .flat_map(|f| ["1", "10", "50"].map(|p| (f, p)))
    {
        // The filter first: else the whole guest is short of memory.
        let _filter = SysSetting::set(format!("{folder}/task-filter"), "Y")?;
        let _times = SysSetting::set(format!("{folder}/times"), "-1")?;
        let _rate = SysSetting::set(format!("{folder}/probability"), percent)?;
        for _ in 0..20 {
            let (succeeded, _) = reset(&switch, &mut module, "1")?;
            failures += u32::from(!succeeded);
            let duplicates = loaded.info.program(b"tester")?.duplicates;
            assert_eq!(duplicates, pages_in_groups(1200, 2), "{folder} {percent} %");
        }
    }
    assert!(failures > 0, "nothing failed");
    Ok(())
}
