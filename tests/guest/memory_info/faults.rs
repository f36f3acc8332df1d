// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots for which allocations fail.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};

use anyhow::{bail, ensure, Result};
use pagelens::MemoryInfo;
use workloads::{SysSetting, Workload};

use super::{pages_in_groups, Loaded};
use crate::failing::{at_each_rate, each_allocation, widen, Switch};

fn module_file() -> Result<File> {
    Ok(OpenOptions::new().write(true).open(MemoryInfo::PATH)?)
}

#[test]
fn each_single_failing_allocation_ends_in_enomem_and_keeps_the_snapshot() -> Result<()> {
    let _wide = widen()?;
    let _small = SysSetting::huge_pages("never")?; // collapses are another test's matter
    let mut loaded = Loaded::new()?;
    let _tester = Workload::start("tester", &["600", "2"])?;
    let mut module = module_file()?;
    // A snapshot that no RESET could have made: without the tester.
    loaded.info.reset()?;
    loaded.info.delete(b"tester")?;
    let mut before = loaded.info.run(b"ALL")?;
    let reset = || module.write(b"RESET");
    let failures = each_allocation(reset, |nth, written| {
        // Copies from user space are made to fail, too: the command itself is the first.
        let message = match written.map_err(|error| error.kind()) {
            Ok(_) => {
                // It did without: then nothing may be missing.
                let duplicates = loaded.info.program(b"tester")?.duplicates;
                assert_eq!(duplicates, pages_in_groups(1200, 2), "allocation {nth}");
                loaded.info.delete(b"tester")?;
                before = loaded.info.run(b"ALL")?;
                return Ok(());
            }
            Err(ErrorKind::OutOfMemory) => "Memory allocation error",
            Err(_) if nth == 1 => "Bad address",
            Err(failure) => bail!("allocation {nth}: {failure}"),
        };
        assert_eq!(
            fs::read_to_string(MemoryInfo::PATH)?,
            format!("[ERROR]: {message}\n")
        );
        assert_eq!(loaded.info.run(b"ALL")?, before, "allocation {nth}");
        Ok(())
    })?;
    assert!(failures > 3, "only {failures} allocations failed");
    assert_eq!(loaded.now("tester")?.duplicates, pages_in_groups(1200, 2));
    Ok(())
}

#[test]
fn allocations_that_fail_at_any_rate_leave_the_snapshot_whole() -> Result<()> {
    let _wide = widen()?;
    let _small = SysSetting::huge_pages("never")?; // collapses are another test's matter
    let mut loaded = Loaded::new()?;
    let _tester = Workload::start("tester", &["600", "2"])?;
    loaded.info.reset()?;
    let switch = Switch::open("make-it-fail")?;
    let mut module = module_file()?;
    let mut failures = 0;
    at_each_rate(|rate| {
        for _ in 0..20 {
            let (written, _) = switch.during("1", || module.write(b"RESET"))?;
            let failure = written.err().map(|error| error.kind());
            ensure!(
                matches!(failure, None | Some(ErrorKind::OutOfMemory)),
                "{failure:?}"
            );
            failures += u32::from(failure.is_some());
            let duplicates = loaded.info.program(b"tester")?.duplicates;
            assert_eq!(duplicates, pages_in_groups(1200, 2), "{rate}");
        }
        Ok(())
    })?;
    assert!(failures > 0, "nothing failed");
    Ok(())
}
