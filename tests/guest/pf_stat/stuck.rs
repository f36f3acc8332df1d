// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program whose mmap lock nobody gets: another task reads its memory, which a file system has to
//! bring that does not answer, and it waits for that task itself.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, Result};
use pagelens::pf_stat;
use workloads::mute::MuteFile;
use workloads::{KernelLog, Running, Workload};

use super::{errors_in, ledger, start_cow, step, tracking, COW};
use crate::support::wait_until;

/// Whether such a file system can be had: only the debug kernel is built without.
pub fn can_be() -> bool {
    Path::new("/dev/fuse").exists()
}

/// Says why [`while_stuck`] cannot be tested.
pub fn skip() -> Result<()> {
    crate::runner::skip("this kernel has no FUSE", &["debug"])
}

/// Calls `body` while nobody gets the mmap lock of the program, which waits for it in `mmap`.
pub fn while_stuck<T>(cow: &mut Workload, body: impl FnOnce() -> Result<T>) -> Result<T> {
    while_all_stuck(std::slice::from_mut(cow), body)
}

/// The same of several programs.
pub fn while_all_stuck<T>(cows: &mut [Workload], body: impl FnOnce() -> Result<T>) -> Result<T> {
    let mute = MuteFile::mount()?;
    // Who opens it when it is being read waits for that.
    let mapped = cows.iter_mut().map(|cow| {
        let mapped = step(cow, &format!("map {}", MuteFile::PATH))?;
        Ok((cow, mapped))
    });
    let mapped = mapped.collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let stuck = mapped.into_iter().try_for_each(|(cow, mapped)| {
            let pid = cow.pid();
            let memory = File::open(format!("/proc/{pid}/mem"))?;
            let (to, reader) = channel();
            scope.spawn(move || -> Result<()> {
                to.send(rustix::thread::gettid())?;
                memory.read_at(&mut [0], mapped.start)?;
                Ok(())
            });
            let reader = reader.recv()?.as_raw_pid().cast_unsigned();
            wait_until("it is read", || Ok(call(reader)?.starts_with("17 ")))?;
            scope.spawn(move || step(cow, "areas 1"));
            wait_until("it waits in mmap", || Ok(call(pid)?.starts_with("9 ")))
        });
        let result = stuck.and_then(|()| body());
        // They go on.
        drop(mute);
        result
    })
}

fn call(thread: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{thread}/syscall"))?)
}

#[test]
fn the_file_is_readable_though_a_program_s_mmap_lock_is_held() -> Result<()> {
    if !can_be() {
        return skip();
    }
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    step(&mut cow, "grow 100")?;
    let text = while_stuck(&mut cow, || {
        let mut cat = Running::start(
            Command::new("cat")
                .arg(pf_stat::Ledger::PATH)
                .stdout(Stdio::piped()),
        )?;
        wait_until("the file is read", || Ok(cat.try_wait()?.is_some()))?;
        let output = cat.stdout.take().context("no output")?;
        Ok(std::io::read_to_string(output)?)
    })?;
    let line = text.lines().nth(1).context("no line")?;
    let figures: Vec<&str> = line.split(' ').collect();
    // What waits changes nothing yet: all is known.
    assert_eq!(figures[8..], ["100", "0", "0", COW], "{text}");
    assert_eq!(ledger(COW)?.gone, 100);
    Ok(())
}

#[test]
fn who_asks_for_one_program_waits_for_its_mmap_lock_and_can_be_killed() -> Result<()> {
    if !can_be() {
        return skip();
    }
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    while_stuck(&mut cow, || {
        let mut asker = Running::start(
            Command::new("pf-test")
                .args(["-o", "get_info", "-p", COW])
                .stdout(Stdio::null()),
        )?;
        let pid = asker.pid();
        wait_until("it waits in pf_get_info", || {
            Ok(call(pid)?.starts_with("386 "))
        })?;
        let mut log = KernelLog::from_now()?;
        asker.kill()?;
        assert_eq!(asker.wait()?.signal(), Some(libc::SIGKILL));
        let line = "pf_get_info: the calling process was killed (-4)";
        assert_eq!(errors_in(&mut log)?, [line]);
        Ok(())
    })?;
    pf_stat::get_info(COW.as_bytes())?;
    Ok(())
}
