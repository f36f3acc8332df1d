// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module refuses, with which errno and words; and what it does not tell.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{ensure, Context, Result};
use pagelens::layout::{Question, What};
use rustix::process::{waitid, Pid, WaitId, WaitIdOptions};
use workloads::{layout_of, module, KernelLog, Module, Workload, VM_LAYOUT};

use crate::support::{errno, shell_output};

const ESRCH: i32 = 3;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;

/// Loads with `parameters`, expects `errno`, and returns what the module logged.
fn refused(parameters: &str, errno: i32) -> Result<String> {
    let mut log = KernelLog::from_now()?;
    let error = match module::insert("vm_layout", parameters) {
        Ok(()) => {
            module::remove("vm_layout")?;
            anyhow::bail!("`{parameters}` was accepted");
        }
        Err(error) => error,
    };
    assert_eq!(error.raw_os_error(), Some(errno), "{parameters}: {error}");
    let lines: Vec<_> = log
        .messages()?
        .into_iter()
        .filter(|(_, text)| text.starts_with("vm_layout: "))
        .collect();
    assert!(lines.iter().any(|(level, _)| *level == 3), "{lines:?}");
    let texts: Vec<_> = lines.into_iter().map(|(_, text)| text).collect();
    Ok(texts.join("\n"))
}

#[test]
fn without_a_pid_it_says_how_it_is_used() -> Result<()> {
    for parameters in ["", "unmask=1", "pid=0", "pid=-1"] {
        let said = refused(parameters, EINVAL)?;
        assert!(
            said.contains("usage: insmod vm_layout.ko pid=PID"),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn a_pid_of_no_process_is_esrch() -> Result<()> {
    let said = refused("pid=2147483647", ESRCH)?;
    assert!(said.contains("no process has pid 2147483647"), "{said}");
    // Another thread than the first of a process has a number too, but is no process.
    let thread = std::thread::spawn(|| {
        let number = rustix::thread::gettid().as_raw_nonzero();
        refused(&format!("pid={number}"), ESRCH)
    });
    let said = thread.join().ok().context("the thread panicked")??;
    assert!(said.contains("no process has pid"), "{said}");
    Ok(())
}

#[test]
fn a_kernel_thread_has_no_address_space() -> Result<()> {
    let said = refused("pid=2", EINVAL)?;
    assert!(said.contains("process 2 is a kernel thread"), "{said}");
    Ok(())
}

#[test]
fn a_process_that_has_ended_has_none_any_more() -> Result<()> {
    let mut child = Command::new("true").spawn()?;
    let pid = Pid::from_child(&child);
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let said = refused(&format!("pid={}", child.id()), ESRCH)?;
    child.wait()?;
    assert!(said.contains("has ended"), "{said}");
    Ok(())
}

#[test]
fn an_address_that_is_not_mapped_is_efault() -> Result<()> {
    let pid = std::process::id();
    for address in ["0x1000", "0xffff800000000000", "18446744073709551615"] {
        let said = refused(&format!("pid={pid} address={address}"), EFAULT)?;
        assert!(said.contains("is not mapped"), "{said}");
    }
    Ok(())
}

#[test]
fn physical_addresses_are_masked_unless_asked_for() -> Result<()> {
    let holder = Workload::start("holder", &["rw:aa:1"])?;
    let pid = holder.pid();
    let address = pagelens::layout::from_proc(pid)?.segments.stack.end - 8;
    let mut log = KernelLog::from_now()?;
    let question = Question::of(pid).address(address);
    let masked = question.ask(VM_LAYOUT)?;
    let texts = log.messages()?;
    ensure!(texts.iter().any(|(_, text)| text.contains("table=masked")));
    for (_, text) in texts {
        assert!(!text.contains("=0x"), "{text}");
    }
    let shown = question.unmask().ask(VM_LAYOUT)?;
    let is_shown = |what| match what {
        What::Table(address) | What::Page(address) => address.is_some(),
        What::Empty | What::NotPresent => false,
    };
    let count = |report: &pagelens::layout::Report| {
        let runs = report.table.runs.iter().map(|run| run.entry.what);
        let steps = report.walk.iter().map(|step| step.entry.what);
        (
            runs.filter(|what| is_shown(*what)).count(),
            steps.filter(|what| is_shown(*what)).count(),
        )
    };
    assert_eq!(count(&masked), (0, 0));
    let (runs, steps) = count(&shown);
    assert!(
        runs > 2 && steps == shown.table.levels as usize,
        "{shown:?}"
    );
    Ok(())
}

#[test]
fn what_was_given_at_load_cannot_be_changed_later() -> Result<()> {
    let _loaded = Module::load("vm_layout", &["pid=1", "address=0"])?;
    for parameter in ["pid", "address", "unmask"] {
        let path = format!("/sys/module/vm_layout/parameters/{parameter}");
        let mode = fs::metadata(&path)?.permissions().mode();
        assert_eq!(mode & 0o222, 0, "{parameter} is writable: {mode:o}");
        ensure!(fs::write(&path, "1").is_err(), "{parameter} was written");
    }
    Ok(())
}

/// Loads the module from inside a pid namespace, for a process there.
const INSIDE: &str = r"
    sleep 1000 & sleeper=$!
    echo $sleeper
    insmod /modules/vm_layout.ko pid=$sleeper && rmmod vm_layout
    kill $sleeper";

#[test]
fn the_pid_is_that_of_the_loaders_namespace() -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let shown = shell_output(&format!(
        "unshare -p -f sh -c \"{}\"",
        INSIDE.replace('$', "\\$")
    ))?;
    let pid: u32 = shown.trim().parse().with_context(|| shown.clone())?;
    ensure!(pid < 20, "this is no number of a new namespace: {pid}");
    let messages = log.messages()?;
    let report = pagelens::layout::Report::parse(messages.iter().map(|(_, text)| text.as_str()))?;
    assert_eq!((report.pid, report.name.as_str()), (pid, "sleep"));
    Ok(())
}

#[test]
fn a_refusal_is_told_apart_from_other_failures() {
    assert_eq!(errno(layout_of(2_147_483_647)), ESRCH);
}
