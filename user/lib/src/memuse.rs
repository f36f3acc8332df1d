// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client of `memuse`: bytes of a process's memory that are really there, by kind.
#![allow(unsafe_code)]

use std::fs;
use std::io;

pub use model::memuse::Kind;

use crate::error::{Error, Result};
use crate::syscall::call;

/// The system call, under the number that the module serves.
///
/// Anyone may ask about processes that they may trace for reading: their own. For others it takes
/// `CAP_SYS_PTRACE`.
#[derive(Debug, Clone, Copy)]
pub struct Memuse {
    number: u32,
}

impl Memuse {
    /// Where the loaded module says its number.
    const NUMBER: &str = "/sys/module/memuse/parameters/nr";

    /// The number of the module that is loaded now; without one, that which it has by default.
    #[must_use]
    pub fn new() -> Self {
        let number = fs::read_to_string(Self::NUMBER)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self {
            number: number.unwrap_or(abi::memuse::NR as u32),
        }
    }

    /// Bytes of a kind in the process `pid`.
    ///
    /// # Errors
    /// [`Error::Memuse`] with `ENOSYS` without the module, `ESRCH` if there is no such process or it
    /// ended meanwhile, `EPERM` if it is another user's, `EFAULT` if its page tables are corrupt,
    /// `EAGAIN` if it became another program at each of many looks.
    pub fn bytes(&self, pid: u32, kind: Kind) -> Result<u64> {
        // No process has a pid that does not fit, nor this one.
        let number = i32::try_from(pid).unwrap_or(-1);
        self.raw(number, kind.number())
            .map_err(|source| Error::Memuse { pid, source })
    }

    /// The call with any two numbers.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn raw(&self, pid: i32, kind: i32) -> io::Result<u64> {
        // SAFETY: The call takes numbers only.
        let bytes = unsafe { call(self.number, [pid as usize, kind as usize, 0]) }?;
        Ok(bytes as u64)
    }
}

impl Default for Memuse {
    fn default() -> Self {
        Self::new()
    }
}
