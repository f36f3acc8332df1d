// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens diff`: what changed between two moments.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use pagelens::diff::{diff, footprint_of, Change, DiffBy, DiffKind};
use pagelens::processes::{Area, Name, Processes};
use pagelens::{Capture, Choice, Source};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{FormatArgs, ScopeArgs, SourceArgs};
use crate::commands::answer;
use crate::commands::capture::everything;
use crate::error::Status;
use crate::report::Report;
use crate::show::{Cell, Column, Row, Unit};
use crate::ui::Ui;

/// The form of the answer in JSON.
pub const SCHEMA: &str = "pagelens.diff/1";

const EXAMPLES: &str = "Examples:\n  \
    sudo pagelens capture -o a.pagelens; sleep 3600; sudo pagelens diff a.pagelens\n  \
    pagelens diff a.pagelens b.pagelens --by process    between two captures\n  \
    pagelens diff a.pagelens b.pagelens --by area       which area of which process leaks\n  \
    pagelens diff a.pagelens b.pagelens --by kind       anonymous memory, files, page tables …";

/// What grew and what shrank between two captures, or since one until now.
///
/// What is compared adds up: the PSS by kind, swap, page tables and kernel stacks. The changes of all rows
/// together are the difference of the totals, whatever they are told by.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Diff {
    /// A file of `pagelens capture`
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// Another; without it, the machine as it is now
    #[arg(value_name = "AFTER")]
    after: Option<PathBuf>,

    /// What the changes are told by
    #[arg(long, value_enum, default_value_t)]
    by: ToldBy,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    format: FormatArgs,
}

/// What changes are told by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ToldBy {
    /// Processes of one name.
    #[default]
    Program,
    /// Single processes: the same number and the same start.
    Process,
    /// Areas of addresses of single processes.
    Area,
    /// Kinds of memory.
    Kind,
}

impl From<ToldBy> for DiffBy {
    fn from(by: ToldBy) -> Self {
        match by {
            ToldBy::Program => Self::Program,
            ToldBy::Process => Self::Process,
            ToldBy::Area => Self::Area,
            ToldBy::Kind => Self::Kind,
        }
    }
}

/// A change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffRow {
    /// The program; empty for a kind of all.
    name: Name,
    /// The process; null for several.
    pid: Option<u32>,
    /// The kind.
    kind: DiffKind,
    /// The first address of the area.
    area_start: Option<u64>,
    /// The first address behind it.
    area_end: Option<u64>,
    /// Its file, or a name such as `[heap]`.
    area_name: Option<Name>,
    /// What there was; null if it is new.
    before_bytes: Option<u64>,
    /// What there is; null if it is gone.
    after_bytes: Option<u64>,
    /// By how much it grew.
    change_bytes: i64,
}

/// What only this answer has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffMore {
    /// What the changes are told by.
    by: DiffBy,
    /// When the first moment was (RFC 3339).
    before_time: String,
    /// What all processes had then.
    before_bytes: u64,
    /// What they have later.
    after_bytes: u64,
}

/// The form of the answer.
pub type DiffReport = Report<DiffRow, DiffMore>;

impl From<Change> for DiffRow {
    fn from(change: Change) -> Self {
        let area = change.area.as_ref();
        Self {
            pid: change.pid,
            kind: change.kind,
            area_start: area.map(|area| area.start),
            area_end: area.map(|area| area.end),
            area_name: area.and_then(|area| area.name.clone()),
            before_bytes: change.before,
            after_bytes: change.after,
            change_bytes: change.change(),
            name: change.name,
        }
    }
}

impl DiffRow {
    fn area(&self) -> String {
        match (self.area_start, self.area_end) {
            (Some(start), Some(end)) => format!("{start:x}-{end:x}"),
            _ => "-".to_owned(),
        }
    }
}

impl Row for DiffRow {
    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::<Self>::usual("change", "CHANGE", "by how much it grew", true, |row| {
                Cell::Change(Some(row.change_bytes))
            }),
            Column::<Self>::usual(
                "before",
                "BEFORE",
                "what there was; - if it is new",
                true,
                |row| Cell::Bytes(row.before_bytes),
            ),
            Column::<Self>::usual(
                "after",
                "AFTER",
                "what there is; - if it is gone",
                true,
                |row| Cell::Bytes(row.after_bytes),
            ),
            Column::<Self>::usual("pid", "PID", "the process", false, |row: &Self| {
                Cell::Text(
                    row.pid
                        .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                )
            }),
            Column::<Self>::usual("kind", "KIND", "the kind of memory", false, |row| {
                Cell::Text(row.kind.name().to_owned())
            }),
            Column::<Self>::usual("area", "AREA", "its addresses", false, |row| {
                Cell::Text(row.area())
            }),
            Column::<Self>::usual(
                "area_name",
                "AREA'S NAME",
                "its file, or a name such as [heap]",
                false,
                |row| Cell::Name(row.area_name.clone().unwrap_or_else(|| "-".into())),
            ),
            Column::<Self>::usual("name", "NAME", "the program", false, |row| {
                Cell::Name(row.name.clone())
            }),
        ]
    }
}

/// The columns that say something, by what changes are told by.
fn columns(by: ToldBy) -> Vec<String> {
    let words: &[&str] = match by {
        ToldBy::Program => &["change", "before", "after", "name"],
        ToldBy::Process => &["change", "before", "after", "pid", "name"],
        ToldBy::Kind => &["change", "before", "after", "kind"],
        ToldBy::Area => &[
            "change",
            "before",
            "after",
            "pid",
            "name",
            "kind",
            "area",
            "area_name",
        ],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Diff {
    /// Answers.
    pub fn run(mut self, ui: &mut Ui) -> Result<Status> {
        if answer::lists_columns::<DiffRow>(&self.format, ui) {
            return Ok(Status::Answered);
        }
        if self.format.columns.is_empty() {
            self.format.columns = columns(self.by);
        }
        let scope = self.scope.scope()?;
        let before = Source::Capture(Box::new(Capture::read(&self.before)?));
        let before = everything(&before, scope.clone())?;
        let after = match &self.after {
            Some(file) => Source::choose(&Choice::Path(file.clone()))?,
            None => self.source.open()?,
        };
        answer::repeat(&self.format, ui, |ui| {
            let what = "Looking into the processes";
            let after = ui.during(what, || everything(&after, scope.clone()))?;
            self.once(ui, &before, &after)
        })
    }

    fn once(&self, ui: &mut Ui, before: &Processes, after: &Processes) -> Result<Status> {
        let by = DiffBy::from(self.by);
        let rows = diff(before, after, by)
            .into_iter()
            .map(DiffRow::from)
            .collect();
        let more = DiffMore {
            by,
            before_time: crate::report::time(before.time_ns),
            before_bytes: footprint_of(before),
            after_bytes: footprint_of(after),
        };
        let mut report = Report::new(SCHEMA, after, rows, more);
        report.add_left_out(&before.left_out);
        report.capture = self.after.as_ref().map(|file| file.display().to_string());
        report.totals = Some(total(&report.more));
        answer::write(&self.format, ui, report, Some("change"), |report| {
            last_line(report, self.format.bytes)
        })
    }
}

fn total(more: &DiffMore) -> DiffRow {
    DiffRow::from(Change {
        name: "total".into(),
        pid: None,
        kind: DiffKind::All,
        area: None::<Area>,
        before: Some(more.before_bytes),
        after: Some(more.after_bytes),
    })
}

fn last_line(report: &DiffReport, in_bytes: bool) -> String {
    let unit = if in_bytes { Unit::Bytes } else { Unit::Human };
    let total = total(&report.more);
    format!(
        "{} at {} {} = {} at {} ({})",
        unit.write(report.more.before_bytes),
        report.more.before_time,
        Cell::Change(Some(total.change_bytes)).text(unit),
        unit.write(report.more.after_bytes),
        report.time,
        report.origin()
    )
}
