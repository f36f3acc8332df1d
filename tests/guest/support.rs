// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several tests need and `workloads` does not have.

use std::fmt::Debug;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use workloads::map::Map;
use workloads::uffd::Missing;
use workloads::{SysSetting, Workload};

/// Runs a shell command to its end.
pub fn shell(command: &str) -> Result<Output> {
    Command::new("sh")
        .args(["-c", command])
        .output()
        .with_context(|| command.to_owned())
}

/// What a shell command prints.
pub fn shell_output(command: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&shell(command)?.stdout).into_owned())
}

/// The errno with which the kernel refused something.
pub fn errno<T: Debug>(result: Result<T, impl Into<anyhow::Error>>) -> i32 {
    match result.map_err(Into::into) {
        Ok(done) => panic!("not refused: {done:?}"),
        Err(error) => {
            workloads::errno(error.as_ref()).unwrap_or_else(|| panic!("no errno: {error:#}"))
        }
    }
}

/// Calls `done` every few milliseconds until it says yes; fails after half a minute.
pub fn wait_until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..3000 {
        if done()? {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    anyhow::bail!("waited in vain: {what}")
}

/// What `action` answers, unless it hangs.
pub fn at_once<T: Send + 'static>(
    what: &'static str,
    action: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || answer.send(action()));
    let limit = Duration::from_secs(30);
    answered
        .recv_timeout(limit)
        .with_context(|| format!("it hangs: {what}"))?
        .context(what)
}

/// Reads a file into memory that does not come while `meanwhile` lasts.
pub fn beside_a_reader(file: &File, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut buffer = Map::anonymous(1, false)?;
    let missing = Missing::new(&buffer)?;
    let file = file.try_clone()?;
    let reader = thread::spawn(move || buffer.read_from(&file));
    let page = missing.wanted()?;
    meanwhile()?;
    missing.provide(page)?;
    let read = reader.join().ok().context("the reader panicked")??;
    ensure!(read > 0, "nothing was read");
    Ok(())
}

/// What the kernel answers at once to unloading a module that is in use.
pub fn refused_to_unload(name: &'static str) -> Result<()> {
    let refused = at_once("unloading", move || {
        let error = workloads::module::remove(name).err();
        Ok(error.and_then(|error| error.raw_os_error()))
    })?;
    ensure!(refused == Some(libc::EWOULDBLOCK), "{refused:?}");
    Ok(())
}

/// Switches all kprobes off and on, and with them the calls of modules.
pub const KPROBES_ENABLED: &str = "/sys/kernel/debug/kprobes/enabled";

/// Unloads a module whose calls others make all the time: it is in use while one of them runs.
pub fn remove_between_calls(name: &str) -> Result<()> {
    wait_until("no call is running", || {
        // Such moments are rare and short, above all where calls take long.
        for _ in 0..100 {
            match workloads::module::remove(name) {
                Err(error) if error.raw_os_error() == Some(libc::EWOULDBLOCK) => {
                    std::thread::yield_now();
                }
                other => return Ok(other.map(|()| true)?),
            }
        }
        Ok(false)
    })
}

/// One `storm` of each kind that this kernel can have, without rest.
pub fn storm() -> Result<Vec<Workload>> {
    let mut kinds = vec!["fork", "exec", "exit", "mprotect", "munmap"];
    if SysSetting::has_huge_pages() {
        kinds.push("collapse");
    }
    kinds
        .iter()
        .map(|kind| Workload::start("storm", &[kind]))
        .collect()
}

/// Swap on compressed memory, until it is dropped.
pub struct Swap;

impl Swap {
    /// Makes 64 MiB of it.
    pub fn on() -> Result<Self> {
        let done = shell(
            "{ test -e /sys/block/zram0 || modprobe zram; } &&
             echo 64M > /sys/block/zram0/disksize &&
             mkswap /dev/zram0 && swapon /dev/zram0",
        )?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "no zram ({})", said.trim());
        Ok(Self)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = shell("swapoff /dev/zram0; echo 1 > /sys/block/zram0/reset; rmmod zram");
    }
}

/// A control group below the root, removed when dropped.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes it, with a memory controller.
    pub fn new(name: &str) -> Result<Self> {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")?;
        let path = PathBuf::from("/sys/fs/cgroup").join(name);
        fs::create_dir(&path).context("no control groups")?;
        Ok(Self(path))
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The number that stands behind `name` in a file of lines.
    pub fn value(&self, file: &str, name: &str) -> Result<u64> {
        let text = fs::read_to_string(self.file(file))?;
        let mut words = text.split_whitespace();
        words.find(|word| *word == name);
        Ok(words.next().with_context(|| name.to_owned())?.parse()?)
    }

    /// Freezes it or thaws it, and waits for that.
    pub fn freeze(&self, freeze: bool) -> Result<()> {
        fs::write(self.file("cgroup.freeze"), if freeze { "1" } else { "0" })?;
        wait_until("the group is frozen or thawed", || {
            Ok(self.value("cgroup.events", "frozen")? == u64::from(freeze))
        })
    }

    /// The number that is all that a file holds.
    pub fn number(&self, file: &str) -> Result<u64> {
        Ok(fs::read_to_string(self.file(file))?.trim().parse()?)
    }

    /// Makes a process a member.
    pub fn take(&self, pid: u32) -> Result<()> {
        Ok(fs::write(self.file("cgroup.procs"), pid.to_string())?)
    }

    /// Does something as a member.
    pub fn join<T>(&self, action: impl FnOnce() -> T) -> Result<T> {
        fs::write(self.file("cgroup.procs"), "0")?;
        let done = action();
        fs::write("/sys/fs/cgroup/cgroup.procs", "0")?;
        Ok(done)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = self.freeze(false);
        let removed = wait_until("the group is empty", || Ok(fs::remove_dir(&self.0).is_ok()));
        if let Err(error) = removed {
            eprintln!("{error:#}");
        }
    }
}

/// Whether storms shall last, as `cargo xtask test --long` asks.
pub fn is_long() -> bool {
    std::env::var("PAGELENS_LONG").as_deref() == Ok("1")
}

/// Keeps the calling thread, and the threads and processes that it starts, on one CPU; when dropped,
/// itself no longer.
///
/// The kernel patches its text while other CPUs run it, with a breakpoint as a go-between. Emulation
/// gets this wrong now and then: with QEMU 7.2 and no KVM, switching a probe of a busy function on
/// and off through tracefs ends in `Oops: int3`, though no module of ours is loaded. So whoever
/// loads and unloads a probe of a busy function must not let another CPU be busy with it.
pub struct OneCpu(rustix::thread::CpuSet);

impl OneCpu {
    /// Moves the calling thread to the first CPU.
    pub fn enter() -> Result<Self> {
        use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
        let before = sched_getaffinity(None)?;
        let mut first = CpuSet::new();
        first.set(0);
        sched_setaffinity(None, &first)?;
        Ok(Self(before))
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        let _ = rustix::thread::sched_setaffinity(None, &self.0);
    }
}
