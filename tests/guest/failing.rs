// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail. These need a kernel with fault injection (the lab's `debug`).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use workloads::SysSetting;

use crate::runner::skip;

pub const FAILSLAB: &str = "/sys/kernel/debug/failslab";
pub const FAIL_PAGE_ALLOC: &str = "/sys/kernel/debug/fail_page_alloc";
const FAIL_USERCOPY: &str = "/sys/kernel/debug/fail_usercopy";

/// More allocations than anything makes that is tested here.
const WITHOUT_END: usize = 100_000;

/// The kernels that are built without it.
const WITHOUT: [&str; 5] = ["stock", "rt", "next", "cloud", "testing"];

/// Lets the allocations that may sleep fail too, and the smallest, until the result is dropped. Skips
/// the test on kernels that cannot make any fail.
pub fn widen() -> Result<Vec<SysSetting>> {
    if !Path::new(FAILSLAB).is_dir() || !Path::new(FAIL_PAGE_ALLOC).is_dir() {
        return skip("this kernel has no fault injection", &WITHOUT);
    }
    [
        (FAILSLAB, "ignore-gfp-wait", "N"),
        (FAIL_PAGE_ALLOC, "ignore-gfp-wait", "N"),
        (FAIL_PAGE_ALLOC, "ignore-gfp-highmem", "N"),
        (FAIL_PAGE_ALLOC, "min-order", "0"),
        (FAILSLAB, "verbose", "0"),
        (FAIL_PAGE_ALLOC, "verbose", "0"),
        (FAIL_USERCOPY, "verbose", "0"),
    ]
    .into_iter()
    .map(|(folder, file, value)| SysSetting::set(format!("{folder}/{file}"), value))
    .collect()
}

/// Calls `action` with its first allocation failing, then with its second, and so on until it needs
/// no more. `check` judges each result. Returns how many calls failed.
///
/// Copies from and to user memory count as allocations.
pub fn each_allocation<T, E>(
    mut action: impl FnMut() -> Result<T, E>,
    mut check: impl FnMut(usize, Result<T, E>) -> Result<()>,
) -> Result<u32> {
    let switch = Switch::open("fail-nth")?;
    let mut failures = 0;
    for nth in 1..WITHOUT_END {
        let (result, left) = switch.during(&nth.to_string(), &mut action)?;
        let has_failed = result.is_err();
        check(nth, result)?;
        match has_failed {
            true => failures += 1,
            false if left > 0 => return Ok(failures), // the nth was not reached
            false => {}                               // the kernel did without
        }
    }
    bail!("it allocates without end")
}

/// Calls `action` while allocations of one kind fail at one rate, for several kinds and rates, each
/// of which it is told. They fail only while the calling thread's `make-it-fail` is on.
pub fn at_each_rate(mut action: impl FnMut(&str) -> Result<()>) -> Result<()> {
    for folder in [FAILSLAB, FAIL_PAGE_ALLOC] {
        for percent in ["1", "10", "50"] {
            let _rate = Rate::set(folder, percent)?;
            action(&format!("{folder} {percent} %"))?;
        }
    }
    Ok(())
}

/// Allocations fail at this rate until it is dropped.
pub struct Rate {
    // The filter is set first and dropped last: else the whole guest is short of memory.
    _probability: SysSetting,
    _times: SysSetting,
    _filter: SysSetting,
}

impl Rate {
    /// Sets it for the kind of allocations that `folder` is about.
    pub fn set(folder: &str, percent: &str) -> Result<Self> {
        let set = |file, value| SysSetting::set(format!("{folder}/{file}"), value);
        let filter = set("task-filter", "Y")?;
        let times = set("times", "-1")?;
        Ok(Self {
            _probability: set("probability", percent)?,
            _times: times,
            _filter: filter,
        })
    }
}

/// Only what is called by a function of the kernel fails, until the result is dropped.
///
/// For failures that the kernel itself does not bear: it warns, for instance, if an allocation of
/// its fails while a module is loaded.
pub fn only_within(folder: &str, function: &str) -> Result<Vec<SysSetting>> {
    callers(folder, function, ["require-start", "require-end"])
}

/// The same for what is not called by it.
pub fn not_within(folder: &str, function: &str) -> Result<Vec<SysSetting>> {
    callers(folder, function, ["reject-start", "reject-end"])
}

fn callers(folder: &str, function: &str, files: [&str; 2]) -> Result<Vec<SysSetting>> {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let mut addresses = Vec::new();
    let mut start = None;
    for line in symbols.lines() {
        let mut words = line.split(' ');
        let (Some(address), Some(name)) = (words.next(), words.nth(1)) else {
            continue;
        };
        let address = u64::from_str_radix(address, 16)?;
        if name == function {
            start = Some(address);
        }
        addresses.push(address);
    }
    let start = start.with_context(|| format!("the kernel has no {function}"))?;
    let end = addresses
        .into_iter()
        .filter(|address| *address > start)
        .min();
    let end = end.context("it is the kernel's last function")?;
    let [start_file, end_file] = files;
    [
        ("stacktrace-depth", "32".to_owned()),
        (start_file, format!("{start:#x}")),
        (end_file, format!("{end:#x}")),
    ]
    .into_iter()
    .map(|(file, value)| SysSetting::set(format!("{folder}/{file}"), &value))
    .collect()
}

/// This thread's own switch for failing allocations: `fail-nth` or `make-it-fail`.
///
/// It is opened beforehand, as opening would allocate too.
pub struct Switch {
    file: File,
}

impl Switch {
    /// Opens that of the calling thread.
    pub fn open(name: &str) -> Result<Self> {
        let path = format!("/proc/thread-self/{name}");
        Ok(Self {
            file: OpenOptions::new().read(true).write(true).open(path)?,
        })
    }

    /// Calls `action` with the switch on. Returns its result and what the switch then showed: 0 if
    /// it was used up.
    pub fn during<T>(&self, on: &str, action: impl FnOnce() -> T) -> Result<(T, usize)> {
        self.file.write_all_at(on.as_bytes(), 0)?;
        let result = action();
        let mut shown = [0; 16];
        let read = self.file.read_at(&mut shown, 0);
        let off = self.file.write_all_at(b"0", 0);
        // The switch lets copies from and to user memory fail too, hence possibly one of these two:
        // then it was not used up before, but is now.
        let left = match read {
            Err(error) if is_bad_address(&error) => 1,
            read => std::str::from_utf8(&shown[..read?])?.trim().parse()?,
        };
        match off {
            Err(error) if is_bad_address(&error) => ensure!(left > 0, "it failed twice"),
            off => off?,
        }
        Ok((result, left))
    }
}

fn is_bad_address(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::EFAULT)
}
