// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running programs.

use std::io::{BufRead, BufReader, Write};
use std::ops::{Deref, DerefMut};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process, waitid, Pid, Signal, WaitId, WaitIdOptions};

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn();
        Ok(Self(
            child.with_context(|| format!("starting {command:?}"))?,
        ))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to undo.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of this package that said `ready`. Dropping it kills it.
#[derive(Debug)]
pub struct Workload {
    child: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts `program` and waits for its `ready`.
    ///
    /// # Errors
    /// If it is not in `PATH` or ends without being ready.
    pub fn start<A: AsRef<str>>(program: &str, arguments: &[A]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments.iter().map(AsRef::as_ref));
        Self::start_command(command)
    }

    /// As [`Workload::start`], with what else `command` says.
    ///
    /// # Errors
    /// As there.
    pub fn start_command(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Running::start(&mut command)?;
        let input = child.stdin.take().context("the child has no stdin")?;
        let output = BufReader::new(child.stdout.take().context("the child has no stdout")?);
        let mut workload = Self {
            child,
            input,
            output,
        };
        let line = workload.line()?;
        ensure!(
            line == "ready",
            "{program} said `{line}` instead of `ready`"
        );
        Ok(workload)
    }

    /// Gives it one more step and returns its answer (what follows `ok`).
    ///
    /// # Errors
    /// If it ended, or could not do it.
    pub fn ask(&mut self, step: &str) -> Result<String> {
        writeln!(self.input, "{step}")?;
        let line = self.line()?;
        match line.strip_prefix("ok") {
            Some(answer) => Ok(answer.trim().to_owned()),
            None => bail!("`{step}`: {line}"),
        }
    }

    /// Gives it a line that it does not answer.
    ///
    /// # Errors
    /// If it ended.
    pub fn say(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.input, "{line}")?)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Stops it where it stands and waits until it does.
    ///
    /// # Errors
    /// If it has ended.
    pub fn stop(&self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        waitid(
            WaitId::Pid(pid),
            WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT,
        )?;
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line)?;
        ensure!(read > 0, "the program ended: {:?}", self.child.wait()?);
        Ok(line.trim_end().to_owned())
    }
}
