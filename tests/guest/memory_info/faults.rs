// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail. These need a kernel with fault injection (the lab's `debug`).

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{bail, ensure, Result};
use pagelens::MemoryInfo;
use workloads::{SysSetting, Workload};

use super::{pages_in_groups, Loaded};

const FAILSLAB: &str = "/sys/kernel/debug/failslab";
const FAIL_PAGE_ALLOC: &str = "/sys/kernel/debug/fail_page_alloc";
const FAIL_USERCOPY: &str = "/sys/kernel/debug/fail_usercopy";

/// Whether this kernel can make allocations fail; says so if it cannot.
fn has_fault_injection() -> bool {
    let has = Path::new(FAILSLAB).is_dir() && Path::new(FAIL_PAGE_ALLOC).is_dir();
    if !has {
        println!("skipped: this kernel has no fault injection");
    }
    has
}

/// Lets the allocations that may sleep fail too, and the smallest.
fn widen() -> Result<Vec<SysSetting>> {
    [
        (FAILSLAB, "ignore-gfp-wait", "N"),
        (FAIL_PAGE_ALLOC, "ignore-gfp-wait", "N"),
        (FAIL_PAGE_ALLOC, "min-order", "0"),
        (FAILSLAB, "verbose", "0"),
        (FAIL_PAGE_ALLOC, "verbose", "0"),
        (FAIL_USERCOPY, "verbose", "0"),
    ]
    .into_iter()
    .map(|(folder, file, value)| SysSetting::set(format!("{folder}/{file}"), value))
    .collect()
}

/// This thread's own switch for failing allocations: `fail-nth` or `make-it-fail`.
///
/// It is opened beforehand, as opening would allocate too.
struct Switch {
    file: File,
}

impl Switch {
    fn open(name: &str) -> Result<Self> {
        let path = format!("/proc/thread-self/{name}");
        Ok(Self {
            file: OpenOptions::new().read(true).write(true).open(path)?,
        })
    }

    /// Writes RESET to `module` with the switch on. Returns how RESET failed, if it did,
    /// and whether the switch had come down to 0 by then.
    fn reset(&self, module: &mut File, on: &str) -> Result<(Option<ErrorKind>, bool)> {
        self.file.write_all_at(on.as_bytes(), 0)?;
        let written = module.write(b"RESET");
        let mut left = [0; 2];
        let read = self.file.read_at(&mut left, 0);
        let off = self.file.write_all_at(b"0", 0);
        // One of these two fails if its copying was the next to fail after RESET was over.
        let is_down = read.is_ok() && off.is_ok() && left == *b"0\n";
        Ok((written.err().map(|error| error.kind()), is_down))
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
    let _small = SysSetting::huge_pages("never")?; // collapses are another test's matter
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
        let (failure, is_down) = switch.reset(&mut module, &nth.to_string())?;
        // `fail-nth` also counts copies from user space: the command itself is the first.
        let message = match failure {
            None if !is_down => break, // not reached: all have had their turn
            None => {
                // It did without: then nothing may be missing.
                let duplicates = loaded.info.program(b"tester")?.duplicates;
                assert_eq!(duplicates, pages_in_groups(1200, 2), "allocation {nth}");
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
            let (failure, _) = switch.reset(&mut module, "1")?;
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
