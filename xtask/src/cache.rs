// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cache folder: results that are expensive to make, each under a name that says what went in.
//!
//! Invariants, which make it safe against two runs at once and against a run that is killed:
//! - An entry's folder exists only when it is complete: it is built aside, under `partial/`, and
//!   renamed into place.
//! - Only the holder of the entry's lock file builds it, or removes what an earlier builder left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::host::Host;
use crate::ui::Ui;

/// The folder.
pub struct Cache {
    dir: PathBuf,
}

/// A short name for everything that went into an entry.
pub fn key(parts: &[&str]) -> String {
    format!("{:016x}", xxh3_64(parts.join("\0").as_bytes()))[..10].to_owned()
}

impl Cache {
    /// `PAGELENS_CACHE`, else the XDG cache folder; not created yet.
    pub fn locate() -> Result<Self> {
        let non_empty = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dir = match non_empty("PAGELENS_CACHE") {
            Some(dir) => PathBuf::from(dir),
            None => match non_empty("XDG_CACHE_HOME") {
                Some(dir) => PathBuf::from(dir).join("pagelens"),
                None => {
                    let home = non_empty("HOME").context("set HOME or PAGELENS_CACHE")?;
                    PathBuf::from(home).join(".cache/pagelens")
                }
            },
        };
        Ok(Self {
            dir: std::path::absolute(dir)?,
        })
    }

    /// Where a finished entry is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The entry, built by `build` into the folder it is given if it is not there yet.
    pub fn get_or_build(
        &self,
        ui: &Ui,
        host: &Host,
        name: &str,
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let done = self.path(name);
        if done.exists() {
            return Ok(done);
        }
        let _lock = self.lock(ui, name)?;
        if done.exists() {
            return Ok(done);
        }
        self.sweep(host)?;
        let aside = self.dir.join("partial").join(name);
        host.remove_tree(&aside)?;
        fs::create_dir_all(&aside)?;
        build(&aside)?;
        fs::rename(&aside, &done)
            .with_context(|| format!("cannot move {} into place", aside.display()))?;
        Ok(done)
    }

    /// Removes what killed runs were building, unless somebody builds it again by now.
    fn sweep(&self, host: &Host) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.dir.join("partial")) else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry?;
            let lock = File::create(self.dir.join("locks").join(entry.file_name()))?;
            if entry.file_type()?.is_dir() && lock.try_lock().is_ok() {
                host.remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Replaces a small file as a whole.
    pub fn write(&self, name: &str, contents: &str) -> Result<()> {
        let aside = self
            .dir
            .join("partial")
            .join(format!("{name}.{}", std::process::id()));
        fs::create_dir_all(self.dir.join("partial"))?;
        fs::write(&aside, contents)?;
        Ok(fs::rename(&aside, self.path(name))?)
    }

    /// A small file, if it is there.
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// Holds the entry's lock until the result is dropped (or the process dies).
    pub fn lock(&self, ui: &Ui, name: &str) -> Result<File> {
        let locks = self.dir.join("locks");
        fs::create_dir_all(&locks)
            .with_context(|| format!("cannot write to the cache folder {}", self.dir.display()))?;
        let file = File::create(locks.join(name))?;
        if file.try_lock().is_err() {
            ui.step(
                &format!("Waiting for another run that makes {name}"),
                |_| Ok(file.lock()?),
            )?;
        }
        Ok(file)
    }

    /// Removes the whole folder.
    pub fn remove(&self, host: &Host) -> Result<()> {
        host.remove_tree(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn scratch(name: &str) -> (Cache, Ui, Host) {
        let dir =
            std::env::temp_dir().join(format!("pagelens-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        (
            Cache { dir: dir.clone() },
            Ui::new(false, dir.join("logs")),
            Host::detect(),
        )
    }

    #[test]
    fn an_entry_is_built_once_by_many_at_once() {
        let (cache, ui, host) = scratch("once");
        let built = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let path = cache.get_or_build(&ui, &host, "thing", |aside| {
                        built.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        Ok(fs::write(aside.join("file"), "x")?)
                    });
                    assert!(path.unwrap().join("file").exists());
                });
            }
        });
        assert_eq!(built.load(Ordering::SeqCst), 1);
        cache.remove(&host).unwrap();
    }

    #[test]
    fn what_an_interrupted_build_left_is_not_taken_for_the_entry() {
        let (cache, ui, host) = scratch("interrupted");
        let failed = cache.get_or_build(&ui, &host, "thing", |aside| {
            fs::write(aside.join("half"), "x")?;
            anyhow::bail!("killed")
        });
        assert!(failed.is_err());
        assert!(!cache.path("thing").exists());
        let path = cache
            .get_or_build(&ui, &host, "thing", |aside| {
                Ok(fs::write(aside.join("whole"), "x")?)
            })
            .unwrap();
        assert!(path.join("whole").exists());
        assert!(
            !path.join("half").exists(),
            "the new build started from the old one's leftovers"
        );
        cache.remove(&host).unwrap();
    }

    #[test]
    fn leftovers_of_other_entries_go_unless_they_are_being_built() {
        let (cache, ui, host) = scratch("sweep");
        for name in ["dead", "alive"] {
            fs::create_dir_all(cache.path("partial").join(name)).unwrap();
        }
        let _building = cache.lock(&ui, "alive").unwrap();
        cache.get_or_build(&ui, &host, "thing", |_| Ok(())).unwrap();
        assert!(!cache.path("partial/dead").exists());
        assert!(cache.path("partial/alive").exists());
        cache.remove(&host).unwrap();
    }

    #[test]
    fn keys_differ_when_a_part_moves_to_its_neighbour() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
