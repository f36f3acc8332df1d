// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all commands are told in the same way.

mod format;
mod scope;
mod source;

use clap::{Parser, ValueEnum};

use crate::commands::Command;

pub use format::{Format, FormatArgs};
pub use scope::ScopeArgs;
pub use source::SourceArgs;

/// How a command ends, for its help.
const AFTER: &str = "Exit status: 0 answered; 1 partly or not, as stderr says; 2 wrong usage.\n\
                     Sizes are in bytes, K, M, G of 1024 each. What cannot be known is shown as `-`.";

/// Answers questions about memory, on any Linux; exact and faster with the module `pagelens`.
#[derive(Debug, Parser)]
#[command(name = "pagelens", version, after_help = AFTER, infer_subcommands = true)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Args {
    /// What is asked.
    #[command(subcommand)]
    pub command: Command,

    /// How it is shown.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How output may look.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Terminal")]
pub struct OutputArgs {
    /// Use colours; `auto` heeds NO_COLOR, TERM=dumb and whether there is a terminal
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    pub color: Color,

    /// Do not show long answers through $PAGER
    #[arg(long, global = true)]
    pub no_pager: bool,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals that can.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }
}
