// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots for which allocations fail.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};

use anyhow::{bail, ensure, Result};
use pagelens::MemoryInfo;
use workloads::{SysSetting, Workload};

use super::{pages_in_groups, Loaded};
use crate::failing::{has_fault_injection, widen, Switch, FAILSLAB, FAIL_PAGE_ALLOC};

/// Writes RESET to `module` with the switch on. Returns how RESET failed, if it did, and what
/// the switch then showed.
fn reset(switch: &Switch, module: &mut File, on: &str) -> Result<(Option<ErrorKind>, usize)> {
    let (written, left) = switch.during(on, || module.write(b"RESET"))?;
    Ok((written.err().map(|error| error.kind()), left))
}

fn module_file() -> Result<File> {
    Ok(OpenOptions::new().write(true).open(MemoryInfo::PATH)?)
}

#[test]
fn each_single_failing_allocation_ends_in_enomem_and_keeps_the_snapshot() -> Result<()> {
    if !has_fault_injection() {
        return Ok(());
    }
    let _small = SysSetting::huge_pages("never")?; // collapses are another test's matter
    let mut loaded = Loaded::new()?;
    let _wide = widen()?;
    let _tester = Workload::start("tester", &["600", "2"])?;
    let switch = Switch::open("fail-nth")?;
    let mut module = module_file()?;
    let mut failures = 0;
    // A snapshot that no RESET could have made: without the tester.
    loaded.info.reset()?;
    loaded.info.delete(b"tester")?;
    let mut before = loaded.info.run(b"ALL")?;
    for nth in 1.. {
        let (failure, left) = reset(&switch, &mut module, &nth.to_string())?;
        // `fail-nth` also counts copies from user space: the command itself is the first.
        let message = match failure {
            None if left > 0 => break, // not reached: all have had their turn
            None => {
                // It did without: then nothing may be missing.
                let duplicates = loaded.info.program(b"tester")?.duplicates;
                assert_eq!(duplicates, pages_in_groups(1200, 2), "allocation {nth}");
                loaded.info.delete(b"tester")?;
                before = loaded.info.run(b"ALL")?;
                continue;
            }
            Some(ErrorKind::OutOfMemory) => "Memory allocation error",
            Some(_) if nth == 1 => "Bad address",
            Some(failure) => bail!("allocation {nth}: {failure}"),
        };
        failures += 1;
        assert_eq!(
            fs::read_to_string(MemoryInfo::PATH)?,
            format!("[ERROR]: {message}\n")
        );
        assert_eq!(loaded.info.run(b"ALL")?, before, "allocation {nth}");
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
    let _small = SysSetting::huge_pages("never")?; // collapses are another test's matter
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
            let (failure, _) = reset(&switch, &mut module, "1")?;
            ensure!(
                matches!(failure, None | Some(ErrorKind::OutOfMemory)),
                "{failure:?}"
            );
            failures += u32::from(failure.is_some());
            let duplicates = loaded.info.program(b"tester")?.duplicates;
            assert_eq!(duplicates, pages_in_groups(1200, 2), "{folder} {percent} %");
        }
    }
    assert!(failures > 0, "nothing failed");
    Ok(())
}
