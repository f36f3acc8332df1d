// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong, in one line that says what to do.

use std::io;
use std::path::PathBuf;

use model::memory_info::Failure;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The module's file could not be opened.
    #[error("cannot open {path}: {source} (is the module loaded, and are you root?)")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The module's file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The module refused a command.
    #[error("the module refused `{command}`: {reason}")]
    Refused {
        /// The command as it was written.
        command: String,
        /// The module's reason.
        reason: Reason,
    },
    /// An answer that does not have the documented form.
    #[error("the module's answer {line:?} is not understood: {why}")]
    Answer {
        /// The offending line.
        line: String,
        /// What was expected.
        why: &'static str,
    },
    /// A system call of a module failed.
    #[error("{call} failed: {source}{}", hint(.source))]
    Call {
        /// The call's name in its document.
        call: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A slot of `kshram` refused something.
    #[error("cannot {action} kshram slot {index}: {}", slot_hint(.source))]
    Slot {
        /// What was tried.
        action: &'static str,
        /// The slot.
        index: u32,
        /// What the kernel answered.
        source: io::Error,
    },
    /// `/dev/kshram_ctl` refused something.
    #[error("cannot {action}: {}", slot_hint(.source))]
    Control {
        /// What was tried.
        action: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// `/dev/pagelens` refused something.
    #[error("/dev/pagelens: {source}")]
    Device {
        /// What the kernel answered.
        source: io::Error,
    },
    /// An answer of `/dev/pagelens`, or one that was kept, that does not have the documented form.
    #[error("the answer is not understood: {why}")]
    Record {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file is no moment that was kept, or a damaged one.
    #[error("{path} cannot be read as a capture: {why}")]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A module could not be loaded or unloaded, or refused what it was asked.
    #[error("{module}: {source}{}", module_hint(.source))]
    Module {
        /// Its name.
        module: &'static str,
        /// What it, or the kernel, answered.
        source: io::Error,
    },
    /// `memuse` had no answer.
    #[error("memuse of process {pid}: {source}{}", memuse_hint(.source))]
    Memuse {
        /// The process.
        pid: u32,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A file under /proc could not be read or understood.
    #[error("cannot read /proc: {0}")]
    Proc(#[from] procfs::ProcError),
    /// A file of one process could not be read; it may have ended.
    #[error("cannot read {file} of process {pid}: {source}")]
    Process {
        /// The process.
        pid: u32,
        /// The file in its directory under /proc.
        file: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// What to do about a failed system call.
fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => " (is the module loaded?)",
        Some(libc::EPERM) => " (are you root?)",
        Some(libc::ESRCH) => " (was it tracked, and executed after that?)",
        _ => "",
    }
}

/// What `kshram` answered, and what to do about it.
fn slot_hint(error: &io::Error) -> String {
    // The numbers of include/uapi/asm-generic/errno-base.h.
    let hint = match error.raw_os_error().unwrap_or(0) {
        1 => "its size is sealed until the module is unloaded",
        6 => "there is no such slot; load kshram with slots=N for more",
        9 => "open it for writing",
        16 => "somebody maps more than that; unmap it, or resize by force",
        28 => "load kshram with a larger max_bytes, or free memory",
        _ => return error.to_string(),
    };
    format!("{error} ({hint})")
}

/// What to do about a module that is not loaded.
fn module_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => " (are you root?)",
        Some(libc::EEXIST) => " (it is loaded: unload it first)",
        Some(libc::ESRCH) => " (the process has ended, or never was)",
        _ => "",
    }
}

/// What to do about `memuse` without an answer.
fn memuse_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => " (is the module loaded?)",
        Some(libc::EPERM) => " (another user's process: this takes CAP_SYS_PTRACE)",
        Some(libc::ESRCH) => " (it has ended, or never was)",
        Some(libc::EFAULT) => " (its page tables are corrupt: see the kernel's log)",
        _ => "",
    }
}

/// Why `memory_info` refused a command: the rows of its document's table of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// `EINVAL`: an unknown or malformed command, an empty or over-long name.
    #[error("invalid argument")]
    InvalidArgument,
    /// `ESRCH`: the snapshot has no program of that name.
    #[error("no such process in the snapshot")]
    NoSuchProcess,
    /// `EFAULT`: the command could not be read from the caller's memory.
    #[error("bad address")]
    BadAddress,
    /// `ENOMEM`: not enough memory; the old snapshot is kept.
    #[error("not enough memory; the old snapshot is kept")]
    NoMemory,
    /// `EINTR`: a fatal signal came; the old snapshot is kept.
    #[error("interrupted; the old snapshot is kept")]
    Interrupted,
    /// Another errno.
    #[error("errno {0}")]
    Other(i32),
}

impl Reason {
    /// The reason behind a failed write.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        // The numbers of include/uapi/asm-generic/errno-base.h.
        match error.raw_os_error().unwrap_or(0) {
            22 => Self::InvalidArgument,
            3 => Self::NoSuchProcess,
            14 => Self::BadAddress,
            12 => Self::NoMemory,
            4 => Self::Interrupted,
            other => Self::Other(other),
        }
    }

    /// The reason behind the line that a read shows after a refused command.
    pub(crate) fn from_message(message: &str) -> Option<Self> {
        [
            (Failure::Invalid, Self::InvalidArgument),
            (Failure::NoProcess, Self::NoSuchProcess),
            (Failure::BadAddress, Self::BadAddress),
            (Failure::NoMemory, Self::NoMemory),
            (Failure::Interrupted, Self::Interrupted),
        ]
        .into_iter()
        .find_map(|(failure, reason)| (failure.message() == message).then_some(reason))
    }
}
