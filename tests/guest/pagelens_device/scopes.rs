// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which processes an answer has.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::device::{
    Detail, Question, Scope, Snapshot, PROCESS_KERNEL, PROCESS_MAY_BE_TOLD, PROCESS_TOLD,
};
use pagelens::proc::pids;
use workloads::{Running, Workload};

use super::{all_of, holder, Loaded};
use crate::runner::skip;
use crate::support::{errno, wait_until, Cgroup};

const LEFT_OUT_ABSENT: u32 = abi::pagelens::LEFT_OUT_ABSENT;

#[test]
fn all_processes_are_told_once_and_in_order() -> Result<()> {
    let loaded = Loaded::new()?;
    for detail in [Detail::Counters, Detail::Entries, Detail::Frames] {
        let question = Question {
            detail,
            ..Question::default()
        };
        let before = pids()?;
        let snapshot = loaded.ask(&question)?;
        let after = pids()?;
        let told: Vec<u32> = snapshot
            .processes
            .iter()
            .map(|process| process.pid)
            .collect();
        ensure!(told.is_sorted_by(|a, b| a < b), "{told:?}");
        for pid in before.iter().filter(|pid| after.contains(pid)) {
            ensure!(told.contains(pid), "{pid} is missing");
        }
        let kernel = snapshot.process(2).context("no kthreadd")?;
        assert_eq!((kernel.header.flags, kernel.memory), (PROCESS_KERNEL, 0));
        let init = snapshot.memory_of(1).context("no init")?;
        let rss = init.memory.rss_anonymous + init.memory.rss_file + init.memory.rss_shared_memory;
        ensure!(rss > 0);
        assert_eq!(init.memory.sums.present > 0, detail != Detail::Counters);
        assert_eq!(init.memory.sums.pss > 0, detail == Detail::Frames);
        ensure!(init.areas.is_empty());
        assert_eq!(snapshot.end.processes, told.len() as u64);
    }
    Ok(())
}

#[test]
fn processes_by_number_are_told_once_and_absent_ones_named() -> Result<()> {
    let loaded = Loaded::new()?;
    let own = std::process::id();
    let absent = 4_194_303;
    let snapshot = loaded.look(&[own, absent, 1, own, u32::MAX])?;
    let told: Vec<u32> = snapshot
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    assert_eq!(told, [1, own]);
    let left_out: Vec<_> = snapshot
        .left_out
        .iter()
        .map(|it| (it.pid, it.reason))
        .collect();
    assert_eq!(
        left_out,
        [(absent, LEFT_OUT_ABSENT), (u32::MAX, LEFT_OUT_ABSENT)]
    );
    ensure!(loaded.look(&[])?.processes.is_empty());
    Ok(())
}

#[test]
fn processes_of_a_name_are_told() -> Result<()> {
    let loaded = Loaded::new()?;
    let named =
        ["one", "two", "one"].map(|name| Workload::start("holder", &["--name", name, "rw:aa:1"]));
    let named = named.into_iter().collect::<Result<Vec<_>>>()?;
    let snapshot = loaded.ask(&all_of(Scope::Comm(b"one")))?;
    let told: Vec<u32> = snapshot
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    let mut expected = [named[0].pid(), named[2].pid()];
    expected.sort_unstable();
    assert_eq!(told, expected);
    ensure!(loaded
        .ask(&all_of(Scope::Comm(b"nobody")))?
        .processes
        .is_empty());
    let too_long = all_of(Scope::Comm(b"of sixteen bytes"));
    assert_eq!(errno(loaded.device.snapshot(&too_long)), libc::EINVAL);
    Ok(())
}

#[test]
fn processes_of_a_cgroup_and_of_those_below_are_told() -> Result<()> {
    let loaded = Loaded::new()?;
    let group = Cgroup::new("scope")?;
    let below = group.file("below");
    fs::create_dir(&below)?;
    let (inside, deeper, outside) = (holder(&["rw:aa:1"])?, holder(&["rw:aa:1"])?, holder(&[])?);
    group.take(inside.pid())?;
    fs::write(below.join("cgroup.procs"), deeper.pid().to_string())?;
    let folder = File::open(group.file(""))?;
    let snapshot = loaded.ask(&all_of(Scope::Cgroup(folder.as_fd())))?;
    let has = |pid| snapshot.process(pid).is_some();
    assert_eq!(
        [inside.pid(), deeper.pid(), outside.pid()].map(has),
        [true, true, false]
    );
    assert_eq!(snapshot.processes.len(), 2);
    let no_group = File::open("/dev/null")?;
    let question = all_of(Scope::Cgroup(no_group.as_fd()));
    assert_eq!(errno(loaded.device.snapshot(&question)), libc::EBADF);
    drop((inside, deeper));
    fs::remove_dir(below)?;
    Ok(())
}

#[test]
fn processes_of_a_pid_namespace_are_told_under_the_askers_numbers() -> Result<()> {
    if !fs::exists("/proc/self/ns/pid")? {
        return skip("this kernel has no pid namespaces", &["debug"]);
    }
    let loaded = Loaded::new()?;
    let mut unshared = Running::start(
        Command::new("unshare")
            .args(["-p", "-f", "sh", "-c", "sleep 1000 & sleep 1000; true"])
            .stdout(Stdio::null()),
    )?;
    let parent = unshared.pid();
    let child = || -> Result<Option<u32>> {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        Ok(children
            .split_whitespace()
            .next()
            .map(str::parse)
            .transpose()?)
    };
    wait_until("there is a child", || Ok(child()?.is_some()))?;
    let shell = child()?.context("no child")?;
    let namespace = File::open(format!("/proc/{shell}/ns/pid"))?;
    let question = all_of(Scope::PidNamespace(namespace.as_fd()));
    wait_until("the shell and two that sleep", || {
        Ok(loaded.ask(&question)?.processes.len() == 3)
    })?;
    let snapshot = loaded.ask(&question)?;
    let first = snapshot.process(shell).context("no shell")?;
    assert_eq!(first.ppid, parent);
    assert_eq!(
        snapshot
            .processes
            .iter()
            .filter(|process| process.ppid == shell)
            .count(),
        2
    );

    let other = File::open("/proc/self/ns/mnt")?;
    let question = all_of(Scope::PidNamespace(other.as_fd()));
    assert_eq!(errno(loaded.device.snapshot(&question)), libc::EINVAL);
    unshared.kill()?;
    Ok(())
}

#[test]
fn memory_that_processes_share_is_told_once_and_named_by_all() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut holder = holder(&["rw:aa:10"])?;
    let sharer: u32 = holder.ask("share")?.parse()?;
    let pids = [holder.pid(), sharer];
    let snapshot = loaded.look(&pids)?;
    let [first, second] = snapshot.processes.as_slice() else {
        anyhow::bail!("{snapshot:?}");
    };
    assert_eq!(first.memory, second.memory);
    assert_eq!((first.header.flags, second.header.flags), (0, PROCESS_TOLD));
    assert_eq!(snapshot.memories.len(), 1);
    assert_eq!((snapshot.end.processes, snapshot.end.memories), (2, 1));
    Ok(())
}

#[test]
fn memory_that_comes_to_be_shared_behind_our_back_is_said_to_be_told_perhaps() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut holder = Workload::start("holder", &["--name", "vforks", "rw:aa:10"])?;
    let question = Question {
        scope: Scope::Comm(b"vforks"),
        detail: Detail::Counters,
        ..Question::default()
    };
    let answer = loaded.device.snapshot(&question)?;
    // No room for the first process, which is met all the same.
    let mut begin = [0; 100];
    ensure!(answer.file().read(&mut begin)? < 100);
    let sharer: u32 = holder.ask("share")?.parse()?;
    let snapshot = Snapshot::read(answer)?;
    let flags = |pid| snapshot.process(pid).map(|process| process.header.flags);
    assert_eq!(flags(holder.pid()), Some(0));
    assert_eq!(flags(sharer), Some(PROCESS_MAY_BE_TOLD));
    assert_eq!(snapshot.memories.len(), 2);
    Ok(())
}
