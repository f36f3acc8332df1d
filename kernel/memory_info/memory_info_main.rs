// SPDX-License-Identifier: GPL-2.0
//! `/proc/memory_info`: what each program name really holds, and which of its read-only pages are
//! duplicates.
//!
//! A snapshot of all processes is taken when the module is loaded and at `RESET`; the other
//! commands look at it or thin it out. `docs/memory_info-internals.md` explains the structures,
//! the locks and the cost; what the figures mean stands in `model::memory_info`.
#![deny(unsafe_code)]

mod file;
mod list;
mod pages;
mod snapshot;

use kernel::prelude::*;
use kx_proc::procfile::ProcFile;

module! {
    type: MemoryInfo,
    name: "memory_info",
    authors: ["Pagelens developers"],
    description: "Memory of each program name and its duplicate read-only pages, in /proc/memory_info",
    license: "GPL",
}

kx_param::bool_param! {
    /// Whether a command that fails makes its `write` fail.
    static ERRNO: errno = true;
    "Fail the write of a command that fails (default: Y); with N only the file tells"
}

kx_param::measure! {
    /// For how long the last `RESET` held the mmap lock of a process at a stretch, at most.
    static LONGEST_LOCK_NS: longest_lock_ns;
    "Longest time for which the last RESET held an mmap lock at a stretch, in ns (read-only)"
}

kx_param::measure! {
    /// How often the last `RESET`, in its last look at each name, met a page that was freed or
    /// moved meanwhile. Those that moved are missing among the duplicates.
    static UNSETTLED: unsettled;
    "Pages that the last RESET could not compare, as they were freed or moved meanwhile (read-only)"
}

kx_param::measure! {
    /// How many processes the last `RESET`, in its last look at each name, left out: nobody got their
    /// mmap lock, or they moved their areas about so that there was no end of them.
    static LEFT_OUT: left_out;
    "Processes that the last RESET left out, as it could not look at them in time (read-only)"
}

struct MemoryInfo {
    _file: ProcFile<file::MemoryInfoFile>,
}

impl kernel::Module for MemoryInfo {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let handler = file::MemoryInfoFile::new()?;
        Ok(Self {
            _file: ProcFile::new(c"memory_info", 0o600, handler)?,
        })
    }
}
