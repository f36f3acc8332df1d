// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memuse`: the document, each kind against `/proc`, the interface, and the weather.

mod crowds;
mod document;
mod faults;
mod freezer;
mod interface;
mod kinds;
mod neighbours;
mod permission;
mod storms;

use anyhow::{Context, Result};
use pagelens::proc;
use pagelens::{Kind, Memuse, PAGE_SIZE};
use workloads::Module;

use crate::support::errno;

const PAGE: u64 = PAGE_SIZE as u64;
/// The kernel's first thread, which has one kernel stack and no memory.
const KTHREADD: u32 = 2;

/// The loaded module and its call.
struct Loaded {
    call: Memuse,
    _module: Module,
}

impl Loaded {
    fn new() -> Result<Self> {
        let module = Module::load("memuse", &[])?;
        Ok(Self {
            call: Memuse::new(),
            _module: module,
        })
    }

    /// Pages of a kind.
    fn pages(&self, pid: u32, kind: Kind) -> Result<u64> {
        let bytes = self.call.bytes(pid, kind)?;
        anyhow::ensure!(bytes % PAGE == 0, "{kind:?}: {bytes} bytes");
        Ok(bytes / PAGE)
    }

    /// Fails unless every kind is what `/proc` says of a process that is stopped.
    fn check(&self, pid: u32) -> Result<()> {
        let process = procfs::process::Process::new(i32::try_from(pid)?)?;
        let name = process.stat()?.comm;
        let ours = |kind| self.call.bytes(pid, kind);
        for kind in Kind::EACH {
            let theirs = match kind {
                Kind::KernelStack => process.stat()?.num_threads as u64 * self.kernel_stack()?,
                _ => proc::kinds::bytes(pid, kind)?,
            };
            assert_eq!(ours(kind)?, theirs, "{kind:?} of {name}");
        }
        let parts: Vec<u64> = Kind::PARTS
            .into_iter()
            .map(ours)
            .collect::<Result<_, _>>()?;
        assert_eq!(
            parts.iter().sum::<u64>(),
            ours(Kind::All)?,
            "parts of {name}"
        );
        let resident = process.statm().context("statm")?.resident;
        assert_eq!(ours(Kind::All)?, resident * PAGE, "RSS of {name}");
        Ok(())
    }

    /// Bytes of one kernel stack, which differ by the kernel's configuration.
    fn kernel_stack(&self) -> Result<u64> {
        Ok(self.call.bytes(KTHREADD, Kind::KernelStack)?)
    }
}

/// The numbers that name entries of a folder: processes, or threads.
fn numbers_in(folder: &str) -> Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        numbers.extend(entry?.file_name().to_string_lossy().parse::<i32>());
    }
    Ok(numbers)
}
