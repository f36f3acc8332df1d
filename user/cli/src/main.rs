// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command `pagelens`: which programs hold the memory, and what else there is to know of it.
//!
//! A file of `commands` for each command, with its arguments beside it; a file of `show` for each format;
//! all output goes through [`ui::Ui`].

#![forbid(unsafe_code)]

mod args;
mod commands;
mod error;
mod report;
mod show;
mod ui;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::ui::Ui;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut ui = Ui::new(&args.output);
    let outcome = commands::run(args.command, &mut ui).and_then(|status| {
        ui.finish()?;
        Ok(status)
    });
    match outcome {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => error::report(&error),
    }
}
