// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of the pure code under Miri, which finds undefined behaviour that runs by luck.
//!
//! Miri comes with nightly toolchains only, so it is not part of `cargo xtask test`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::lab::Lab;
use crate::run;

/// Interpreted programs are some hundred times slower: fewer cases for each property.
const CASES: &str = "8";

/// The other pure crate, `abi`, has numbers only, and a test that starts the C compiler.
const CRATE: &str = "pagelens-model";

/// Runs them, or those whose name contains the filter.
pub fn run(lab: &Lab, toolchain: &str, filter: Option<&str>) -> Result<u8> {
    if run::output(miri(toolchain).arg("--version")).is_err() {
        bail!(
            "the toolchain `{toolchain}` has no Miri; to install it: \
             rustup toolchain install {toolchain} --profile minimal --component miri,rust-src"
        );
    }
    let mut tests = miri(toolchain);
    tests
        .current_dir(&lab.repo)
        .env("CARGO_TARGET_DIR", lab.target.join("miri"))
        // Property tests look for the cases that failed before; some tests leak what they borrow from.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-ignore-leaks")
        .env("PROPTEST_CASES", CASES)
        .args(["test", "--tests", "--package", CRATE])
        .args(filter);
    if !run::passthrough(&mut tests)? {
        bail!("a test failed under Miri");
    }
    Ok(0)
}

/// `cargo miri` of that toolchain.
fn miri(toolchain: &str) -> Command {
    rustup(&["run", toolchain, "cargo", "miri"])
}

/// `rustup`, without what this toolchain's cargo has put into the environment.
pub fn rustup(words: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(words);
    for name in ["RUSTC", "RUSTDOC", "CARGO", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}
