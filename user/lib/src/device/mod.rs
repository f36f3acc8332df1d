// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/dev/pagelens`, the device of the module of that name: what is asked, and the records of answers.
//!
//! ```no_run
//! use pagelens::device::{Device, Question, Snapshot};
//!
//! let answer = Device::open()?.snapshot(&Question::default())?;
//! let snapshot = Snapshot::read(answer)?;
//! for process in &snapshot.processes {
//!     if let Some(space) = snapshot.memories.get(&process.memory) {
//!         println!("{}: {} bytes", process.pid, space.memory.sums.pss / 4096);
//!     }
//! }
//! # Ok::<(), pagelens::Error>(())
//! ```

mod answer;
#[allow(unsafe_code)] // system calls that take any address
mod ioctl;
pub mod ram;
mod whole;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::PathBuf;

pub use abi::pagelens::{
    Begin, End, Header, LeftOut, Memory, Process, Sums, Version, Vma, AVAILABLE, COMM_LEN,
    MEMORY_BUSY, MEMORY_CHANGED, MEMORY_ENDED, OWN_ONLY, PROCESS_ENDED, PROCESS_KERNEL,
    PROCESS_MAY_BE_TOLD, PROCESS_TOLD, VMA_HUGETLB,
};
pub use answer::{Answer, Area, Record};
pub use whole::{Snapshot, Space};

use crate::error::{Error, Result};

/// The device node.
pub const NODE: &str = "/dev/pagelens";

/// Which processes are meant.
#[derive(Debug, Clone, Copy, Default)]
pub enum Scope<'a> {
    /// All that can be seen.
    #[default]
    All,
    /// Those with these numbers, in the caller's pid namespace.
    Pids(&'a [u32]),
    /// Those whose first thread bears this name, of up to 15 bytes.
    Comm(&'a [u8]),
    /// Those in the cgroup (of version 2) whose folder this is, and below.
    Cgroup(BorrowedFd<'a>),
    /// Those that can be seen from the pid namespace that this is: a file as `/proc/PID/ns/pid`.
    PidNamespace(BorrowedFd<'a>),
}

/// How much is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// The kernel's counters alone.
    Counters,
    /// And what the entries of page tables say: a walk over them.
    Entries,
    /// And what is known of the frames behind them: PSS, USS, kinds. Four times the work.
    #[default]
    Frames,
}

/// What a snapshot is to have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// Which processes.
    pub scope: Scope<'a>,
    /// How much of each.
    pub detail: Detail,
    /// Whether each area is told, not only the sums of each memory.
    pub with_areas: bool,
    /// Whether the areas' names are told.
    pub with_names: bool,
}

/// The open device.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self> {
        let path = PathBuf::from(NODE);
        match OpenOptions::new().read(true).open(&path) {
            Ok(file) => Ok(Self(file)),
            Err(source) => Err(Error::Open { path, source }),
        }
    }

    /// The descriptor itself.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }

    /// What the module can do, for this caller.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn version(&self) -> Result<Version> {
        ioctl::version(&self.0).map_err(refused)
    }

    /// Asks for a snapshot, which is made while it is read.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn snapshot(&self, question: &Question<'_>) -> Result<Answer> {
        let mut asked = abi::pagelens::Snapshot {
            detail: match question.detail {
                Detail::Counters => abi::pagelens::DETAIL_COUNTERS,
                Detail::Entries => abi::pagelens::DETAIL_ENTRIES,
                Detail::Frames => abi::pagelens::DETAIL_FRAMES,
            },
            ..Default::default()
        };
        for (flag, is_wanted) in [
            (abi::pagelens::WITH_VMAS, question.with_areas),
            (abi::pagelens::WITH_NAMES, question.with_names),
        ] {
            asked.flags |= if is_wanted { flag } else { 0 };
        }
        let mut pids = Vec::new();
        match question.scope {
            Scope::All => asked.scope = abi::pagelens::SCOPE_ALL,
            Scope::Pids(asked_for) => {
                asked.scope = abi::pagelens::SCOPE_PIDS;
                pids.extend_from_slice(asked_for);
                pids.sort_unstable();
                pids.dedup();
            }
            Scope::Comm(name) => {
                asked.scope = abi::pagelens::SCOPE_COMM;
                let room = asked.comm.get_mut(..name.len());
                let room = room.ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
                room.copy_from_slice(name);
            }
            Scope::Cgroup(folder) => {
                (asked.scope, asked.fd) = (abi::pagelens::SCOPE_CGROUP, folder.as_raw_fd());
            }
            Scope::PidNamespace(file) => {
                (asked.scope, asked.fd) = (abi::pagelens::SCOPE_PID_NAMESPACE, file.as_raw_fd());
            }
        }
        let file = ioctl::snapshot(&self.0, asked, &pids).map_err(refused)?;
        Ok(Answer::new(file.into()))
    }

    /// Asks for a RAM map, which is made while it is read.
    ///
    /// # Errors
    /// [`Error::Device`]; among others for whoever lacks `CAP_SYS_ADMIN`.
    pub fn ram(&self, question: &ram::Question) -> Result<ram::Answer> {
        let file = ioctl::ram(&self.0, question.record()).map_err(refused)?;
        Ok(ram::Answer::new(file.into()))
    }
}

fn refused(source: io::Error) -> Error {
    Error::Device { source }
}
