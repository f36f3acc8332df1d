// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: lints, unit tests, the lab's own tests, the guest tests.

use std::io::Stdout;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::kernel;
use crate::lab::Lab;
use crate::lint;
use crate::programs;
use crate::request::{Guest, Threads, VmRequest};
use crate::run;
use crate::tally::Tally;
use crate::vm;

/// The guest tests' programs hold up to 800 MB, and the checkers of the debug kernel take as much.
const MEMORY_MIB: u32 = 4096;

/// Long ones have more than 32768 living processes, of 140 KB each.
const LONG_MEMORY_MIB: u32 = 6144;

/// The test modules that want the full guest.
const FULL: &[&str] = &["full"];

/// The test modules that patch the kernel's code while it runs: see [`Threads`].
const PATCHING: &[&str] = &["memuse", "pf_stat"];

/// How long a machine may take to boot, and, however many tests there are, to run them all.
const TO_BOOT: Duration = Duration::from_secs(15 * 60);
const MOST: Duration = Duration::from_secs(12 * 3600);

/// Has the guest tests draw the same random numbers again.
const SEED: &str = "PAGELENS_SEED";

/// Where the test binary is put in the guest.
const GUEST_BINARY: &str = "/root/guest-tests";

/// A machine to test on.
struct Machine {
    what: &'static str,
    guest: Guest,
    threads: Threads,
    /// Words for the kernel's command line.
    append: &'static str,
    /// The test modules for which it matters; all if empty.
    only: &'static [&'static str],
}

impl Machine {
    /// Whether a test runs here: one of the modules for this machine, and of none that run on
    /// another one alone.
    fn wants(&self, test: &str) -> bool {
        let is_in = |modules: &[&str]| test.split("::").any(|part| modules.contains(&part));
        let is_elsewhere = [FULL, PATCHING]
            .iter()
            .any(|elsewhere| self.only != *elsewhere && is_in(elsewhere));
        !is_elsewhere && (self.only.is_empty() || is_in(self.only))
    }
}

/// The emulated processor translates addresses in five levels and needs no page-table isolation;
/// most others translate in four, and some need it.
const MACHINES: [&Machine; 4] = [
    &Machine {
        what: "as it is",
        guest: Guest::Minimal,
        threads: Threads::OnePerCpu,
        append: "",
        only: &[],
    },
    &Machine {
        what: "with four levels of page tables, isolated",
        guest: Guest::Minimal,
        threads: Threads::OnePerCpu,
        append: "no5lvl pti=on",
        only: &["page_tables"],
    },
    &Machine {
        what: "where code may be patched",
        guest: Guest::Minimal,
        threads: Threads::One,
        append: "",
        only: PATCHING,
    },
    &Machine {
        what: "with real programs",
        guest: Guest::Full,
        threads: Threads::One,
        append: "",
        only: FULL,
    },
];

/// A dynamically linked program and what it needs, from the toolchain root: our own programs are
/// linked statically.
const DYNAMIC: [(&str, &str); 3] = [
    ("usr/bin/cat", "/lab/dynamic/cat"),
    (
        "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "/lib64/ld-linux-x86-64.so.2",
    ),
    (
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/x86_64-linux-gnu/libc.so.6",
    ),
];

/// Tells the lab's own tests which kernel they are to boot.
pub const KERNEL_VARIABLE: &str = "PAGELENS_TEST_KERNEL";

/// Runs everything on one kernel or on all; 0 only if all passed.
pub fn run(lab: &Lab, kernel: &str, long: bool, parts: &[String]) -> Result<u8> {
    let kernels: Vec<&str> = match kernel {
        "all" => lab
            .catalogue
            .kernels
            .iter()
            .map(|row| row.name.as_str())
            .collect(),
        one => vec![lab.catalogue.kernel(one)?.name.as_str()],
    };
    if parts.is_empty() {
        lint::run(lab)?;
    }
    let mut tally = Tally::new(std::io::stdout());
    let mut failed = Vec::new();
    if !unit_tests(lab, parts, &mut tally)? {
        failed.push("unit tests".to_owned());
    }
    let binary = programs::build_guest_tests(lab)?;
    let tests = Tests {
        names: guest_test_names(&binary, parts)?,
        binary,
        long,
    };
    for kernel in kernels {
        kernel::named(lab, kernel)?;
        if !lab_tests(lab, kernel, parts, &mut tally)? {
            failed.push(format!("lab tests on {kernel}"));
        }
        for machine in MACHINES {
            match guest_tests(lab, kernel, &tests, machine, &mut tally)? {
                0 => {}
                status => failed.push(format!(
                    "guest tests on {kernel}, {} (status {status})",
                    machine.what
                )),
            }
        }
    }
    ensure!(
        parts.is_empty() || tally.seen() > 0,
        "no test matches '{}'",
        parts.join("' or '")
    );
    println!("{tally}");
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(0)
}

/// What all runners' output goes through.
type Results = Tally<Stdout>;

/// The guest tests to run.
struct Tests {
    binary: PathBuf,
    names: Vec<String>,
    /// Whether storms and fuzzers shall last.
    long: bool,
}

fn unit_tests(lab: &Lab, parts: &[String], tally: &mut Results) -> Result<bool> {
    tally.head("— unit tests —".to_owned());
    let mut passed = true;
    for what in ["--all-targets", "--doc"] {
        let mut cargo = cargo(lab);
        let workspace = ["--workspace", "--exclude", "guest-tests"];
        cargo.args(["test", "--quiet", what]).args(workspace);
        passed &= counted(cargo.arg("--").args(parts), tally)?;
    }
    Ok(passed)
}

fn counted(command: &mut Command, tally: &mut Results) -> Result<bool> {
    let failed = tally.failed;
    let is_success = run::copied(command, tally)?;
    tally.end(failed, is_success)?;
    Ok(is_success)
}

/// The lab's promises about exit statuses and files, which need a VM each.
fn lab_tests(lab: &Lab, kernel: &str, parts: &[String], tally: &mut Results) -> Result<bool> {
    tally.head(format!("— the lab's own tests on {kernel} —"));
    let mut cargo = cargo(lab);
    cargo.args(["test", "--quiet", "--package", "xtask", "--test", "lab"]);
    cargo.arg("--").args(parts);
    cargo.args(["--no-capture", "--ignored", "--test-threads=1"]);
    counted(cargo.env(KERNEL_VARIABLE, kernel), tally)
}

/// The names of the guest tests that contain one of these, or of all.
fn guest_test_names(binary: &Path, parts: &[String]) -> Result<Vec<String>> {
    // Listing runs none of them.
    let mut list = Command::new(binary);
    list.arg("--list").args(parts);
    let names = run::output(&mut list)?;
    Ok(names.lines().map(str::to_owned).collect())
}

fn guest_tests(
    lab: &Lab,
    kernel: &str,
    tests: &Tests,
    machine: &Machine,
    tally: &mut Results,
) -> Result<u8> {
    let names: Vec<&str> = tests
        .names
        .iter()
        .map(String::as_str)
        .filter(|name| machine.wants(name))
        .collect();
    if names.is_empty() {
        return Ok(0);
    }
    tally.head(format!("— guest tests on {kernel}, {} —", machine.what));
    let limit = limit(kernel, tests.long);
    let all = limit.saturating_mul(u32::try_from(names.len())?).min(MOST);
    let variables = [
        format!("PAGELENS_LONG={}", u8::from(tests.long)),
        format!("PAGELENS_KERNEL={kernel}"),
        format!("PAGELENS_TEST_SECONDS={}", limit.as_secs()),
    ];
    let seed = std::env::var(SEED).map(|seed| format!("{SEED}={seed}"));
    let mut command = vec!["env"];
    command.extend(variables.iter().chain(&seed).map(String::as_str));
    command.push(GUEST_BINARY);
    command.extend(names);
    let root = kernel::named(lab, kernel)?.root.dir;
    let mut copies = vec![(tests.binary.clone(), PathBuf::from(GUEST_BINARY))];
    if machine.guest == Guest::Minimal {
        copies.extend(DYNAMIC.map(|(from, to)| (root.join(from), Path::new(to).to_owned())));
    }
    let request = VmRequest {
        guest: machine.guest,
        threads: machine.threads,
        memory_mib: if tests.long {
            LONG_MEMORY_MIB
        } else {
            MEMORY_MIB
        },
        copies,
        append: machine.append.to_owned(),
        timeout: Some(all + TO_BOOT),
        ..VmRequest::new(kernel, &command)
    };
    let failed = tally.failed;
    let status = vm::run_into(lab, request, tally)?;
    tally.end(failed, status == 0)?;
    Ok(status)
}

/// How long one guest test may take: the slowest of the fast kernels needs a twentieth of it.
fn limit(kernel: &str, long: bool) -> Duration {
    let minutes = if long { 90 } else { 10 };
    let slower = if kernel == "debug" { 3 } else { 1 };
    Duration::from_secs(60 * minutes * slower)
}

fn cargo(lab: &Lab) -> Command {
    let mut command = run::cargo();
    command.current_dir(&lab.repo);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_test_runs_on_the_machines_that_it_concerns() {
        let on = |test: &str| MACHINES.map(|machine| machine.wants(test));
        assert_eq!(on("memory_info::document::x"), [true, false, false, false]);
        assert_eq!(on("vm_layout::page_tables::x"), [true, true, false, false]);
        assert_eq!(on("pf_stat::life::x"), [false, false, true, false]);
        assert_eq!(on("full::redis::x"), [false, false, false, true]);
    }
}
