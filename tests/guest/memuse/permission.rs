// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may ask about whom.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::Kind;
use rustix::thread::{capabilities, set_capabilities, CapabilitySet};
use workloads::Workload;

use super::{errno, Loaded};

const NOBODY: u32 = 65534;

/// A process of an ordinary user, killed when dropped.
struct Ordinary(Child);

impl Ordinary {
    fn start(uid: u32) -> Result<Self> {
        let child = Command::new("sleep")
            .arg("1000")
            .uid(uid)
            .gid(uid)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks as an ordinary user about each kind; whether all of it was answered, or all refused.
fn is_answered(pid: u32) -> Result<bool> {
    let mut answers = Vec::new();
    for kind in Kind::EACH {
        let output = Command::new("memuse-asm")
            .args([pid.to_string(), kind.number().to_string()])
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::null())
            .output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.success() || error.contains("Operation not permitted"),
            "{kind:?}: {error}"
        );
        answers.push(output.status.success());
    }
    ensure!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    Ok(answers[0])
}

#[test]
fn ordinary_users_may_ask_about_their_own_processes_only() -> Result<()> {
    let _loaded = Loaded::new()?;
    let root = Workload::start("holder", &["rw:00:1"])?;
    ensure!(!is_answered(root.pid())?, "root's process");
    ensure!(!is_answered(1)?, "init");
    ensure!(!is_answered(super::KTHREADD)?, "a kernel thread");
    let other = Ordinary::start(1000)?;
    ensure!(!is_answered(other.0.id())?, "another user's process");
    let own = Ordinary::start(NOBODY)?;
    ensure!(is_answered(own.0.id())?, "a process of the same user");
    Ok(())
}

#[test]
fn a_process_that_guards_itself_is_left_alone() -> Result<()> {
    let loaded = Loaded::new()?;
    let guarded = Guarded::start()?;
    ensure!(
        !is_answered(guarded.0.id())?,
        "a guarded process of the same user"
    );
    ensure!(
        loaded.call.bytes(guarded.0.id(), Kind::All)? > 0,
        "asked by root"
    );
    Ok(())
}

/// A `holder` of the ordinary user that let only the privileged look into it.
struct Guarded(Child);

impl Guarded {
    fn start() -> Result<Self> {
        use std::io::BufRead;
        let mut child = Command::new("holder")
            .arg("undumpable")
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.as_mut().context("no stdout")?;
        std::io::BufReader::new(output).read_line(&mut line)?;
        let guarded = Self(child);
        ensure!(line == "ready\n", "{line}");
        Ok(guarded)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn root_may_ask_about_others_because_of_its_capability() -> Result<()> {
    let loaded = Loaded::new()?;
    let other = Ordinary::start(1000)?;
    let pid = other.0.id() as i32;
    ensure!(loaded.call.raw(pid, 0)? > 0);
    // Capabilities are a thread's own.
    std::thread::scope(|scope| {
        let without = scope.spawn(|| -> Result<()> {
            let mut sets = capabilities(None)?;
            sets.effective.remove(CapabilitySet::SYS_PTRACE);
            sets.permitted.remove(CapabilitySet::SYS_PTRACE);
            set_capabilities(None, sets)?;
            for kind in Kind::EACH {
                assert_eq!(
                    errno(loaded.call.raw(pid, kind.number())),
                    Some(libc::EPERM)
                );
            }
            // Of its own process it may know.
            ensure!(loaded.call.bytes(std::process::id(), Kind::All)? > 0);
            Ok(())
        });
        without
            .join()
            .map_err(|_| anyhow::anyhow!("the thread panicked"))?
    })
}
