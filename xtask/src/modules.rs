// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building our kernel modules with Kbuild, inside the toolchain root.
//!
//! Kbuild writes beside the sources, so each kernel gets a copy of them below `target/`; only files
//! that changed are copied again, and nothing is run when nothing changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use walkdir::WalkDir;

use crate::cache::key;
use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::root::As;
use crate::run;

/// What Kbuild compiles: our modules, what they share with user space, and the modules that misbehave
/// on purpose so that the lab can be tested.
const SOURCES: [&str; 3] = ["kernel", "pure", "tests/modules"];

/// How modules are compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To be loaded.
    Build,
    /// With clippy in place of rustc.
    Clippy,
}

/// Builds every module for the kernel; returns the `.ko` files.
pub fn build(lab: &Lab, kernel: &Kernel) -> Result<Vec<PathBuf>> {
    compile(lab, kernel, Mode::Build)
}

/// Compiles every module in the given mode.
pub fn compile(lab: &Lab, kernel: &Kernel, mode: Mode) -> Result<Vec<PathBuf>> {
    let stage = stage_dir(lab, kernel, mode);
    fs::create_dir_all(&stage)?;
    let lock = fs::File::create(stage.with_extension("lock"))?;
    lock.lock()?;
    let sources = synchronise(&lab.repo, &stage)?;
    let stamp = stage.join("built");
    let state = key(&[&sources, &kernel.key()]);
    if fs::read_to_string(&stamp).is_ok_and(|old| old == state) {
        return built_modules(&stage);
    }
    let _ = fs::remove_file(&stamp);
    let what = match mode {
        Mode::Build => format!("Building the modules for {}", kernel.name),
        Mode::Clippy => format!("Clippy on the modules for {}", kernel.name),
    };
    lab.ui.step(&what, |step| {
        step.clear_log();
        let mut command = make(lab, kernel, &stage, "/stage")?;
        command.arg("modules");
        command.arg(format!("-j{}", std::thread::available_parallelism()?));
        if mode == Mode::Clippy {
            command.arg("CLIPPY=1");
        }
        run::run(step, &mut command)
    })?;
    fs::write(&stamp, state)?;
    built_modules(&stage)
}

/// Kbuild on a folder of `stage`, which is `/stage` in the toolchain root.
pub fn make(lab: &Lab, kernel: &Kernel, stage: &Path, folder: &str) -> Result<Command> {
    let source = kernel.source();
    let binds = [(source.as_path(), "/source"), (stage, "/stage")];
    let mut command = kernel.root.command(lab, As::User, &binds)?;
    command
        .args(["make", "-C", "/source", &format!("M={folder}")])
        .args(kernel.make_variables()?);
    Ok(command)
}

/// What a program of the toolchain says of each of our modules, by the module's path below the
/// checkout.
pub fn inspect(lab: &Lab, kernel: &Kernel, program: &[&str]) -> Result<Vec<(PathBuf, String)>> {
    let stage = stage_dir(lab, kernel, Mode::Build);
    let mut found = Vec::new();
    for module in build(lab, kernel)? {
        let relative = module.strip_prefix(&stage)?;
        if relative.starts_with("kernel") {
            let mut command = kernel.root.command(lab, As::User, &[(&stage, "/stage")])?;
            command
                .args(program)
                .arg(Path::new("/stage").join(relative));
            found.push((relative.to_owned(), run::output(&mut command)?));
        }
    }
    Ok(found)
}

/// The folder in which a kernel's modules are built.
pub fn stage_dir(lab: &Lab, kernel: &Kernel, mode: Mode) -> PathBuf {
    let kind = match mode {
        Mode::Build => "modules",
        Mode::Clippy => "clippy",
    };
    lab.target.join("lab").join(kind).join(&kernel.name)
}

fn built_modules(stage: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(stage).sort_by_file_name() {
        let path = entry?.into_path();
        if path.extension().is_some_and(|extension| extension == "ko") {
            found.push(path);
        }
    }
    ensure!(
        !found.is_empty(),
        "Kbuild made no module in {}",
        stage.display()
    );
    Ok(found)
}

/// Makes the copy equal to the checkout's sources; the result names their whole content.
fn synchronise(repo: &Path, stage: &Path) -> Result<String> {
    let mut wanted = BTreeSet::new();
    let mut contents = Vec::new();
    for source in SOURCES {
        for entry in WalkDir::new(repo.join(source)).sort_by_file_name() {
            let path = entry
                .with_context(|| format!("cannot read {source}"))?
                .into_path();
            let relative = path.strip_prefix(repo)?.to_owned();
            if path.is_file()
                && is_source(&path)
                && !relative
                    .components()
                    .any(|part| part.as_os_str() == "target")
            {
                let text = fs::read(&path)?;
                contents.push(format!(
                    "{}\0{:x}",
                    relative.display(),
                    xxhash_rust::xxh3::xxh3_128(&text)
                ));
                copy_if_changed(&text, &stage.join(&relative))?;
                wanted.insert(relative);
            }
        }
    }
    let kbuild = "# Generated: the folders of modules.\nobj-m := kernel/ tests/modules/\n";
    copy_if_changed(kbuild.as_bytes(), &stage.join("Kbuild"))?;
    remove_stale(stage, &wanted)?;
    Ok(key(&contents
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()))
}

fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let generated = name.ends_with(".mod.c") || name.starts_with('.');
    let kind = path
        .extension()
        .is_some_and(|e| ["rs", "c", "h", "kbuild"].iter().any(|known| e == *known));
    !generated && (kind || name == "Kbuild")
}

fn copy_if_changed(text: &[u8], to: &Path) -> Result<()> {
    if fs::read(to).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

/// Removes copies whose original is gone, and modules whose folder is gone with them.
fn remove_stale(stage: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for source in SOURCES {
        for entry in WalkDir::new(stage.join(source)) {
            let Ok(entry) = entry else { continue };
            let relative = entry.path().strip_prefix(stage)?.to_owned();
            if entry.path().is_file() && is_source(entry.path()) && !wanted.contains(&relative) {
                fs::remove_file(entry.path())?;
            }
            let orphan = entry.path().extension().is_some_and(|e| e == "ko")
                && entry
                    .path()
                    .parent()
                    .is_some_and(|dir| !dir.join("Kbuild").exists());
            if orphan {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_follows_the_checkout_and_keeps_what_kbuild_made() {
        let dir = std::env::temp_dir().join(format!("pagelens-sync-{}", std::process::id()));
        let (repo, stage) = (dir.join("repo"), dir.join("stage"));
        let _ = fs::remove_dir_all(&dir);
        for source in SOURCES {
            fs::create_dir_all(repo.join(source)).unwrap();
        }
        fs::create_dir_all(repo.join("kernel/a")).unwrap();
        fs::write(repo.join("kernel/a/a_main.rs"), "one").unwrap();
        fs::write(repo.join("kernel/a/Kbuild"), "k").unwrap();
        let first = synchronise(&repo, &stage).unwrap();
        fs::write(stage.join("kernel/a/a_main.o"), "object").unwrap();
        assert_eq!(first, synchronise(&repo, &stage).unwrap());
        fs::write(repo.join("kernel/a/a_main.rs"), "two").unwrap();
        assert_ne!(first, synchronise(&repo, &stage).unwrap());
        assert_eq!(
            fs::read_to_string(stage.join("kernel/a/a_main.rs")).unwrap(),
            "two"
        );
        assert!(stage.join("kernel/a/a_main.o").exists());
        fs::remove_file(repo.join("kernel/a/a_main.rs")).unwrap();
        synchronise(&repo, &stage).unwrap();
        assert!(!stage.join("kernel/a/a_main.rs").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
