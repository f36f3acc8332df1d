// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may see what.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use abi::pagelens::{LEFT_OUT_REFUSED, OWN_ONLY};
use anyhow::{ensure, Context, Result};
use pagelens::device::{Device, Scope, Snapshot};
use workloads::Running;

use super::{all_of, as_user, Loaded};
use crate::support::errno;

const USER: u32 = 1234;

/// A program of that user.
fn sleeper(user: u32) -> Result<Running> {
    let mut command = Command::new("sleep");
    command.arg("1000").uid(user).gid(user);
    let sleeper = Running::start(&mut command)?;
    workloads::process::rest(sleeper.pid())?;
    Ok(sleeper)
}

#[test]
fn the_node_is_root_s() -> Result<()> {
    let _loaded = Loaded::new()?;
    assert_eq!(as_user(USER, || Ok(errno(Device::open())))?, libc::EACCES);
    Ok(())
}

#[test]
fn a_user_sees_his_own_processes_and_how_many_others_there_are() -> Result<()> {
    let loaded = Loaded::with(&["mode=0666"])?;
    let (own, other) = (sleeper(USER)?, sleeper(USER + 1)?);
    let (version, snapshot, named) = as_user(USER, || {
        let device = Device::open()?;
        let ask = |question| Snapshot::read(device.snapshot(question)?);
        let pids = [1, own.pid(), other.pid()];
        Ok((
            device.version()?,
            ask(&all_of(Scope::All))?,
            ask(&all_of(Scope::Pids(&pids)))?,
        ))
    })?;
    assert_eq!(version.capabilities[0], OWN_ONLY);
    let mine = |snapshot: &Snapshot| snapshot.processes.iter().all(|process| process.uid == USER);
    ensure!(mine(&snapshot) && mine(&named), "{snapshot:?}");
    ensure!(snapshot
        .memory_of(own.pid())
        .is_some_and(|space| space.memory.sums.pss > 0));
    ensure!(snapshot.left_out.is_empty() && snapshot.end.refused > 5);
    let refused: Vec<_> = named
        .left_out
        .iter()
        .map(|it| (it.pid, it.reason))
        .collect();
    assert_eq!(
        refused,
        [(1, LEFT_OUT_REFUSED), (other.pid(), LEFT_OUT_REFUSED)]
    );

    let question = all_of(Scope::Comm(b"sleep"));
    let by_name = as_user(USER, || {
        Ok(Snapshot::read(Device::open()?.snapshot(&question)?)?)
    })?;
    assert_eq!((by_name.processes.len(), by_name.end.refused), (1, 0));

    let all = loaded.look(&[own.pid()])?;
    assert_eq!(
        all.memory_of(own.pid()),
        snapshot.memory_of(own.pid()).map(renumbered).as_ref()
    );
    Ok(())
}

/// A memory as the first of an answer.
fn renumbered(space: &pagelens::device::Space) -> pagelens::device::Space {
    let mut space = space.clone();
    space.memory.memory = 1;
    space.areas.iter_mut().for_each(|area| area.vma.memory = 1);
    space
}

#[test]
fn a_program_that_may_not_be_looked_into_is_refused_to_its_owner() -> Result<()> {
    let _loaded = Loaded::with(&["mode=0666"])?;
    let mut command = Command::new("holder");
    command.args(["rw:aa:1", "undumpable"]).uid(USER).gid(USER);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let hidden = Running::start(&mut command)?;
    workloads::process::rest(hidden.pid())?;
    let pids = [hidden.pid()];
    let snapshot = as_user(USER, || {
        Ok(Snapshot::read(
            Device::open()?.snapshot(&all_of(Scope::Pids(&pids)))?,
        )?)
    })?;
    ensure!(
        snapshot.processes.is_empty() && snapshot.end.refused == 1,
        "{snapshot:?}"
    );
    Ok(())
}

#[test]
fn whoever_reads_sees_what_the_asker_may_see() -> Result<()> {
    let loaded = Loaded::with(&["mode=0666"])?;
    let own = sleeper(USER)?;
    // The asker has no rights, the reader has all.
    let answer = as_user(USER, || Ok(Device::open()?.snapshot(&all_of(Scope::All))?))?;
    let snapshot = Snapshot::read(answer)?;
    ensure!(
        snapshot.processes.iter().all(|process| process.uid == USER),
        "{snapshot:?}"
    );
    ensure!(snapshot.process(own.pid()).is_some());
    // And the other way around.
    let answer = loaded.device.snapshot(&all_of(Scope::All))?;
    let snapshot = as_user(USER, || Ok(Snapshot::read(answer)?))?;
    ensure!(snapshot
        .memory_of(1)
        .is_some_and(|space| space.memory.sums.pss > 0));
    Ok(())
}

#[test]
fn who_loses_his_rights_to_a_process_in_the_middle_sees_no_more_of_it() -> Result<()> {
    let _loaded = Loaded::with(&["mode=0666"])?;
    let mut command = Command::new("holder");
    command.args(["split:4000"]).uid(USER).gid(USER);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut holder = Running::start(&mut command)?;
    workloads::process::rest(holder.pid())?;
    let pids = [holder.pid()];
    let answer = as_user(USER, || {
        Ok(Device::open()?.snapshot(&all_of(Scope::Pids(&pids)))?)
    })?;
    let mut first = vec![0; 70_000];
    ensure!(answer.file().read(&mut first)? > 0);
    let mut input = holder.stdin.take().context("no input")?;
    std::io::Write::write_all(&mut input, b"undumpable\n")?;
    workloads::process::rest(holder.pid())?;
    let told = Snapshot::read(answer)?;
    let memory = told.memories.values().next().context("no memory")?;
    ensure!(
        memory.memory.header.flags & pagelens::device::MEMORY_ENDED != 0,
        "{memory:?}"
    );
    ensure!(memory.areas.len() < 4000, "{}", memory.areas.len());
    Ok(())
}
