// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may ask about whom.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{bail, ensure, Context, Result};
use pagelens::Kind;
use rustix::thread::{capabilities, set_capabilities, CapabilitySet};
use workloads::{Running, Workload};

use super::{errno, Loaded};
use crate::support::{is_long, shell_output, wait_until};

const NOBODY: u32 = 65534;

/// Starts a process of an ordinary user.
fn ordinary(uid: u32) -> Result<Running> {
    Running::start(Command::new("sleep").arg("1000").uid(uid).gid(uid))
}

/// Asks as an ordinary user about each kind; whether all of it was answered, or all refused.
fn is_answered(pid: u32) -> Result<bool> {
    is_answered_by(&["memuse-asm"], pid)
}

/// The same for a program with its first arguments.
fn is_answered_by(program: &[&str], pid: u32) -> Result<bool> {
    let mut answers = Vec::new();
    for kind in Kind::EACH {
        let output = Command::new(program[0])
            .args(&program[1..])
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
    let other = ordinary(1000)?;
    ensure!(!is_answered(other.pid())?, "another user's process");
    let own = ordinary(NOBODY)?;
    ensure!(is_answered(own.pid())?, "a process of the same user");
    let from_within = ["unshare", "-U", "memuse-asm"];
    ensure!(
        !is_answered_by(&from_within, own.pid())?,
        "a process of the same user outside of the caller's user namespace"
    );
    Ok(())
}

#[test]
fn a_process_that_guards_itself_is_left_alone() -> Result<()> {
    let loaded = Loaded::new()?;
    let guarded = guarded()?;
    ensure!(
        !is_answered(guarded.pid())?,
        "a guarded process of the same user"
    );
    ensure!(
        loaded.call.bytes(guarded.pid(), Kind::All)? > 0,
        "asked by root"
    );
    Ok(())
}

/// Starts a `holder` of the ordinary user that lets only the privileged look into it.
fn guarded() -> Result<Running> {
    let mut child = Running::start(
        Command::new("holder")
            .arg("undumpable")
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    )?;
    let mut line = String::new();
    let output = child.stdout.as_mut().context("no stdout")?;
    BufReader::new(output).read_line(&mut line)?;
    ensure!(line == "ready\n", "{line}");
    Ok(child)
}

#[test]
fn root_may_ask_about_others_because_of_its_capability() -> Result<()> {
    let loaded = Loaded::new()?;
    let other = ordinary(1000)?;
    let pid = other.pid() as i32;
    ensure!(loaded.call.raw(pid, 0)? > 0);
    // Capabilities are a thread's own.
    std::thread::scope(|scope| {
        let without = scope.spawn(|| -> Result<()> {
            let mut sets = capabilities(None)?;
            sets.effective.remove(CapabilitySet::SYS_PTRACE);
            sets.permitted.remove(CapabilitySet::SYS_PTRACE);
            set_capabilities(None, sets)?;
            for kind in Kind::EACH {
                assert_eq!(errno(loaded.call.raw(pid, kind.number())), libc::EPERM);
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

/// A program of root's that runs as root whoever starts it.
struct SetUserId(PathBuf);

impl SetUserId {
    fn new() -> Result<Self> {
        let path = PathBuf::from("/tmp/set-user-id-holder");
        let found = shell_output("command -v holder")?;
        std::fs::copy(found.trim(), &path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o4755))?;
        Ok(Self(path))
    }
}

impl Drop for SetUserId {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A program of an ordinary user whose input and output are pipes.
struct Piped {
    child: Running,
    output: BufReader<ChildStdout>,
}

impl Piped {
    /// Starts it and waits until it is ready.
    fn start<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<Self> {
        let mut child = Running::start(
            Command::new(program)
                .args(arguments)
                .uid(NOBODY)
                .gid(NOBODY)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut piped = Self { child, output };
        piped.wait_for("ready")?;
        Ok(piped)
    }

    fn say(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no stdin")?;
        Ok(writeln!(input, "{line}")?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the program ended");
        Ok(line.trim_end().to_owned())
    }

    /// Waits for a line; other steps than the last may have been done meanwhile.
    fn wait_for(&mut self, wanted: &str) -> Result<()> {
        loop {
            match self.line()?.as_str() {
                line if line == wanted => return Ok(()),
                "ok" => {}
                line => bail!("`{line}` instead of `{wanted}`"),
            }
        }
    }
}

/// Whoever may look into a program may not look into what it becomes, however it does.
#[test]
fn nobody_sees_the_set_user_id_program_that_another_thread_becomes() -> Result<()> {
    const PAGES: u64 = 20_000;
    let _loaded = Loaded::new()?;
    let program = SetUserId::new()?;
    let path = program.0.display();
    for round in 0..if is_long() { 300 } else { 10 } {
        for (how, becomes) in [
            (format!("execute:{path}"), ""),
            (format!("leave:{path}"), "now"),
        ] {
            let mut holder = Piped::start("holder", &[format!("rw:bb:{PAGES}")])?;
            let pid = holder.child.pid();
            if !becomes.is_empty() {
                holder.say(&how)?;
                holder.wait_for("ok")?;
                wait_until("the first thread has ended", || {
                    Ok(workloads::process::state(pid)? == 'Z')
                })?;
            }
            // Not a part of it: a new thread's stack may merge with what is type 5 until then.
            let kind = Kind::All.number().to_string();
            let mut watch = Piped::start("memuse-watch", &[pid.to_string(), kind])?;
            holder.say(if becomes.is_empty() { &how } else { becomes })?;
            holder.wait_for("ready")?;
            let least: u64 = watch.line()?.parse()?;
            ensure!(
                least >= PAGES * super::PAGE,
                "round {round}, {how}: {least} bytes of the privileged program"
            );
        }
    }
    Ok(())
}
