// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab: from a fresh Debian machine to our modules running inside a stock Debian kernel.
//!
//! One file per step. `root` makes the toolchain's Debian root, `archive` finds which versions the
//! archive has, `kernel` prepares one to build modules against, `modules` and `programs` build ours,
//! `guest` packs what the VM boots, `machine` runs it, `vm` judges how it ended. Steps talk through
//! the cache folder: each result is built aside and renamed into place, so that a run can be killed
//! at any moment and the next one goes on.

mod accel;
mod archive;
mod bench;
mod bench_native;
mod cache;
mod catalogue;
#[cfg(test)]
mod circles;
mod cli;
mod demo;
mod experiments;
mod frames;
mod guest;
mod host;
mod ide;
mod imports;
mod kernel;
mod lab;
mod lint;
mod machine;
mod miri;
mod modules;
mod programs;
mod recursion;
mod report;
mod request;
mod root;
mod run;
mod seams;
mod tally;
mod test;
mod ui;
mod verdict;
mod vm;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    let running_a_vm = matches!(args.command, cli::Command::Vm(_));
    match cli::dispatch(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            // For `vm`, 1 could be the guest command's own status.
            ExitCode::from(if running_a_vm { vm::LAB_FAILED } else { 1 })
        }
    }
}
