// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers that are to be frozen.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Result};
use pagelens::Kind;
use rustix::process::{kill_process, Pid, Signal};

use super::Loaded;
use crate::pf_stat::start_cow;
use crate::pf_stat::stuck::{self, while_stuck};
use crate::support::{wait_until, Cgroup};

#[test]
fn a_call_that_waits_lets_itself_be_frozen_and_is_made_again_when_it_is_thawed() -> Result<()> {
    a_waiting_call_is_frozen_after(&[])
}

#[test]
fn a_call_that_waits_lets_itself_be_frozen_after_a_signal_that_the_caller_handles() -> Result<()> {
    a_waiting_call_is_frozen_after(&[Signal::ALARM])
}

fn a_waiting_call_is_frozen_after(signals: &[Signal]) -> Result<()> {
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
        let waits = || {
            wait_until("it waits in the call", || {
                Ok(fs::read_to_string(&call)?.starts_with(&number))
            })
        };
        waits()?;
        for signal in signals {
            kill_process(Pid::from_child(&caller), *signal)?;
            // Until it has woken up and waits again.
            std::thread::sleep(Duration::from_millis(100));
            waits()?;
        }
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
