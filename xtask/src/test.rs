// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: lints, unit tests, the lab's own tests, the guest tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cli::Guest;
use crate::lab::Lab;
use crate::lint;
use crate::programs;
use crate::run;
use crate::vm::{self, VmRequest};

/// The guest tests' programs hold up to 800 MB, and the checkers of the debug kernel take as much.
const MEMORY_MIB: u32 = 4096;

/// How the names of tests begin that want the full guest.
const FULL: &str = "full::";

/// Where the test binary is put in the guest.
const GUEST_BINARY: &str = "/root/guest-tests";

/// Tells the lab's own tests which kernel they are to boot.
pub const KERNEL_VARIABLE: &str = "PAGELENS_TEST_KERNEL";

/// Runs everything on one kernel or on all; 0 only if all passed.
pub fn run(lab: &Lab, kernel: &str, long: bool, filter: Option<&str>) -> Result<u8> {
    let kernels: Vec<&str> = match kernel {
        "all" => lab
            .catalogue
            .kernels
            .iter()
            .map(|row| row.name.as_str())
            .collect(),
        one => vec![lab.catalogue.kernel(one)?.name.as_str()],
    };
    if filter.is_none() {
        lint::run(lab)?;
    }
    let mut failed = Vec::new();
    if !unit_tests(lab, filter)? {
        failed.push("unit tests".to_owned());
    }
    for kernel in kernels {
        lab.kernel(kernel)?;
        if !lab_tests(lab, kernel, filter)? {
            failed.push(format!("lab tests on {kernel}"));
        }
        match guest_tests(lab, kernel, long, filter)? {
            0 => {}
            status => failed.push(format!("guest tests on {kernel} (status {status})")),
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    lab.ui.note("all tests passed");
    Ok(0)
}

fn unit_tests(lab: &Lab, filter: Option<&str>) -> Result<bool> {
    lab.ui.note("— unit tests —");
    let mut cargo = cargo(lab);
    cargo.args([
        "test",
        "--quiet",
        "--workspace",
        "--exclude",
        "guest-tests",
        "--all-targets",
    ]);
    run::passthrough(cargo.args(filter))
}

/// The lab's promises about exit statuses and files, which need a VM each.
fn lab_tests(lab: &Lab, kernel: &str, filter: Option<&str>) -> Result<bool> {
    lab.ui.note(&format!("— the lab's own tests on {kernel} —"));
    let mut cargo = cargo(lab);
    cargo
        .args([
            "test",
            "--quiet",
            "--package",
            "xtask",
            "--test",
            "lab",
            "--",
        ])
        .args(filter);
    cargo.args(["--ignored", "--test-threads=1"]);
    run::passthrough(cargo.env(KERNEL_VARIABLE, kernel))
}

/// Tests whose name begins with `full::` run in the full guest, the others in the minimal one.
fn guest_tests(lab: &Lab, kernel: &str, long: bool, filter: Option<&str>) -> Result<u8> {
    let is_full = filter.is_some_and(|filter| filter.starts_with(FULL));
    if !is_full {
        let filter = filter.into_iter().chain(["--skip", FULL]);
        let status = run_guest_tests(lab, kernel, Guest::Minimal, long, filter)?;
        if status != 0 {
            return Ok(status);
        }
    }
    if is_full || filter.is_none() {
        let filter = [filter.unwrap_or(FULL)];
        return run_guest_tests(lab, kernel, Guest::Full, long, filter);
    }
    Ok(0)
}

fn run_guest_tests<'a>(
    lab: &Lab,
    kernel: &str,
    guest: Guest,
    long: bool,
    filter: impl IntoIterator<Item = &'a str>,
) -> Result<u8> {
    let what = match guest {
        Guest::Minimal => "guest tests",
        Guest::Full => "guest tests with real programs",
    };
    lab.ui.note(&format!("— {what} on {kernel} —"));
    let binary = programs::build_guest_tests(lab)?;
    let mut command = vec![
        "env",
        if long {
            "PAGELENS_LONG=1"
        } else {
            "PAGELENS_LONG=0"
        },
    ];
    command.extend([GUEST_BINARY, "--test-threads=1"]);
    command.extend(filter);
    let request = VmRequest {
        guest,
        memory_mib: MEMORY_MIB,
        copies: vec![(binary, PathBuf::from(GUEST_BINARY))],
        ..VmRequest::new(kernel, &command)
    };
    vm::run(lab, request)
}

fn cargo(lab: &Lab) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&lab.repo);
    command
}
