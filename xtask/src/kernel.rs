// SPDX-License-Identifier: MIT OR Apache-2.0
//! Preparing a kernel: its image, its source with the Rust metadata that Debian does not ship, and
//! proof that what was rebuilt fits what Debian built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::archive::{self, Freshness, Resolved};
use crate::cache::key;
use crate::catalogue::{DebugConfig, KernelRow};
use crate::lab::Lab;
use crate::root::{self, As, Root};
use crate::run;

/// Runs inside the root; see there for what it does.
const PREPARE: &str = include_str!("../data/prepare-kernel.sh");
const DEBUG_CONFIG: &str = include_str!("../data/debug.config");

/// A kernel, ready to build for and to boot.
#[derive(Clone)]
pub struct Kernel {
    /// The row's name.
    pub name: String,
    /// What `uname -r` says.
    pub release: String,
    /// Words that its command line always has.
    pub append: String,
    /// Where modules are built for it.
    pub root: Root,
    dir: PathBuf,
}

impl Kernel {
    /// The bootable image.
    pub fn image(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The prepared source tree; bound at `/source` inside the root.
    pub fn source(&self) -> PathBuf {
        self.dir.join("source")
    }

    /// The kernel's own modules that the lab's guests load, uncompressed.
    pub fn own_modules(&self) -> PathBuf {
        self.dir.join("modules")
    }

    /// The variables that every `make` for this kernel gets.
    pub fn make_variables(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.dir.join("make-variables"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Names the exact build, for what is built against it.
    pub fn key(&self) -> String {
        self.dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

/// The kernel of that name, prepared to build modules against and to boot.
pub fn named(lab: &Lab, name: &str) -> Result<Kernel> {
    let row = lab.catalogue.kernel(name)?;
    prepare(lab, row)
}

/// Prepares the row's kernel unless the cache has it.
fn prepare(lab: &Lab, row: &KernelRow) -> Result<Kernel> {
    let mut had_roots = true;
    for root in &row.roots {
        had_roots &= lab.cache.path(&root::toolchain_name(lab, root)?).exists();
    }
    let mut resolved = archive::resolve(lab, row, Freshness::Recorded)?;
    if !lab.cache.path(&entry_name(lab, row, &resolved)?).exists() && had_roots {
        // The recorded version may have left the archive since.
        resolved = archive::resolve(lab, row, Freshness::AskArchive)?;
    }
    let root = root::toolchain(lab, &resolved.root)?;
    let dir = lab.cache.get_or_build(
        &lab.ui,
        &lab.host,
        &entry_name(lab, row, &resolved)?,
        |aside| build(lab, row, &resolved, &root, aside),
    )?;
    Ok(Kernel {
        name: row.name.clone(),
        release: resolved.release,
        append: row.append.clone(),
        root,
        dir,
    })
}

/// Whether `prepare` would find it in the cache.
fn is_cached(lab: &Lab, row: &KernelRow, resolved: &Resolved) -> Result<bool> {
    Ok(lab.cache.path(&entry_name(lab, row, resolved)?).exists())
}

/// Says what the kernel is, not which row asks for it: two that ask for the same share it.
fn entry_name(lab: &Lab, row: &KernelRow, resolved: &Resolved) -> Result<String> {
    let root_name = root::toolchain_name(lab, &resolved.root)?;
    let config = if row.config.is_some() {
        DEBUG_CONFIG
    } else {
        ""
    };
    let key = key(&[
        PREPARE,
        config,
        &root_name,
        &resolved.deb_version,
        &resolved.image,
    ]);
    Ok(format!("kernel-{}-{key}", resolved.release))
}

fn build(lab: &Lab, row: &KernelRow, resolved: &Resolved, root: &Root, aside: &Path) -> Result<()> {
    let what = match row.config {
        None => format!("Preparing kernel {} ({})", row.name, resolved.release),
        Some(DebugConfig::Debug) => format!(
            "Building the debug kernel ({}, once, about 12 minutes)",
            resolved.release
        ),
    };
    let debs = lab.cache.path("debs");
    fs::create_dir_all(&debs)?;
    fs::create_dir_all(aside.join("source"))?;
    fs::write(aside.join("prepare.sh"), PREPARE)?;
    if row.config.is_some() {
        fs::write(aside.join("debug.config"), DEBUG_CONFIG)?;
    }
    lab.ui.step(&what, |step| {
        step.clear_log();
        let source = aside.join("source");
        let binds = [
            (aside, "/stage"),
            (source.as_path(), "/source"),
            (debs.as_path(), "/debs"),
        ];
        let mut command = root.command(lab, As::Root, &binds)?;
        command
            .args([
                "sh",
                "/stage/prepare.sh",
                if row.config.is_some() {
                    "debug"
                } else {
                    "debian"
                },
            ])
            .args([
                &resolved.release,
                &resolved.deb_version,
                &resolved.image,
                &resolved.source,
            ]);
        run::run(step, &mut command)
            .with_context(|| format!("cannot prepare kernel '{}'", row.name))
    })
}

/// Prints one line per kernel.
pub fn print_all(lab: &Lab, update: bool, prepare: bool) -> Result<()> {
    if update {
        archive::update(lab)?;
    }
    if prepare {
        for row in &lab.catalogue.kernels {
            named(lab, &row.name)?;
        }
    }
    let mut lines = Vec::new();
    for row in &lab.catalogue.kernels {
        let resolved = archive::resolve(lab, row, Freshness::Recorded)?;
        let is_cached = is_cached(lab, row, &resolved)?;
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
