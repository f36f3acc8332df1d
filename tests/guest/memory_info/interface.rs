// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands, errors, and who may use the file.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};
use pagelens::{proc, Error, MemoryInfo, Reason};
use workloads::{KernelLog, Module, Running, Workload};

use super::{errors_in, holder, pages_in_groups, Loaded};
use crate::support::{wait_until, OneCpu};

fn reason(result: Result<Vec<u8>, Error>) -> Option<Reason> {
    match result {
        Err(Error::Refused { reason, .. }) => Some(reason),
        _ => None,
    }
}

#[test]
fn a_refused_command_has_its_errno_its_line_and_its_log_and_changes_nothing() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _holder = holder("kept", &["fill:aa:2"])?;
    loaded.info.reset()?;
    let before = loaded.info.run(b"ALL")?;

    let too_long = [b"FILTER|".as_slice(), &[b'x'; 16]].concat();
    let huge = vec![b'A'; 1 << 20];
    let invalid = [
        b"\n".as_slice(),
        b" ",
        b"reset",
        b"RESET ",
        b" RESET",
        b"RESETT",
        b"RESET|x",
        b"RESET\n\n",
        b"ALL|",
        b"ALLL",
        b"FOO",
        b"FILTER",
        b"FILTER|",
        b"FILTER|\n",
        b"DEL",
        b"DEL|",
        b"DEL\\x",
        b"|",
        b"\0",
        b"ALL\0",
        &too_long,
        &huge,
    ];
    let unknown = [
        b"FILTER|no-such-name".as_slice(),
        b"DEL|no-such-name\n",
        b"FILTER|kep",
        b"FILTER|kept ",
    ];
    let cases = invalid
        .iter()
        .map(|&command| (command, Reason::InvalidArgument, "Invalid argument"));
    let cases = cases.chain(
        unknown
            .iter()
            .map(|&c| (c, Reason::NoSuchProcess, "No such process")),
    );
    for (command, expected, message) in cases {
        let shown = String::from_utf8_lossy(&command[..command.len().min(30)]);
        assert_eq!(
            reason(loaded.info.run(command)),
            Some(expected),
            "{shown:?}"
        );
        let line = fs::read_to_string(MemoryInfo::PATH)?;
        assert_eq!(line, format!("[ERROR]: {message}\n"), "{shown:?}");
    }
    assert_eq!(loaded.info.run(b"ALL")?, before, "the snapshot changed");
    Ok(())
}

#[test]
fn each_error_has_its_line_in_the_log_and_success_has_none() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut log = KernelLog::from_now()?;
    let _ = loaded.info.run(b"FOO");
    assert_eq!(errors_in(&mut log)?, ["[ERROR]: Invalid argument"]);
    let _ = loaded.info.run(b"FILTER|no-such-name");
    assert_eq!(errors_in(&mut log)?, ["[ERROR]: No such process"]);
    assert_eq!(write_from_nowhere()?, Some(libc::EFAULT));
    assert_eq!(errors_in(&mut log)?, ["[ERROR]: Bad address"]);
    // Of ENOMEM see `who_makes_a_snapshot_pays_for_it_and_too_little_memory_kills_nobody`.
    let me = format!("FILTER|{}", fs::read_to_string("/proc/self/comm")?);
    for command in ["RESET", "ALL", &me, &me.replace("FILTER", "DEL")] {
        loaded.info.run(command.as_bytes())?;
    }
    assert_eq!(errors_in(&mut log)?, [""; 0]);
    Ok(())
}

#[test]
fn the_file_is_there_as_long_as_the_module() -> Result<()> {
    let is_there = || -> Result<bool> {
        let mut entries = fs::read_dir("/proc")?;
        Ok(entries
            .any(|entry| entry.is_ok_and(|entry| entry.path() == Path::new(MemoryInfo::PATH))))
    };
    let opened = || {
        File::open(MemoryInfo::PATH)
            .map(drop)
            .map_err(|error| error.kind())
    };
    let module = Module::load("memory_info", &[])?;
    assert_eq!((is_there()?, opened()), (true, Ok(())));
    module.unload()?;
    assert_eq!((is_there()?, opened()), (false, Err(ErrorKind::NotFound)));
    Ok(())
}

#[test]
fn errors_in_plenty_do_not_flood_the_log() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut log = KernelLog::from_now()?;
    for _ in 0..1000 {
        let _ = loaded.info.run(b"FOO");
    }
    let count = log
        .messages()?
        .iter()
        .filter(|(_, text)| text.contains("[ERROR]"))
        .count();
    assert!((1..500).contains(&count), "{count} lines for 1000 errors");
    Ok(())
}

/// The errno of a command at an address where nothing is.
fn write_from_nowhere() -> Result<Option<i32>> {
    let file = OpenOptions::new().write(true).open(MemoryInfo::PATH)?;
    // SAFETY: The kernel checks the address, which nothing is mapped at; it writes nothing.
    let written = unsafe { libc::write(file.as_raw_fd(), 8 as *const libc::c_void, 5) };
    let error = std::io::Error::last_os_error();
    ensure!(written == -1, "{written} bytes were written");
    Ok(error.raw_os_error())
}

#[test]
fn a_command_at_a_bad_address_is_efault() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let before = loaded.info.run(b"ALL")?;
    assert_eq!(write_from_nowhere()?, Some(libc::EFAULT));
    assert_eq!(
        fs::read_to_string(MemoryInfo::PATH)?,
        "[ERROR]: Bad address\n"
    );
    assert_eq!(loaded.info.run(b"ALL")?, before);
    Ok(())
}

#[test]
fn a_write_of_nothing_is_no_command() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let before = loaded.info.run(b"ALL")?;
    let mut file = OpenOptions::new().write(true).open(MemoryInfo::PATH)?;
    assert_eq!(file.write(b"")?, 0);
    assert_eq!(fs::read(MemoryInfo::PATH)?, before);
    Ok(())
}

#[test]
fn all_filter_and_del_speak_of_the_snapshot_not_of_now() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let holder = holder("snapshot", &["fill:aa:5"])?;
    assert_eq!(
        reason(loaded.info.run(b"FILTER|snapshot")),
        Some(Reason::NoSuchProcess)
    );
    loaded.info.reset()?;
    drop(holder);
    assert_eq!(
        loaded.info.program(b"snapshot")?.duplicates,
        pages_in_groups(5, 1)
    );

    let before = loaded.info.programs()?;
    loaded.info.delete(b"snapshot")?;
    let after = loaded.info.programs()?;
    assert_eq!(after.len() + 1, before.len());
    assert!(before
        .iter()
        .filter(|program| program.name != b"snapshot")
        .eq(&after));
    Ok(())
}

#[test]
fn the_snapshot_is_there_from_loading_on() -> Result<()> {
    let holder = holder("early", &["fill:aa:7"])?;
    let mut loaded = Loaded::new()?;
    let program = loaded.info.program(b"early")?;
    assert_eq!(program.pids, [holder.pid()]);
    assert_eq!(program.duplicates, pages_in_groups(7, 1));
    Ok(())
}

#[test]
fn every_process_is_in_the_snapshot() -> Result<()> {
    let mut loaded = Loaded::new()?;
    loaded.info.reset()?;
    let mut listed: Vec<u32> = loaded
        .info
        .programs()?
        .into_iter()
        .flat_map(|program| program.pids)
        .collect();
    listed.sort_unstable();
    let mut there = proc::pids()?;
    // Kernel workers come and go meanwhile; everyone else stays.
    let is_worker = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .map_or(true, |comm| comm.contains("kworker"))
    };
    listed.retain(|pid| !is_worker(pid));
    there.retain(|pid| !is_worker(pid));
    assert_eq!(listed, there);
    assert!(listed.contains(&1) && listed.contains(&std::process::id()));
    Ok(())
}

#[test]
fn an_ordinary_user_cannot_open_the_file() -> Result<()> {
    let _module = Module::load("memory_info", &[])?;
    let metadata = fs::metadata(MemoryInfo::PATH)?;
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!((metadata.uid(), metadata.gid()), (0, 0));
    let refused = Command::new("cat")
        .arg(MemoryInfo::PATH)
        .uid(1000)
        .gid(1000)
        .output()?;
    assert!(!refused.status.success());
    assert!(refused.stdout.is_empty());
    Ok(())
}

#[test]
fn root_without_cap_sys_admin_cannot_open_the_file() -> Result<()> {
    use rustix::thread::{capabilities, set_capabilities, CapabilitySet};
    let _module = Module::load("memory_info", &[])?;
    // Capabilities are those of a thread, and this one ends.
    let opened = std::thread::spawn(|| -> Result<_> {
        let mut sets = capabilities(None)?;
        sets.effective.remove(CapabilitySet::SYS_ADMIN);
        set_capabilities(None, sets)?;
        Ok(File::open(MemoryInfo::PATH).map(drop))
    });
    let opened = opened.join().ok().context("the thread panicked")??;
    let error = opened
        .err()
        .context("root without CAP_SYS_ADMIN opened the file")?;
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    // With the capability the same open works: it was the capability that mattered.
    File::open(MemoryInfo::PATH)?.read_to_end(&mut Vec::new())?;
    Ok(())
}

#[test]
fn a_fatal_signal_during_reset_keeps_the_old_snapshot() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _load = Workload::start("tester", &["30000"])?;
    // On one CPU a child that is looked at does not run: where it stands holds still.
    let _one_cpu = OneCpu::enter()?;
    let mut killed = 0;
    for _ in 0..24 {
        loaded.info.reset()?;
        loaded.info.delete(b"tester")?;
        let before = loaded.info.run(b"ALL")?;
        let reset = ["-c", "echo RESET > /proc/memory_info"];
        let mut child = Running::start(Command::new("sh").args(reset))?;
        let stack = format!("/proc/{}/stack", child.pid());
        wait_until("the RESET is under way, or over", || {
            Ok(
                fs::read_to_string(&stack)?.contains("[memory_info]")
                    || child.try_wait()?.is_some(),
            )
        })?;
        child.kill()?;
        let finished = child.wait()?.success();
        let after = loaded.info.run(b"ALL")?;
        let has_tester = reason(loaded.info.run(b"FILTER|tester")).is_none();
        assert_eq!(has_tester, finished, "the tester is there, RESET succeeded");
        if !finished {
            assert!(after == before, "half a snapshot");
            killed += 1;
        }
    }
    assert!(killed > 0, "no RESET was killed: all were over in time");
    Ok(())
}
