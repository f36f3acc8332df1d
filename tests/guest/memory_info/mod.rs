// SPDX-License-Identifier: MIT OR Apache-2.0
//! `memory_info`: the document, the meaning of the figures, the interface, and the weather.

mod document;
mod faults;
mod interface;
mod ksm;
mod meaning;
mod namespaces;
mod neighbours;
mod oracle;
mod readers;
mod storms;
mod stuck;

use anyhow::{ensure, Context, Result};
use pagelens::{Duplicates, MemoryInfo, Program};
use workloads::process::rest;
use workloads::{KernelLog, Module, Workload};

/// The loaded module and its open file. The file is closed first.
struct Loaded {
    info: MemoryInfo,
    _module: Module,
}

impl Loaded {
    fn new() -> Result<Self> {
        let module = Module::load("memory_info", &[])?;
        Ok(Self {
            info: MemoryInfo::open()?,
            _module: module,
        })
    }

    /// A fresh snapshot's line for `name`.
    fn now(&mut self, name: &str) -> Result<Program> {
        self.info.reset()?;
        Ok(self.info.program(name.as_bytes())?)
    }
}

/// The lines with which the module reported errors since the last call.
fn errors_in(log: &mut KernelLog) -> Result<Vec<String>> {
    let messages = log.messages()?.into_iter();
    let errors = messages.filter(|(_, text)| text.contains("[ERROR]"));
    let line = |(level, text)| {
        ensure!(level == 3, "level {level}: {text}");
        Ok(text)
    };
    errors.map(line).collect()
}

fn pages_in_groups(pages: u64, groups: u64) -> Duplicates {
    Duplicates { pages, groups }
}

/// A `holder` at rest that runs under another name.
fn holder(name: &str, steps: &[&str]) -> Result<Workload> {
    let holder = Workload::start("holder", &[&["--name", name], steps].concat())?;
    rest(holder.pid())?;
    Ok(holder)
}

/// A `tester` at rest.
fn tester(arguments: &[&str]) -> Result<Workload> {
    let tester = Workload::start("tester", arguments)?;
    rest(tester.pid())?;
    Ok(tester)
}

/// The sums of `total` and RSS that `/proc/PID/statm` has for these processes.
fn statm(pids: impl IntoIterator<Item = u32>) -> Result<(u64, u64)> {
    let mut sum = (0, 0);
    for pid in pids {
        let process = procfs::process::Process::new(i32::try_from(pid)?)?;
        let statm = process.statm().with_context(|| format!("statm of {pid}"))?;
        sum = (sum.0 + statm.size, sum.1 + statm.resident);
    }
    Ok(sum)
}
