// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab as a whole: where things are, and which kernels it knows.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::archive::{self, Freshness};
use crate::cache::Cache;
use crate::catalogue::Catalogue;
use crate::host::Host;
use crate::kernel::{self, Kernel};
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

    /// The kernel of that name, prepared to build modules against and to boot.
    pub fn kernel(&self, name: &str) -> Result<Kernel> {
        let row = self.catalogue.kernel(name)?;
        kernel::prepare(self, row)
    }

    /// Prints one line per kernel.
    pub fn print_kernels(&self, update: bool, prepare: bool) -> Result<()> {
        if update {
            archive::update(self)?;
        }
        if prepare {
            for row in &self.catalogue.kernels {
                self.kernel(&row.name)?;
            }
        }
        let mut lines = Vec::new();
        for row in &self.catalogue.kernels {
            let resolved = archive::resolve(self, row, Freshness::Recorded)?;
            let is_cached = kernel::is_cached(self, row, &resolved)?;
            let cached = if is_cached { "yes" } else { "no" };
            lines.push(format!(
                "{:<8} {:<26} {:<22} {cached:<7} {}",
                row.name, resolved.release, resolved.deb_version, row.what
            ));
        }
        println!(
            "{:<8} {:<26} {:<22} {:<7} WHAT",
            "NAME", "RELEASE", "PACKAGE VERSION", "CACHED"
        );
        lines.iter().for_each(|line| println!("{line}"));
        Ok(())
    }

    /// Removes the cache and the target folder.
    pub fn clean(&self) -> Result<()> {
        self.cache.remove(&self.host)?;
        self.host.remove_tree(&self.target)
    }
}
