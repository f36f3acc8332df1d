// SPDX-License-Identifier: MIT OR Apache-2.0
//! bpftrace on the function behind our calls, coming before us and going before us, and the reverse.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::Memuse;
use workloads::{Module, Running};

/// The two ways in which bpftrace watches a function that the kernel does not describe in BTF.
const SCRIPT: &str = "BEGIN { printf(\"ready\\n\"); } \
    kprobe:__x64_sys_ni_syscall { @kprobe = count(); } \
    kretprobe:__x64_sys_ni_syscall { @kretprobe = count(); }";

/// Starts it and waits until its probes are attached.
fn bpftrace() -> Result<Running> {
    let mut bpftrace = Running::start(
        Command::new("bpftrace")
            .args(["-e", SCRIPT])
            .stdout(Stdio::piped()),
    )?;
    let output = bpftrace.stdout.as_mut().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    ensure!(
        lines.any(|line| line.is_ok_and(|line| line == "ready")),
        "bpftrace ended without being ready"
    );
    Ok(bpftrace)
}

fn answers() -> bool {
    Memuse::default().raw(1, 0).is_ok()
}

#[test]
fn bpftrace_comes_and_goes_while_we_do() -> Result<()> {
    for (is_first_in, is_first_out) in [(true, true), (true, false), (false, true), (false, false)]
    {
        let first = is_first_in.then(bpftrace).transpose()?;
        let module = Module::load("memuse", &[])?;
        ensure!(answers());
        let watcher = first.map_or_else(bpftrace, Ok)?;
        ensure!(answers());
        if is_first_out {
            drop(watcher);
            ensure!(answers());
            module.unload()?;
        } else {
            module.unload()?;
            ensure!(!answers());
            drop(watcher);
        }
        ensure!(!answers());
    }
    Ok(())
}
