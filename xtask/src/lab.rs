// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every step needs to know of its surroundings. It knows of no step itself.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::catalogue::Catalogue;
use crate::host::Host;
use crate::ui::Ui;

/// Everything a step needs to know about its surroundings.
pub struct Lab {
    /// The checkout.
    pub repo: PathBuf,
    /// Cargo's target folder; all output inside the checkout goes here.
    pub target: PathBuf,
    /// What is expensive to make.
    pub cache: Cache,
    /// The kernels and toolchain roots.
    pub catalogue: Catalogue,
    /// This machine: its packages, its privileges.
    pub host: Host,
    /// Progress and messages.
    pub ui: Ui,
}

impl Lab {
    /// Finds the checkout and the cache; changes nothing.
    pub fn open(verbose: bool) -> Result<Self> {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no parent folder")?
            .to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => repo.join("target"),
        };
        let ui = Ui::new(verbose, target.join("lab/logs"));
        Ok(Self {
            repo,
            target,
            cache: Cache::locate()?,
            catalogue: Catalogue::load()?,
            host: Host::detect(),
            ui,
        })
    }

    /// Removes the cache and the target folder.
    pub fn clean(&self) -> Result<()> {
        self.cache.remove(&self.host)?;
        self.host.remove_tree(&self.target)
    }
}
