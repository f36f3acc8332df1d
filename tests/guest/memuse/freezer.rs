// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers that are to be frozen.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{ensure, Result};
use pagelens::Kind;

use super::Loaded;
use crate::pf_stat::start_cow;
use crate::pf_stat::stuck::{self, while_stuck};
use crate::support::{wait_until, Cgroup};

#[test]
fn a_call_that_waits_lets_itself_be_frozen_and_is_made_again_when_it_is_thawed() -> Result<()> {
    if !stuck::can_be() {
        return stuck::skip();
    }
    let loaded = Loaded::new()?;
    let group = Cgroup::new("memuse-freezer")?;
    let mut cow = start_cow()?;
    let pid = cow.pid();
    let caller = while_stuck(&mut cow, || {
        let script = format!(
            "echo $$ > {} && exec memuse-asm {pid} {}",
            group.file("cgroup.procs").display(),
            Kind::All.number()
        );
        let caller = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .spawn()?;
        let call = format!("/proc/{}/syscall", caller.id());
        let number = format!("{} ", abi::memuse::NR);
        wait_until("it waits in the call", || {
            Ok(fs::read_to_string(&call)?.starts_with(&number))
        })?;
        group.freeze(true)?;
        Ok(caller)
    })?;
    group.freeze(false)?;
    let output = caller.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the call failed: {}",
        output.status
    );
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = loaded.call.bytes(pid, Kind::All)?;
    assert_eq!(answer.trim(), expected.to_string());
    Ok(())
}
