// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client of `/proc/memory_info`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use model::memory_info::SUCCESS;

use crate::error::{Error, Reason, Result};
use crate::program::Program;

/// An open `/proc/memory_info`.
///
/// Every method writes one command and reads that command's own answer: other writers do
/// not get in between. The figures are those of the module's snapshot, taken when it was
/// loaded or at the last [`MemoryInfo::reset`] of anyone.
#[derive(Debug)]
pub struct MemoryInfo {
    file: File,
}

impl MemoryInfo {
    /// The module's file.
    pub const PATH: &'static str = "/proc/memory_info";

    /// Opens the module's file. Root of the initial user namespace only.
    ///
    /// # Errors
    /// [`Error::Open`] without the module or without the right.
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(Self::PATH)
            .map_err(|source| Error::Open {
                path: Self::PATH.into(),
                source,
            })?;
        Ok(Self { file })
    }

    /// Takes a new snapshot of all processes.
    ///
    /// # Errors
    /// [`Error::Refused`]; the old snapshot is then kept.
    pub fn reset(&mut self) -> Result<()> {
        self.succeed(b"RESET")
    }

    /// Every program of the snapshot, by lowest pid.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Answer`].
    pub fn programs(&mut self) -> Result<Vec<Program>> {
        Program::parse_all(&self.run(b"ALL")?)
    }

    /// The program of exactly this name.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Reason::NoSuchProcess`] if the snapshot has none.
    pub fn program(&mut self, name: &[u8]) -> Result<Program> {
        let answer = self.run(&[b"FILTER|", name].concat())?;
        match <[Program; 1]>::try_from(Program::parse_all(&answer)?) {
            Ok([program]) => Ok(program),
            Err(_) => Err(not_understood(&answer, "one line was expected")),
        }
    }

    /// Drops the program of exactly this name from the snapshot.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Reason::NoSuchProcess`] if the snapshot has none.
    pub fn delete(&mut self, name: &[u8]) -> Result<()> {
        self.succeed(&[b"DEL|", name].concat())
    }

    /// Writes a raw command in one piece and returns the answer's bytes.
    ///
    /// # Errors
    /// [`Error::Refused`], whether the module reports it as an errno or, loaded with
    /// `errno=0`, as the answer's text only.
    pub fn run(&mut self, command: &[u8]) -> Result<Vec<u8>> {
        let refused = |reason| Error::Refused {
            command: String::from_utf8_lossy(command).into_owned(),
            reason,
        };
        match self.file.write(command) {
            Ok(written) if written == command.len() => {}
            Ok(_) => return Err(refused(Reason::Other(0))),
            Err(error) => return Err(refused(Reason::from_io(&error))),
        }
        let answer = self.answer()?;
        match error_message(&answer).map(Reason::from_message) {
            None => Ok(answer),
            Some(Some(reason)) => Err(refused(reason)),
            Some(None) => Err(not_understood(&answer, "an unknown error")),
        }
    }

    fn succeed(&mut self, command: &[u8]) -> Result<()> {
        let answer = self.run(command)?;
        if answer == SUCCESS.as_bytes() {
            return Ok(());
        }
        Err(not_understood(&answer, "[SUCCESS] was expected"))
    }

    /// The whole current answer of this descriptor.
    fn answer(&self) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match self.file.read_at(&mut chunk, answer.len() as u64) {
                Ok(0) => return Ok(answer),
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read {
                        path: Self::PATH.into(),
                        source,
                    });
                }
            }
        }
    }
}

/// The message of an answer `[ERROR]: MESSAGE`.
///
/// A program may be named `[ERROR]: x`, but its line then goes on with figures.
fn error_message(answer: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(answer).ok()?.strip_suffix('\n')?;
    let message = line.strip_prefix("[ERROR]: ")?;
    (!message.contains([',', '\n'])).then_some(message)
}

fn not_understood(answer: &[u8], why: &'static str) -> Error {
    Error::Answer {
        line: String::from_utf8_lossy(answer).into_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_from_a_program_with_an_odd_name() {
        assert_eq!(
            error_message(b"[ERROR]: No such process\n"),
            Some("No such process")
        );
        assert_eq!(error_message(b"[SUCCESS]\n"), None);
        assert_eq!(
            error_message(
                b"[ERROR]: x, total: 0, valid: 0, invalid: 0, may_be_shared: 0, \
                  nb_group: 0, pid(1): 7\n"
            ),
            None
        );
    }
}
