// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands, one a file.

mod answer;
mod capture;
mod diff;
mod doctor;
mod map;
mod ps;
#[cfg(test)]
mod schema;
mod shm;
mod use_;

use anyhow::Result;
use clap::Subcommand;

use crate::error::Status;
use crate::ui::Ui;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Which programs hold the memory
    Ps(ps::Ps),
    /// What a process's memory is used for
    Use(use_::Use),
    /// The address space of a process
    Map(map::Map),
    /// Shared memory of the kernel's that outlives its users
    Shm(shm::Shm),
    /// Keep a moment in a file
    Capture(capture::Keep),
    /// What changed between two moments
    Diff(diff::Diff),
    /// What is used, what is missing, and what mends it
    Doctor(doctor::Doctor),
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
    }
}
