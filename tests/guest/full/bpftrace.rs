// SPDX-License-Identifier: MIT OR Apache-2.0
//! bpftrace on the function behind our calls, coming before us and going before us, and the reverse.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::Memuse;
use workloads::Module;

/// The two ways in which bpftrace watches a function that the kernel does not describe in BTF.
const SCRIPT: &str = "BEGIN { printf(\"ready\\n\"); } \
    kprobe:__x64_sys_ni_syscall { @kprobe = count(); } \
    kretprobe:__x64_sys_ni_syscall { @kretprobe = count(); }";

struct Bpftrace(Child);

impl Bpftrace {
    fn start() -> Result<Self> {
        let mut child = Command::new("bpftrace")
            .args(["-e", SCRIPT])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.as_mut().context("no output")?;
        let mut lines = BufReader::new(output).lines();
        ensure!(
            lines.any(|line| line.is_ok_and(|line| line == "ready")),
            "bpftrace ended without being ready"
        );
        Ok(Self(child))
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers() -> bool {
    Memuse::default().raw(1, 0).is_ok()
}

#[test]
fn bpftrace_comes_and_goes_while_we_do() -> Result<()> {
    for (is_first_in, is_first_out) in [(true, true), (true, false), (false, true), (false, false)]
    {
        let early = is_first_in.then(Bpftrace::start).transpose()?;
        let module = Module::load("memuse", &[])?;
        ensure!(answers());
        let bpftrace = early.map_or_else(Bpftrace::start, Ok)?;
        ensure!(answers());
        if is_first_out {
            drop(bpftrace);
            ensure!(answers());
            module.unload()?;
        } else {
            module.unload()?;
            ensure!(!answers());
            drop(bpftrace);
        }
        ensure!(!answers());
    }
    Ok(())
}
