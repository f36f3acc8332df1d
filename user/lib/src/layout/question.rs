// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking the module.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::Path;

use super::Report;
use crate::error::{Error, Result};
use crate::KernelLog;

const NAME: &str = "vm_layout";

/// What the module is to show.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pid: u32,
    address: Option<u64>,
    unmask: bool,
}

impl Question {
    /// A process, as this pid namespace numbers it.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self {
            pid,
            address: None,
            unmask: false,
        }
    }

    /// Also the page-table entries that translate an address ([`Report::walk`]).
    #[must_use]
    pub fn address(self, address: u64) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }

    /// Also physical addresses, which then stand in the kernel log.
    #[must_use]
    pub fn unmask(self) -> Self {
        Self {
            unmask: true,
            ..self
        }
    }

    /// Loads the module from its file (`vm_layout.ko`, not compressed), reads what it logged, and
    /// unloads it. That takes `CAP_SYS_MODULE`, and the right to read the log.
    ///
    /// # Errors
    /// [`Error::Open`] without the file; [`Error::Module`] with what the module answered: `ESRCH` (no such
    /// process, or it has ended), `EINVAL` (a kernel thread, or an address in a mapping of the huge page
    /// pool), `EFAULT` (the address is in no mapping), `ENOMEM`, `EINTR`, `EAGAIN`; or the kernel: `EEXIST`
    /// (somebody has loaded it), `EPERM`. [`Error::Read`] and [`Error::Answer`] if the log was overwritten
    /// before it was read.
    pub fn ask(&self, module: impl AsRef<Path>) -> Result<Report> {
        let path = module.as_ref();
        let file = File::open(path).map_err(|source| Error::Open {
            path: path.into(),
            source,
        })?;
        let mut log = KernelLog::from_now()?;
        insert(&file, &self.parameters()).map_err(refused)?;
        let messages = log.messages();
        remove().map_err(refused)?;
        let messages = messages?;
        Report::parse(messages.iter().map(|(_, text)| text.as_str()))
    }

    fn parameters(&self) -> String {
        let mut parameters = format!("pid={}", self.pid);
        if let Some(address) = self.address {
            parameters += &format!(" address={address:#x}");
        }
        if self.unmask {
            parameters += " unmask=1";
        }
        parameters
    }
}

fn refused(source: io::Error) -> Error {
    Error::Module {
        module: NAME,
        source,
    }
}

fn insert(file: &File, parameters: &str) -> io::Result<()> {
    let parameters = CString::new(parameters)?;
    Ok(rustix::system::finit_module(file, &parameters, 0)?)
}

/// Fails rather than waiting for somebody who uses it.
fn remove() -> io::Result<()> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    Ok(rustix::system::delete_module(
        &CString::new(NAME)?,
        nonblock,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_parameters() {
        let question = Question::of(7);
        assert_eq!(question.parameters(), "pid=7");
        let question = question.address(0x1000).unmask();
        assert_eq!(question.parameters(), "pid=7 address=0x1000 unmask=1");
    }

    #[test]
    fn without_a_module_there_is_no_answer() {
        let asked = Question::of(7).ask("/nonexistent/vm_layout.ko");
        assert!(matches!(asked, Err(Error::Open { .. })), "{asked:?}");
    }
}
