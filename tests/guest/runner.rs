// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the tests: each in a process of its own, with a limit, and with a word for those that this
//! kernel cannot run.
//!
//! | arguments | what happens |
//! |---|---|
//! | `--list [PART…]` | the names that contain one of these, or all names, one per line |
//! | `NAME…` | these tests run one after the other |
//!
//! | variable | meaning |
//! |---|---|
//! | `PAGELENS_KERNEL` | the lab's name of the kernel: says which tests may be skipped |
//! | `PAGELENS_TEST_SECONDS` | how long a test may take |

use std::env;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process_group, pidfd_open, Pid, PidfdFlags, Signal};

/// One that `#[test]` entered into the list.
pub struct Test {
    pub name: &'static str,
    pub run: fn() -> Result<()>,
}

inventory::collect!(Test);

impl Test {
    /// Its name without the crate's.
    fn path(&self) -> &'static str {
        self.name
            .split_once("::")
            .map_or(self.name, |(_, path)| path)
    }
}

/// What a test may return.
pub trait Answer {
    fn answer(self) -> Result<()>;
}

impl Answer for () {
    fn answer(self) -> Result<()> {
        Ok(())
    }
}

impl Answer for Result<()> {
    fn answer(self) -> Result<()> {
        self
    }
}

/// Why a test does not run on this kernel.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(&'static str);

/// Ends a test that this kernel cannot run. It fails instead on a kernel that is not among `kernels`,
/// where the reason must not occur.
pub fn skip<T>(reason: &'static str, kernels: &[&str]) -> Result<T> {
    let kernel = env::var("PAGELENS_KERNEL").context("PAGELENS_KERNEL is not set")?;
    ensure!(
        kernels.contains(&kernel.as_str()),
        "must not be skipped on {kernel}, but {reason}"
    );
    Err(Skipped(reason).into())
}

/// Names the test to be run in this process.
const CHILD: &str = "PAGELENS_TEST";

/// The exit status of a test that was skipped; its last line is the reason.
const SKIPPED: i32 = 77;

/// How long a killed test may take to go.
const TO_GO: Duration = Duration::from_secs(20);

pub fn main() -> Result<ExitCode> {
    let mut tests: Vec<&'static Test> = inventory::iter::<Test>.into_iter().collect();
    tests.sort_by_key(|test| test.name);
    let declared: usize = env!("GUEST_TESTS").parse()?;
    ensure!(
        tests.len() == declared,
        "the sources declare {declared} tests, but {} are in the list",
        tests.len()
    );
    if let Ok(name) = env::var(CHILD) {
        let test = tests.iter().find(|test| test.path() == name);
        return Ok(run_here(test.with_context(|| format!("no test {name}"))?));
    }
    let names: Vec<&'static str> = tests.iter().map(|test| test.path()).collect();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--list", ref parts @ ..] => {
            let is_wanted =
                |name: &&&str| parts.is_empty() || parts.iter().any(|part| name.contains(part));
            let matching = names.iter().filter(is_wanted);
            matching.for_each(|name| println!("{name}"));
            Ok(ExitCode::SUCCESS)
        }
        _ => run_all(&names, &words),
    }
}

/// Runs those of the tests that are wanted, one after the other.
fn run_all(names: &[&'static str], wanted: &[&str]) -> Result<ExitCode> {
    let limit = Duration::from_secs(env::var("PAGELENS_TEST_SECONDS")?.parse()?);
    let names = names.iter().copied().filter(|name| wanted.contains(name));
    let trials: Vec<Trial> = names
        .map(|name| Trial::ignorable_test(name, move || run_apart(name, limit)))
        .collect();
    ensure!(
        trials.len() == wanted.len(),
        "some of these tests do not exist"
    );
    let one_by_one = Arguments {
        test_threads: Some(1),
        ..Arguments::default()
    };
    Ok(libtest_mimic::run(&one_by_one, trials).exit_code())
}

fn run_here(test: &Test) -> ExitCode {
    match (test.run)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Skipped>() {
            Some(reason) => {
                println!("{reason}");
                ExitCode::from(SKIPPED as u8)
            }
            None => {
                eprintln!("Error: {error:?}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run_apart(name: &str, limit: Duration) -> Result<Completion, Failed> {
    let (status, output) = run_to_its_end(name, limit).map_err(|error| format!("{error:#}"))?;
    match status.code() {
        Some(0) => Ok(Completion::Completed),
        Some(SKIPPED) => Ok(Completion::ignored_with(
            output.lines().last().unwrap_or_default(),
        )),
        _ => Err(format!("{output}\n({status})").into()),
    }
}

/// How it ended, and all that was printed.
fn run_to_its_end(name: &str, limit: Duration) -> Result<(ExitStatus, String)> {
    let fd = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut output = File::from(fd);
    let mut child = Command::new("/proc/self/exe")
        .env(CHILD, name)
        .process_group(0)
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()?;
    let group = Pid::from_child(&child);
    let waited_for = match ends_within(&child, limit)? {
        true => None,
        false => Some(what_holds(group)),
    };
    // A test that failed may have left programs behind.
    let _ = kill_process_group(group, Signal::KILL);
    let mut text = String::new();
    if let Some(waited_for) = waited_for {
        ensure!(
            ends_within(&child, TO_GO)?,
            "it cannot be killed:\n{waited_for}"
        );
        child.wait()?;
        read_all(&mut output, &mut text)?;
        bail!(
            "{text}\nstill running after {} s:\n{waited_for}",
            limit.as_secs()
        );
    }
    let status = child.wait()?;
    read_all(&mut output, &mut text)?;
    Ok((status, text))
}

fn read_all(output: &mut File, text: &mut String) -> Result<()> {
    output.rewind()?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    text.push_str(String::from_utf8_lossy(&bytes).trim_end());
    Ok(())
}

fn ends_within(child: &Child, limit: Duration) -> Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit)?;
    let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit))?;
    Ok(ready > 0)
}

/// Where each thread of a process group is in the kernel.
fn what_holds(group: Pid) -> String {
    let mut text = String::new();
    for process in procfs::process::all_processes()
        .into_iter()
        .flatten()
        .flatten()
    {
        let is_of_group = |stat: procfs::process::Stat| stat.pgrp == group.as_raw_nonzero().get();
        if !process.stat().is_ok_and(is_of_group) {
            continue;
        }
        for task in process.tasks().into_iter().flatten().flatten() {
            let file = |name: &str| {
                let path = format!("/proc/{}/task/{}/{name}", task.pid, task.tid);
                let read = std::fs::read_to_string(path).unwrap_or_default();
                read.trim_end().replace('\n', "\n    ")
            };
            text.push_str(&format!(
                "{} {}: system call {}\n    {}\n",
                task.tid,
                file("comm"),
                file("syscall"),
                file("stack")
            ));
        }
    }
    text
}
