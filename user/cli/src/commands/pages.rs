// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of the manual and completions for shells, made of the same definition as the help.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;
use crate::error::Status;
use crate::ui::Ui;

/// Write the completions for a shell to stdout.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pagelens completions bash > /etc/bash_completion.d/pagelens")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Does it.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Args::command(), "pagelens", &mut text);
        ui.write(&text);
        Ok(Status::Answered)
    }
}

/// Write the pages of the manual into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pagelens man ~/.local/share/man/man1")]
pub struct Man {
    /// The folder
    folder: PathBuf,
}

impl Man {
    /// Does it.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let mut command = Args::command();
        command.build();
        write(&self.folder, &command)?;
        let shown = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        for command in shown.filter(|command| command.get_name() != "help") {
            write(&self.folder, command)?;
        }
        ui.note(&format!("wrote the pages to {}", self.folder.display()));
        Ok(Status::Answered)
    }
}

fn write(folder: &Path, command: &clap::Command) -> Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    // Of a command of a command, both names.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let file = folder.join(format!("{name}.1"));
    fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
}
