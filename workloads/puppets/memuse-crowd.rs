// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crowd that asks about a process: `memuse-crowd CALLERS PID TYPE`.
//!
//! Says `ready` when each of the callers has asked once and waits. At the next line of input all ask,
//! and go on asking until the process is killed.

use std::sync::{Arc, Barrier};

use anyhow::{bail, Context, Result};
use pagelens::Memuse;
use workloads::say;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [callers, pid, kind] = &arguments[..] else {
        bail!("usage: memuse-crowd CALLERS PID TYPE");
    };
    let callers: usize = callers.parse().context("CALLERS")?;
    let (pid, kind) = (pid.parse().context("PID")?, kind.parse().context("TYPE")?);
    let (ready, go) = (
        Arc::new(Barrier::new(callers + 1)),
        Arc::new(Barrier::new(callers + 1)),
    );
    for _ in 0..callers {
        let (ready, go) = (Arc::clone(&ready), Arc::clone(&go));
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                let call = Memuse::default();
                // From now on its stack has all the pages that it will need. This type is quick.
                let _ = call.raw(pid, abi::memuse::KERNEL_STACK);
                ready.wait();
                go.wait();
                loop {
                    let _ = std::hint::black_box(call.raw(pid, kind));
                }
            })?;
    }
    ready.wait();
    say("ready")?;
    std::io::stdin().read_line(&mut String::new())?;
    go.wait();
    loop {
        std::thread::park();
    }
}
