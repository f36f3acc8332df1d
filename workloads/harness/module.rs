// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules.

use std::ffi::CString;
use std::fs::File;
use std::io;
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
