// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail. These need a kernel with fault injection (the lab's `debug`).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Result;
use workloads::SysSetting;

pub const FAILSLAB: &str = "/sys/kernel/debug/failslab";
pub const FAIL_PAGE_ALLOC: &str = "/sys/kernel/debug/fail_page_alloc";
const FAIL_USERCOPY: &str = "/sys/kernel/debug/fail_usercopy";

/// Whether this kernel can make allocations fail; says so if it cannot.
pub fn has_fault_injection() -> bool {
    let has = Path::new(FAILSLAB).is_dir() && Path::new(FAIL_PAGE_ALLOC).is_dir();
    if !has {
        println!("skipped: this kernel has no fault injection");
    }
    has
}

/// Lets the allocations that may sleep fail too, and the smallest.
pub fn widen() -> Result<Vec<SysSetting>> {
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

    /// Calls `action` with the switch on. Returns its result, and whether the switch had come down
    /// to 0 by then.
    pub fn during<T>(&self, on: &str, action: impl FnOnce() -> T) -> Result<(T, bool)> {
        self.file.write_all_at(on.as_bytes(), 0)?;
        let result = action();
        let mut left = [0; 2];
        let read = self.file.read_at(&mut left, 0);
        let off = self.file.write_all_at(b"0", 0);
        // One of these two fails if its copying was the next to fail after the action was over.
        let is_down = read.is_ok() && off.is_ok() && left == *b"0\n";
        Ok((result, is_down))
    }
}
