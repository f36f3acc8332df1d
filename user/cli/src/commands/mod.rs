// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands, one a file.

mod answer;
mod ps;

use anyhow::Result;
use clap::Subcommand;

use crate::error::Status;
use crate::ui::Ui;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Which programs hold the memory
    Ps(ps::Ps),
}

/// Answers.
pub fn run(command: Command, ui: &mut Ui) -> Result<Status> {
    match command {
        Command::Ps(args) => args.run(ui),
    }
}
