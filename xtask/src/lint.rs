// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that can be judged without booting.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use walkdir::WalkDir;

use crate::frames;
use crate::imports;
use crate::kernel;
use crate::lab::Lab;
use crate::miri::rustup;
use crate::modules::{self, Mode};
use crate::recursion;
use crate::root::As;
use crate::run;
use crate::seams;

/// The kernel whose toolchain judges the kernel code: the oldest compiler that we support.
const KERNEL: &str = "stock";

/// What checkpatch says of patches, of operations that are only measured, and of locks that are only
/// pointed to.
const IGNORED: &str = "FILE_PATH_CHANGES,COMMIT_MESSAGE,CONST_STRUCT,UNCOMMENTED_DEFINITION";

/// Runs all lints; the first that finds something stops.
pub fn run(lab: &Lab) -> Result<()> {
    let cargo = |what: &str, args: &[&str]| {
        lab.ui.step(what, |step| {
            step.clear_log();
            let mut command = run::cargo();
            command
                .current_dir(&lab.repo)
                .env("RUSTDOCFLAGS", "-Dwarnings")
                .args(args);
            run::run(step, &mut command)
        })
    };
    cargo("Checking the format", &["fmt", "--all", "--check"])?;
    format_of_kernel_code(lab)?;
    links(&lab.repo)?;
    unsafe_stays_in_kx(&lab.repo)?;
    cargo(
        "Clippy",
        &[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-Dwarnings",
        ],
    )?;
    // Plain `cargo test` must not run them, and so `--all-targets` leaves them out.
    cargo(
        "Clippy on the guest tests",
        &[
            "clippy",
            "--quiet",
            "--package",
            "guest-tests",
            "--test",
            "guest",
            "--",
            "-Dwarnings",
        ],
    )?;
    declared_versions(lab)?;
    cargo(
        "Rustdoc",
        &[
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ],
    )?;
    let kernel = kernel::named(lab, KERNEL)?;
    modules::compile(lab, &kernel, Mode::Clippy)?;
    recursion::check(lab, &kernel)?;
    frames::check(lab, &kernel)?;
    imports::check(lab, &kernel)?;
    seams::check(lab, &kernel)?;
    checkpatch(lab)
}

/// Each library and program is checked by the oldest Rust that it declares; its tests may want a later
/// one. Clippy looks for later functions of the standard library, too (`incompatible_msrv`), which takes
/// no other toolchain.
fn declared_versions(lab: &Lab) -> Result<()> {
    for (version, crates) in declared(&lab.repo)? {
        if !has_rust(lab, &version) {
            lab.ui.note(&format!(
                "rustup cannot get Rust {version}: only clippy has seen whether {} can do with it",
                crates.join(", ")
            ));
            continue;
        }
        lab.ui
            .step(&format!("Checking with Rust {version}"), |step| {
                step.clear_log();
                let mut command = rustup(&["run", &version, "cargo", "check", "--locked"]);
                command
                    .current_dir(&lab.repo)
                    .env("CARGO_TARGET_DIR", lab.target.join("declared"))
                    .arg("--quiet");
                for name in &crates {
                    command.args(["--package", name]);
                }
                run::run(step, &mut command)
            })?;
    }
    Ok(())
}

/// The workspace's crates by the Rust that they declare.
fn declared(repo: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut cargo = run::cargo();
    cargo
        .current_dir(repo)
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"]);
    let metadata: serde_json::Value = serde_json::from_str(&run::output(&mut cargo)?)?;
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for each in metadata["packages"].as_array().context("no packages")? {
        let name = each["name"].as_str().context("no name")?;
        let version = each["rust_version"]
            .as_str()
            .with_context(|| format!("{name} does not declare its rust-version"))?;
        found
            .entry(version.to_owned())
            .or_default()
            .push(name.to_owned());
    }
    Ok(found)
}

/// Whether rustup has that toolchain, or gets it now.
fn has_rust(lab: &Lab, version: &str) -> bool {
    if run::output(&mut rustup(&["run", version, "rustc", "--version"])).is_ok() {
        return true;
    }
    let install = lab.ui.step(&format!("Installing Rust {version}"), |step| {
        step.clear_log();
        let words = ["toolchain", "install", version, "--profile", "minimal"];
        run::run(step, &mut rustup(&words))
    });
    install.is_ok()
}

/// All files with this extension below the checkout's folders, in order.
fn files(repo: &Path, folders: &[&str], extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let hidden = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() > 0 && (name.starts_with('.') || name == "target")
        };
        for entry in WalkDir::new(repo.join(folder))
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|e| !hidden(e))
        {
            let path = entry?.into_path();
            if path
                .extension()
                .is_some_and(|e| extensions.iter().any(|wanted| e == *wanted))
            {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn format_of_kernel_code(lab: &Lab) -> Result<()> {
    let sources = files(&lab.repo, &["kernel", "tests/modules"], &["rs"])?;
    lab.ui
        .step("Checking the format of the kernel code", |step| {
            step.clear_log();
            let mut command = Command::new("rustfmt");
            command
                .args(["--check", "--edition", "2021"])
                .args(&sources);
            run::run(step, &mut command)
        })
}

/// The C shim is held to the kernel's own style.
fn checkpatch(lab: &Lab) -> Result<()> {
    let sources = files(&lab.repo, &["kernel", "tests/modules"], &["c", "h"])?;
    if sources.is_empty() {
        return Ok(());
    }
    let kernel = kernel::named(lab, KERNEL)?;
    lab.ui.step("Checking the C shim's style", |step| {
        step.clear_log();
        let (source, repo) = (kernel.source(), lab.repo.as_path());
        let binds = [(source.as_path(), "/source"), (repo, "/stage")];
        let mut command = kernel.root.command(lab, As::User, &binds)?;
        command.args([
            "perl",
            "/source/scripts/checkpatch.pl",
            "--no-tree",
            "--terse",
            "--strict",
        ]);
        command.args(["--ignore", IGNORED, "-f"]);
        for file in &sources {
            command.arg(Path::new("/stage").join(file.strip_prefix(repo)?));
        }
        run::run(step, &mut command)
    })
}

/// `unsafe` has one home; module roots must say so themselves.
fn unsafe_stays_in_kx(repo: &Path) -> Result<()> {
    for file in files(repo, &["kernel"], &["rs"])? {
        let is_root = file
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("_main"));
        if is_root {
            let text = fs::read_to_string(&file)?;
            ensure!(
                text.contains("#![deny(unsafe_code)]"),
                "{}: a module root must deny(unsafe_code)",
                file.display()
            );
        }
    }
    for file in files(repo, &["pure"], &["rs"])?
        .iter()
        .filter(|file| file.ends_with("src/lib.rs"))
    {
        let text = fs::read_to_string(file)?;
        ensure!(
            text.contains("#![forbid(unsafe_code)]"),
            "{}: a pure crate must forbid(unsafe_code)",
            file.display()
        );
    }
    Ok(())
}

/// Every relative link of the documentation leads to a file, and every fragment to a heading.
fn links(repo: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for file in files(repo, &[""], &["md"])? {
        let text = fs::read_to_string(&file)?;
        for link in relative_links(&text) {
            if let Err(why) = check_link(&file, &link) {
                broken.push(format!("{}: {link}: {why}", file.display()));
            }
        }
    }
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// The targets of `[text](target)` outside code, without those on the web.
fn relative_links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.is_empty() {
                found.push(target.to_owned());
            }
        }
    }
    found
}

fn check_link(file: &Path, link: &str) -> Result<()> {
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        file.to_owned()
    } else {
        file.parent().context("no parent")?.join(path)
    };
    ensure!(target.exists(), "no such file");
    if !fragment.is_empty() && target.extension().is_some_and(|e| e == "md") {
        let text = fs::read_to_string(&target)?;
        let known = text
            .lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| anchor(line) == fragment);
        ensure!(known, "no such heading");
    }
    Ok(())
}

/// A heading's fragment, as the usual renderers make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_is_checked_with_the_rust_that_it_declares() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let declared = declared(repo).unwrap();
        let version_of = |name: &str| {
            let mut all = declared.iter();
            let found = all.find(|(_, crates)| crates.iter().any(|each| each == name));
            found.map(|(version, _)| version.as_str())
        };
        assert_eq!(version_of("xtask"), Some("1.89"));
        assert_eq!(version_of("pagelens"), Some("1.85"));
    }

    #[test]
    fn links_are_found_outside_code_only() {
        let text =
            "see [a](a.md) and [b](b.md#part)\n```\n[c](c.md)\n```\n[web](https://x.example)\n";
        assert_eq!(relative_links(text), ["a.md", "b.md#part"]);
    }

    #[test]
    fn a_heading_becomes_its_fragment() {
        assert_eq!(
            anchor("## What `valid` means, and why"),
            "what-valid-means-and-why"
        );
    }

    #[test]
    fn a_link_to_nowhere_is_refused() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(check_link(&here, "nowhere.md").is_err());
        assert!(check_link(&here, "src/lint.rs").is_ok());
    }
}
