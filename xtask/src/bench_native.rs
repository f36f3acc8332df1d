// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks on this machine: the programs as a user builds them, and peers as their authors ship them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::run;
use crate::ui::Step;

/// Builds the programs, gets the peers and measures.
pub fn run(lab: &Lab, name: &str) -> Result<u8> {
    lab.ui
        .step("Building the programs for this machine", |step| {
            step.clear_log();
            let packages = ["--package", "pagelens-cli", "--package", "pagelens-bench"];
            let mut cargo = run::cargo();
            cargo
                .current_dir(&lab.repo)
                .args(["build", "--release", "--quiet"]);
            run::run(step, cargo.args(packages).arg("--bins"))
        })?;
    let peers = lab.target.join("lab/peers");
    fs::create_dir_all(&peers)?;
    get(
        lab,
        &peers,
        "smem",
        &["apt-get", "download", "--quiet", "smem"],
    )?;
    let pip = [
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary=:none:",
        "ps_mem",
    ];
    get(lab, &peers, "ps_mem.py", &pip)?;
    let mut bench = Command::new(lab.target.join("release/pagelens-bench"));
    bench.arg(name).env("PAGELENS_BENCH_PEERS", &peers);
    ensure!(run::passthrough(&mut bench)?, "the benchmark failed");
    Ok(0)
}

/// Gets a peer into a folder. Without it there is one row less, as the benchmark says.
fn get(lab: &Lab, folder: &Path, program: &str, download: &[&str]) -> Result<()> {
    if folder.join(program).exists() {
        return Ok(());
    }
    let got = lab.ui.step(&format!("Getting {program}"), |step| {
        step.clear_log();
        let mut command = Command::new(download[0]);
        run::run(step, command.args(&download[1..]).current_dir(folder))?;
        unpack(step, folder, program)
    });
    if let Err(error) = got {
        lab.ui.note(&format!("{program} is not to be had: {error}"));
    }
    Ok(())
}

/// Takes the program out of what was downloaded: a Debian package, or a wheel, which is a zip archive.
fn unpack(step: &Step, folder: &Path, program: &str) -> Result<()> {
    let script = match program {
        "smem" => "dpkg-deb --fsys-tarfile smem_*.deb | tar -xO ./usr/bin/smem > smem",
        _ => "python3 -m zipfile -e ps_mem-*.whl .",
    };
    let mut shell = Command::new("sh");
    run::run(step, shell.args(["-c", script]).current_dir(folder))
}
