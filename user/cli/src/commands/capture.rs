// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens capture`: a moment kept in a file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use pagelens::processes::{Processes, Question, Scope};
use pagelens::{Capture, Source};

use crate::args::{ScopeArgs, SourceArgs};
use crate::error::Status;
use crate::report;
use crate::ui::Ui;

const EXAMPLES: &str = "Examples:\n  \
    sudo pagelens capture -o before.pagelens     keep all processes with all areas\n  \
    pagelens capture -n redis-server -o r.pagelens\n  \
    pagelens ps --source before.pagelens         ask it later, anywhere\n  \
    pagelens diff before.pagelens                what changed since";

/// Keep a moment in a file: all figures of processes and of their areas.
///
/// Every command reads such a file in place of the machine: `--source FILE`. It is compressed, and has a
/// checksum. Names of programs and paths of files are in it, contents of memory are not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Keep {
    /// The file that is written; one that is there is replaced
    #[arg(long, short = 'o', value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    source: SourceArgs,
}

/// All that a source can tell of a scope.
pub fn everything(source: &Source, scope: Scope) -> Result<Processes> {
    Ok(source.processes(&Question {
        scope,
        with_areas: true,
        with_cgroups: true,
        ..Question::default()
    })?)
}

impl Keep {
    /// Answers.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        let source = self.source.open()?;
        let scope = self.scope.scope()?;
        let processes = ui.during("Looking into the processes", || everything(&source, scope))?;
        let (count, areas) = size(&processes);
        let left_out = processes.left_out.clone();
        let size = self.write(&Capture { processes })?;
        ui.note(&format!(
            "kept {count} processes with {areas} areas in {} ({size} bytes)",
            self.output.display()
        ));
        Ok(report::note_left_out(ui, &left_out))
    }

    /// Writes beside the place and moves it there: nobody ever sees half a file.
    fn write(&self, capture: &Capture) -> Result<u64> {
        let mut aside = self.output.clone().into_os_string();
        aside.push(format!(".{}", std::process::id()));
        let aside = PathBuf::from(aside);
        let written = write_all(&aside, capture).and_then(|size| {
            fs::rename(&aside, &self.output)?;
            Ok(size)
        });
        if written.is_err() {
            // There may be none.
            let _ = fs::remove_file(&aside);
        }
        written.with_context(|| format!("cannot write {}", self.output.display()))
    }
}

fn write_all(path: &PathBuf, capture: &Capture) -> std::io::Result<u64> {
    let mut file = File::create_new(path)?;
    capture.write(&mut file)?;
    file.flush()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn size(processes: &Processes) -> (usize, usize) {
    let all = &processes.processes;
    (
        all.len(),
        all.iter().map(|process| process.areas.len()).sum(),
    )
}
