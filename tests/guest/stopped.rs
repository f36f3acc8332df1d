// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real programs that stand still.

use std::process::{Child, Command, Stdio};

use anyhow::Result;
use rustix::process::{kill_process, waitid, Pid, Signal, WaitId, WaitIdOptions};
use workloads::process::state;

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

/// A stopped process that is killed when dropped.
pub struct Stopped(Child);

impl Stopped {
    /// Starts a program, lets it come to rest and stops it.
    pub fn start(command: &[&str]) -> Result<Self> {
        let child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let stopped = Self(child);
        let pid = stopped.0.id();
        // At rest twice in a row: not merely waiting for its own pages.
        let mut rests = 0;
        wait_until("the program rests", || {
            let is_execed =
                std::fs::read_to_string(format!("/proc/{pid}/comm"))?.trim() == command[0];
            rests = if is_execed && state(pid)? == 'S' {
                rests + 1
            } else {
                0
            };
            Ok(rests > 5)
        })?;
        let pid = Pid::from_child(&stopped.0);
        kill_process(pid, Signal::STOP)?;
        waitid(
            WaitId::Pid(pid),
            WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT,
        )?;
        Ok(stopped)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
