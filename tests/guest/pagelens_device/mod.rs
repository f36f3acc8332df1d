// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/dev/pagelens`: what it answers, to whom, and in what weather.

mod faults;
mod interface;
mod oracle;
mod ram;
mod rights;
mod scopes;
mod storms;

use anyhow::{ensure, Context, Result};
use pagelens::device::{Detail, Device, Question, Scope, Snapshot, Space};
use workloads::process::rest;
use workloads::{Module, Workload};

/// The loaded module and its open node, which is closed first.
struct Loaded {
    device: Device,
    _module: Module,
}

impl Loaded {
    fn new() -> Result<Self> {
        Self::with(&[])
    }

    fn with(parameters: &[&str]) -> Result<Self> {
        let module = Module::load("pagelens", parameters)?;
        Ok(Self {
            device: Device::open()?,
            _module: module,
        })
    }

    /// All there is to be known of some processes.
    fn look(&self, pids: &[u32]) -> Result<Snapshot> {
        self.ask(&all_of(Scope::Pids(pids)))
    }

    fn ask(&self, question: &Question<'_>) -> Result<Snapshot> {
        Ok(Snapshot::read(self.device.snapshot(question)?)?)
    }

    /// The memory of one process.
    fn memory_of(&self, pid: u32) -> Result<Space> {
        let snapshot = self.look(&[pid])?;
        let space = snapshot.memory_of(pid);
        space.cloned().with_context(|| format!("{snapshot:?}"))
    }
}

/// Asks for everything about a scope.
fn all_of(scope: Scope<'_>) -> Question<'_> {
    Question {
        scope,
        detail: Detail::Frames,
        with_areas: true,
        with_names: true,
    }
}

/// A `holder` at rest.
fn holder(steps: &[&str]) -> Result<Workload> {
    let holder = Workload::start("holder", steps)?;
    rest(holder.pid())?;
    Ok(holder)
}

/// Calls `body` in a thread that is a user's without rights.
fn as_user<T: Send>(user: u32, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_user(user)?;
            body()
        });
        thread.join().ok().context("the thread panicked")?
    })
}

/// The C library would change all threads.
#[allow(unsafe_code)]
fn become_user(user: u32) -> Result<()> {
    for call in [libc::SYS_setresgid, libc::SYS_setresuid] {
        // SAFETY: The calls take numbers only.
        let done = unsafe { libc::syscall(call, user, user, user) };
        ensure!(done == 0, "{}", std::io::Error::last_os_error());
    }
    Ok(())
}
