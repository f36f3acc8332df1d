// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands, one a file.

mod answer;
mod capture;
mod diff;
mod doctor;
mod map;
mod pages;
mod ps;
#[cfg(test)]
mod schema;
mod shm;
mod use_;

use anyhow::Result;
use clap::Subcommand;

use crate::error::Status;
use crate::ui::Ui;

/// What can be asked; what each is for stands beside its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Ps(ps::Ps),
    Use(use_::Use),
    Map(map::Map),
    Shm(shm::Shm),
    Capture(capture::Keep),
    Diff(diff::Diff),
    Doctor(doctor::Doctor),
    #[command(hide = true)]
    Completions(pages::Completions),
    #[command(hide = true)]
    Man(pages::Man),
}

/// Answers.
pub fn run(command: Command, ui: &mut Ui) -> Result<Status> {
    match command {
        Command::Ps(args) => args.run(ui),
        Command::Use(args) => args.run(ui),
        Command::Map(args) => args.run(ui),
        Command::Shm(args) => args.run(ui),
        Command::Capture(args) => args.run(ui),
        Command::Diff(args) => args.run(ui),
        Command::Doctor(args) => args.run(ui),
        Command::Completions(args) => args.run(ui),
        Command::Man(args) => args.run(ui),
    }
}
