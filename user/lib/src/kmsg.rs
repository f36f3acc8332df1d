// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel log.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Error, Result};

const PATH: &str = "/dev/kmsg";

/// What the kernel logs from a moment on.
#[derive(Debug)]
pub struct KernelLog {
    kmsg: File,
}

impl KernelLog {
    /// Begins after the last message so far.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Read`]: without the right to read the log.
    pub fn from_now() -> Result<Self> {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(nonblock)
            .open(PATH);
        let mut kmsg = opened.map_err(|source| Error::Open {
            path: PATH.into(),
            source,
        })?;
        kmsg.seek(SeekFrom::End(0)).map_err(not_read)?;
        Ok(Self { kmsg })
    }

    /// The messages since the last call: level, from 0 (`KERN_EMERG`) to 7 (`KERN_DEBUG`), and text,
    /// in which the kernel has escaped what is not printable.
    ///
    /// # Errors
    /// [`Error::Read`] if messages were overwritten before they were read; [`Error::Answer`].
    pub fn messages(&mut self) -> Result<Vec<(u8, String)>> {
        let mut messages = Vec::new();
        let mut record = [0; 8192]; // one read gives one record
        loop {
            match self.kmsg.read(&mut record) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    let message = message(&record).ok_or_else(|| Error::Answer {
                        line: record.clone().into_owned(),
                        why: "a record of the log was expected",
                    })?;
                    messages.push(message);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
                Err(error) => return Err(not_read(error)),
            }
        }
    }
}

fn not_read(source: std::io::Error) -> Error {
    Error::Read {
        path: PATH.into(),
        source,
    }
}

/// Takes a record `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n...` apart.
fn message(record: &str) -> Option<(u8, String)> {
    let (head, text) = record.split_once(';')?;
    let (priority, _) = head.split_once(',')?;
    let text = text.lines().next().unwrap_or_default();
    Some((priority.parse::<u32>().ok()? as u8 & 7, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn a_record_is_taken_apart() {
        let record = "11,5,7,-;[ERROR]: a; b\n SUBSYSTEM=x\n";
        assert_eq!(message(record), Some((3, "[ERROR]: a; b".to_owned())));
        assert_eq!(message("no record"), None);
    }
}
