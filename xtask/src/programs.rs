// SPDX-License-Identifier: MIT OR Apache-2.0
//! Building our programs for the guest: static, because the minimal guest has no libc.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::lab::Lab;
use crate::run;

/// The target of both the host's tools and the guest's programs; naming it keeps `crt-static` away
/// from procedural macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Packages whose binaries go into the guest.
const PACKAGES: [&str; 4] = [
    "pagelens-workloads",
    "pagelens-bench",
    "pagelens-demo",
    "pagelens-cli",
];

/// One line of cargo's JSON messages.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds everything that goes into the guest's PATH.
pub fn build(lab: &Lab) -> Result<Vec<PathBuf>> {
    lab.ui.step("Building the programs", |_| {
        let mut cargo = cargo(lab, "build");
        for package in PACKAGES {
            cargo.args(["--package", package]);
        }
        executables(cargo.arg("--bins"))
    })
}

/// Builds the guest tests' one binary.
pub fn build_guest_tests(lab: &Lab) -> Result<PathBuf> {
    lab.ui.step("Building the guest tests", |_| {
        let mut cargo = cargo(lab, "test");
        let found =
            executables(cargo.args(["--no-run", "--package", "guest-tests", "--test", "guest"]))?;
        found
            .into_iter()
            .next()
            .context("cargo made no guest test binary")
    })
}

fn cargo(lab: &Lab, verb: &str) -> Command {
    let mut command = run::cargo();
    command
        .current_dir(&lab.repo)
        .args([
            verb,
            "--release",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
            "--quiet",
        ])
        .env(
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            "-Ctarget-feature=+crt-static -Dwarnings",
        );
    command
}

fn executables(command: &mut Command) -> Result<Vec<PathBuf>> {
    let line = run::line_of(command);
    let out = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(out.status.success(), "{line} failed");
    let text = String::from_utf8_lossy(&out.stdout);
    let found = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .collect();
    Ok(found)
}
