// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings of the running kernel that undo themselves.

use std::fs;
use std::path::{Path, PathBuf};
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
        Ok(Self { name: name.to_owned() })
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

fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).is_dir()
}

fn modprobe(arguments: &[&str]) -> Result<()> {
    let output = Command::new("modprobe").args(arguments).output().context("running modprobe")?;
    ensure!(
        output.status.success(),
        "modprobe {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// A file of sysfs, debugfs or /proc/sys that gets its old value back when dropped.
#[derive(Debug)]
pub struct SysSetting {
    path: PathBuf,
    old: String,
}

impl SysSetting {
    /// Writes `value` to `path`.
    ///
    /// # Errors
    /// If the kernel lacks the file or refuses the value.
    pub fn set(path: impl Into<PathBuf>, value: &str) -> Result<Self> {
        let path = path.into();
        let shown = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        write(&path, value)?;
        Ok(Self { path, old: chosen(&shown).to_owned() })
    }

    /// Sets whether anonymous memory gets transparent huge pages: `always`, `never`, …
    ///
    /// # Errors
    /// As [`SysSetting::set`].
    pub fn huge_pages(value: &str) -> Result<Self> {
        Self::set("/sys/kernel/mm/transparent_hugepage/enabled", value)
    }
}

impl Drop for SysSetting {
    fn drop(&mut self) {
        if let Err(error) = write(&self.path, &self.old) {
            eprintln!("{error:#}");
        }
    }
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing {value} to {}", path.display()))
}

/// The current value in what a file shows: `always [madvise] never`, or the text itself.
fn chosen(shown: &str) -> &str {
    shown
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or(shown.trim(), |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn the_bracketed_word_is_the_current_value() {
        assert_eq!(chosen("always [madvise] never\n"), "madvise");
        assert_eq!(chosen("100\n"), "100");
    }
}
