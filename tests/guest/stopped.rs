// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real programs that stand still.

use std::process::{Command, Stdio};

use anyhow::Result;
use rustix::process::{kill_process, waitid, Pid, Signal, WaitId, WaitIdOptions};
use workloads::process::rest;
use workloads::Running;

use crate::support::wait_until;

/// Programs that do not fork, so that `/proc` tells all (see `pagelens::proc`): they wait
/// for input or for time. Several are there more than once.
pub const PROGRAMS: &[&[&str]] = &[
    &["sleep", "1000"],
    &["sleep", "2000"],
    &["sleep", "3000"],
    &["cat"],
    &["cat"],
    &["sort"],
    &["uniq"],
    &["awk", "{ print }"],
    &["sed", "p"],
    &["grep", "x"],
    &["tail", "-f", "/dev/null"],
    &["bc"],
    &["tr", "a", "b"],
    &["cut", "-c1"],
    &["head"],
    &["sh"],
    &["sh"],
    &["wc"],
    &["md5sum"],
    &["tester", "500", "3"],
    &["tester", "200", "4"],
];

/// Starts a program, lets it come to rest and stops it.
pub fn start(command: &[&str]) -> Result<Running> {
    let stopped = Running::start(
        Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::null()),
    )?;
    let pid = stopped.pid();
    wait_until("the program is executed", || {
        Ok(std::fs::read_to_string(format!("/proc/{pid}/comm"))?.trim() == command[0])
    })?;
    rest(pid)?;
    let pid = Pid::from_child(&stopped);
    kill_process(pid, Signal::STOP)?;
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT,
    )?;
    Ok(stopped)
}
