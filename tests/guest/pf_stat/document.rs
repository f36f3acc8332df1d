// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's transcript.

use std::fs;

use anyhow::{ensure, Result};
use workloads::Module;

use super::ranges;
use crate::support::shell;

/// A folder with the programs under the document's names.
fn folder() -> Result<&'static str> {
    let folder = "/tmp/pf_stat";
    fs::create_dir_all(folder)?;
    fs::copy("/usr/local/bin/pf-test", format!("{folder}/test"))?;
    fs::copy("/usr/local/bin/fork", format!("{folder}/fork"))?;
    Ok(folder)
}

fn run(command: &str) -> Result<String> {
    let output = shell(&format!("cd {} && {command}", folder()?))?;
    ensure!(output.status.success(), "{command}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_transcript_runs_to_the_letter() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    let said = run("./test -o set_param -p \"fork\"")?;
    assert_eq!(said, "pf_set_param performed successfully.\n");
    let areas = ranges(&run("./fork")?);
    let report = run("./test -o get_info -p \"fork\"")?;
    let lines: Vec<&str> = report.lines().collect();

    assert_eq!(lines[0], format!("Number of VMA      : {}", areas.len()));
    let total: u64 = lines[1]
        .strip_prefix("Number of COW faults: ")
        .expect("the second line")
        .parse()?;
    assert_eq!(lines[2], "All VMA:");
    assert_eq!(lines.len(), 3 + areas.len());
    let mut sum = 0;
    for (number, (line, (start, end))) in lines[3..].iter().zip(&areas).enumerate() {
        let size = end - start;
        let head = format!("[{number:2}]: {start:#x} - {end:#x} (size: {size:#x}): ");
        let faults = line.strip_prefix(&head).unwrap_or_else(|| panic!("{line}"));
        sum += faults.strip_suffix(" cow faults").unwrap().parse::<u64>()?;
    }
    assert_eq!(sum, total, "nothing of this program's memory is gone");
    // Eight mapped pages, written by child and parent, are among them.
    assert!(total >= 16, "{report}");

    let said = run("./test -o cleanup")?;
    assert_eq!(said, "pf_cleanup performed successfully.\n");
    Ok(())
}
