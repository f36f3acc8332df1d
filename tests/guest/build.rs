// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the C side of the interfaces, so that the tests can go through the C headers, and counts
//! the tests: the runner's list must have all of them.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=.");
    println!("cargo::rerun-if-changed=../../pure/abi/include");
    println!("cargo::rustc-env=GUEST_TESTS={}", tests_in(Path::new("."))?);
    cc::Build::new()
        .files(["kshram/kshram.c", "memuse/memuse.c", "pf_stat/pf_stat.c"])
        .include("../../pure/abi/include")
        .warnings_into_errors(true)
        .compile("headers");
    Ok(())
}

/// How many functions bear the attribute.
fn tests_in(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count += tests_in(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            count += text.lines().filter(|line| line.trim() == "#[test]").count();
        }
    }
    Ok(count)
}
