// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules, and what they log.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

/// A loaded kernel module. Dropping it unloads it.
#[derive(Debug)]
pub struct Module {
    name: String,
}

impl Module {
    /// Loads a module with parameters such as `errno=0`. An older instance is unloaded first.
    ///
    /// # Errors
    /// If this is not a guest of the lab, or modprobe fails.
    pub fn load(name: &str, parameters: &[&str]) -> Result<Self> {
        ensure!(
            Path::new("/modules").is_dir(),
            "this loads kernel modules: run it in the lab's guest (no /modules here)"
        );
        if is_loaded(name) {
            modprobe(&["-r", name])?;
        }
        modprobe(&[&[name], parameters].concat())?;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    /// Unloads it and reports what `Drop` would only print.
    ///
    /// # Errors
    /// If the kernel refuses, for example because a file of the module is open.
    pub fn unload(self) -> Result<()> {
        let name = self.name.clone();
        std::mem::forget(self);
        modprobe(&["-r", &name])
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Err(error) = modprobe(&["-r", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// Loads a module of the lab without modprobe, and so with the kernel's own errno.
///
/// # Errors
/// If the file is not there, or what the module's `init` returned.
pub fn insert(name: &str, parameters: &str) -> io::Result<()> {
    let file = File::open(format!("/modules/{name}.ko"))?;
    let parameters = CString::new(parameters)?;
    Ok(rustix::system::finit_module(&file, &parameters, 0)?)
}

/// Unloads a module without modprobe.
///
/// # Errors
/// If it is not loaded, or in use.
pub fn remove(name: &str) -> io::Result<()> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    Ok(rustix::system::delete_module(
        &CString::new(name)?,
        nonblock,
    )?)
}

fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).is_dir()
}

fn modprobe(arguments: &[&str]) -> Result<()> {
    let output = Command::new("modprobe")
        .args(arguments)
        .output()
        .context("running modprobe")?;
    ensure!(
        output.status.success(),
        "modprobe {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// What the kernel logs from a moment on.
#[derive(Debug)]
pub struct KernelLog {
    kmsg: File,
}

impl KernelLog {
    /// Begins after the last message so far.
    ///
    /// # Errors
    /// Without the right to read the log.
    pub fn from_now() -> Result<Self> {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut kmsg = OpenOptions::new()
            .read(true)
            .custom_flags(nonblock)
            .open("/dev/kmsg")
            .context("opening the kernel log")?;
        kmsg.seek(SeekFrom::End(0))?;
        Ok(Self { kmsg })
    }

    /// The messages since the last call: level (3 is KERN_ERR) and text.
    ///
    /// # Errors
    /// If messages were overwritten before they were read.
    pub fn messages(&mut self) -> Result<Vec<(u8, String)>> {
        let mut messages = Vec::new();
        let mut record = [0; 8192]; // one read gives one record
        loop {
            match self.kmsg.read(&mut record) {
                Ok(length) => messages.push(message(&record[..length])?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
                Err(error) => return Err(error).context("reading the kernel log"),
            }
        }
    }
}

/// Takes a record `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n...` apart.
fn message(record: &[u8]) -> Result<(u8, String)> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record
        .split_once(';')
        .context("a log record without text")?;
    let (priority, _) = head
        .split_once(',')
        .context("a log record without priority")?;
    let text = text.lines().next().unwrap_or_default();
    Ok((priority.parse::<u32>()? as u8 & 7, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn a_record_is_taken_apart() {
        let record = b"11,5,7,-;[ERROR]: a; b\n SUBSYSTEM=x\n";
        assert_eq!(message(record).unwrap(), (3, "[ERROR]: a; b".to_owned()));
    }
}
