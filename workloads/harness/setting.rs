// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings of the running kernel that undo themselves.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file of sysfs, debugfs or /proc/sys that gets its old value back when dropped.
#[derive(Debug)]
pub struct SysSetting {
    path: PathBuf,
    old: String,
}

impl SysSetting {
    const HUGE_PAGES: &'static str = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// Writes `value` to `path`.
    ///
    /// # Errors
    /// If the kernel lacks the file or refuses the value.
    pub fn set(path: impl Into<PathBuf>, value: &str) -> Result<Self> {
        let path = path.into();
        let shown = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        write(&path, value)?;
        Ok(Self {
            path,
            old: chosen(&shown).to_owned(),
        })
    }

    /// Whether this kernel has transparent huge pages; those for real time do not.
    #[must_use]
    pub fn has_huge_pages() -> bool {
        Path::new(Self::HUGE_PAGES).exists()
    }

    /// Sets whether anonymous memory gets transparent huge pages: `always`, `never`, … `None`, and a
    /// word about it, if this kernel has none.
    ///
    /// # Errors
    /// As [`SysSetting::set`].
    pub fn huge_pages(value: &str) -> Result<Option<Self>> {
        if !Self::has_huge_pages() {
            println!("this kernel has no transparent huge pages");
            return Ok(None);
        }
        Self::set(Self::HUGE_PAGES, value).map(Some)
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
