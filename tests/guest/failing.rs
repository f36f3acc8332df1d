// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail. These need a kernel with fault injection (the lab's `debug`).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{ensure, Result};
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
