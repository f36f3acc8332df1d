// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where answers come from: the module `pagelens`, `/proc`, or a moment that was kept in a file.

mod capture;
mod crew;
mod kernel;
mod proc;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use capture::Capture;
pub use proc::ProcFiles;
pub(crate) use proc::KERNEL_STACK;

use crate::device::Device;
use crate::error::Result;
use crate::processes::{Name, Origin, Processes, Question};

/// Which source is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best that there is.
    #[default]
    Auto,
    /// The module `pagelens`.
    Kernel,
    /// `/proc`.
    Proc,
    /// A moment that was kept in this file; or a folder that is like `/proc`.
    Path(PathBuf),
}

/// A source of answers.
#[derive(Debug)]
pub enum Source {
    /// `/dev/pagelens`.
    Kernel(Device),
    /// The files in `/proc`.
    Proc(ProcFiles),
    /// A moment that was kept in a file.
    Capture(Box<Capture>),
}

impl Source {
    /// The source that is wanted.
    ///
    /// # Errors
    /// That it is not there, or may not be used.
    pub fn choose(choice: &Choice) -> Result<Self> {
        match choice {
            Choice::Auto => match Self::kernel() {
                Ok(kernel) => Ok(kernel),
                Err(_) => Self::proc(Path::new("/proc")),
            },
            Choice::Kernel => Self::kernel(),
            Choice::Proc => Self::proc(Path::new("/proc")),
            Choice::Path(path) if path.is_dir() => Self::proc(path),
            Choice::Path(path) => Capture::read(path).map(Box::new).map(Self::Capture),
        }
    }

    fn kernel() -> Result<Self> {
        let device = Device::open()?;
        device.version()?;
        Ok(Self::Kernel(device))
    }

    fn proc(folder: &Path) -> Result<Self> {
        ProcFiles::open(folder).map(Self::Proc)
    }

    /// A word for people: every answer shows its source.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kernel(_) => "kernel",
            Self::Proc(_) => "proc",
            Self::Capture(_) => "capture",
        }
    }

    /// What the processes of a scope have.
    ///
    /// # Errors
    /// Those of the source.
    pub fn processes(&self, question: &Question) -> Result<Processes> {
        match self {
            Self::Kernel(device) => kernel::processes(device, question),
            Self::Proc(files) => files.processes(question),
            Self::Capture(capture) => Ok(capture.processes(question)),
        }
    }
}

/// An answer of this machine and moment, without a process yet.
#[must_use]
pub fn begin(origin: Origin) -> Processes {
    let system = rustix::system::uname();
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    Processes {
        origin,
        time_ns: time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        host: Name::from(system.nodename().to_bytes()),
        kernel: Name::from(system.release().to_bytes()),
        machine: crate::processes::Machine::now(),
        processes: Vec::new(),
        left_out: Vec::new(),
        unknown: Vec::new(),
    }
}
