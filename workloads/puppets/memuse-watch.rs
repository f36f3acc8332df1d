// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks about a process again and again until it is refused: `memuse-watch PID TYPE`.
//!
//! Says `ready` after the first answer; at the end the least of the answers, in bytes.

use anyhow::{bail, ensure, Context, Result};
use pagelens::Memuse;
use workloads::say;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pid, kind] = &arguments[..] else {
        bail!("usage: memuse-watch PID TYPE");
    };
    let (pid, kind) = (pid.parse().context("PID")?, kind.parse().context("TYPE")?);
    let call = Memuse::new();
    let mut least = call.raw(pid, kind)?;
    say("ready")?;
    let error = loop {
        match call.raw(pid, kind) {
            Ok(bytes) => least = least.min(bytes),
            Err(error) => break error.raw_os_error(),
        }
    };
    ensure!(
        error == Some(libc::EPERM) || error == Some(libc::ESRCH),
        "{error:?}"
    );
    say(&least.to_string())
}
