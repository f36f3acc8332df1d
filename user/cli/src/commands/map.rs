// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens map`: the address space of a process.

use anyhow::Result;
use pagelens::processes::{Access, Area, Figure, Figures, Name, Process, Question, Scope};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{Format, FormatArgs, SourceArgs};
use crate::commands::answer;
use crate::error::Status;
use crate::report::Report;
use crate::show::{self, Bar, Cell, Column, Paint, Row, Unit};
use crate::ui::Ui;

/// The form of the answer in JSON.
pub const SCHEMA: &str = "pagelens.map/1";

const EXAMPLES: &str = "Examples:\n  \
    pagelens map 4711                        its areas as bars, by address\n  \
    pagelens map 4711 --table --sort pss     as a table, the largest first\n  \
    pagelens map 4711 --vma 7f2786c40000     all that is known of the area there";

/// The address space of a process: what is where, and how much of it is in memory.
///
/// A bar is as long as its area is large (each step doubles it), and filled as far as it is present: # for
/// what is present, = for what is swapped out, . for what is neither. With colours it shows what an area is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Map {
    /// The process
    #[arg(value_name = "PID")]
    pid: u32,

    /// A table in place of bars
    #[arg(long)]
    table: bool,

    /// Only the area that has this address (hexadecimal), with all figures
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    vma: Option<u64>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    format: FormatArgs,
}

fn address(word: &str) -> Result<u64, String> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    u64::from_str_radix(digits, 16).map_err(|error| error.to_string())
}

/// What an area is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Instructions of a file.
    Code,
    /// Variables of a file, or what is private to the process of it.
    Data,
    /// Of a file, only to be read.
    ReadOnly,
    /// What brk gave.
    Heap,
    /// The stack of the first thread.
    Stack,
    /// Memory without a file.
    Anonymous,
    /// Memory that others see.
    Shared,
    /// Of the kernel.
    Kernel,
}

impl Part {
    fn of(area: &Area) -> Self {
        let name = area.name.as_ref().map_or(&b""[..], Name::as_bytes);
        let Access {
            write,
            execute,
            shared,
            ..
        } = area.access;
        match name {
            b"[heap]" => Self::Heap,
            b"[stack]" => Self::Stack,
            _ if name.starts_with(b"[v") || name == b"[sigpage]" => Self::Kernel,
            _ if shared => Self::Shared,
            _ if name.is_empty() || name.starts_with(b"[anon") => Self::Anonymous,
            _ if execute => Self::Code,
            _ if write => Self::Data,
            _ => Self::ReadOnly,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Data => "data",
            Self::ReadOnly => "read-only",
            Self::Heap => "heap",
            Self::Stack => "stack",
            Self::Anonymous => "anonymous",
            Self::Shared => "shared",
            Self::Kernel => "kernel",
        }
    }

    fn paint(self) -> Paint {
        match self {
            Self::Code => Paint::Red,
            Self::Data => Paint::Yellow,
            Self::ReadOnly => Paint::Plain,
            Self::Heap => Paint::Green,
            Self::Stack => Paint::Magenta,
            Self::Anonymous => Paint::Cyan,
            Self::Shared => Paint::Blue,
            Self::Kernel => Paint::Plain,
        }
    }
}

/// An area.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MapRow {
    /// Its first address.
    start: u64,
    /// The first behind it.
    end: u64,
    /// What may be done there, as in /proc/PID/maps.
    access: String,
    /// What it is for.
    part: Part,
    /// Its file, or a name such as `[heap]`.
    name: Option<Name>,
    /// Where in its file it begins.
    offset_bytes: u64,
    /// Its file: major and minor number of the device, and inode; 0 for none.
    device: (u32, u32),
    /// The inode of its file.
    inode: u64,
    /// What is there.
    #[serde(flatten)]
    figures: Figures,
}

/// What only this answer has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MapMore {
    /// The process.
    pid: u32,
    /// Its name.
    name: Option<Name>,
    /// What it has as a whole, page tables and kernel stacks included.
    process: Option<Figures>,
}

/// The form of the answer.
pub type MapReport = Report<MapRow, MapMore>;

impl From<&Area> for MapRow {
    fn from(area: &Area) -> Self {
        Self {
            start: area.start,
            end: area.end,
            access: area.access.to_string(),
            part: Part::of(area),
            name: area.name.clone(),
            offset_bytes: area.offset,
            device: area.device,
            inode: area.inode,
            figures: area.figures,
        }
    }
}

/// The figures that a table shows.
const USUAL: [(Figure, &str); 6] = [
    (Figure::Total, "SIZE"),
    (Figure::Present, "PRESENT"),
    (Figure::Pss, "PSS"),
    (Figure::Uss, "USS"),
    (Figure::Anonymous, "ANON"),
    (Figure::Swap, "SWAP"),
];

impl Row for MapRow {
    fn columns() -> Vec<Column<Self>> {
        let column = |key, title, meaning, cell: fn(&Self) -> Cell| {
            Column::usual(key, title, meaning, false, cell)
        };
        let mut columns = vec![
            column("start", "START", "its first address", |row| {
                Cell::Address(row.start)
            }),
            column("access", "", "what may be done there", |row| {
                Cell::Text(row.access.clone())
            }),
        ];
        let title = |figure: Figure| USUAL.iter().find(|(usual, _)| *usual == figure);
        columns.extend(Figure::ALL.iter().map(|&figure| Column {
            key: figure.key(),
            title: title(figure).map_or(figure.key(), |(_, title)| title),
            meaning: figure.meaning(),
            is_usual: title(figure).is_some(),
            is_size: true,
            cell: Box::new(move |row: &Self| Cell::Bytes(row.figures.get(figure))),
        }));
        columns.push(column("part", "PART", "what it is for", |row| {
            Cell::Text(row.part.name().to_owned())
        }));
        columns.push(column(
            "name",
            "NAME",
            "its file, or a name such as [heap]",
            |row| Cell::Name(row.name.clone().unwrap_or_default()),
        ));
        columns
    }
}

impl Map {
    /// Answers.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        if answer::lists_columns::<MapRow>(&self.format, ui) {
            return Ok(Status::Answered);
        }
        let source = self.source.open()?;
        let scope = Scope {
            pids: vec![self.pid],
            ..Scope::default()
        };
        let question = Question {
            scope,
            with_areas: true,
            ..Question::default()
        };
        answer::repeat(&self.format, ui, |ui| {
            let told = source.processes(&question)?;
            let process = told.processes.first();
            let mut report = Report::new(SCHEMA, &told, self.rows(process), self.more(process));
            report.capture = self.source.file();
            self.write(ui, report)
        })
    }

    fn rows(&self, process: Option<&Process>) -> Vec<MapRow> {
        let areas = process.map_or(&[][..], |process| &process.areas).iter();
        let wanted = areas.filter(|area| match self.vma {
            Some(address) => area.addresses().contains(&address),
            None => true,
        });
        wanted.map(MapRow::from).collect()
    }

    fn more(&self, process: Option<&Process>) -> MapMore {
        MapMore {
            pid: self.pid,
            name: process.map(|process| process.name.clone()),
            process: process.map(|process| process.figures),
        }
    }

    fn write(&self, ui: &mut Ui, report: MapReport) -> Result<Status> {
        let has_table = self.table || self.format.format() != Format::Table;
        if has_table || report.rows.is_empty() {
            return answer::write(&self.format, ui, report, None, |report| {
                self.last_line(report)
            });
        }
        let unit = if self.format.bytes {
            Unit::Bytes
        } else {
            Unit::Human
        };
        match (self.vma, report.rows.first()) {
            (Some(_), Some(row)) => one(ui, row, unit),
            _ => {
                bars(ui, &report.rows, unit);
                ui.line(&self.last_line(&report));
            }
        }
        Ok(report.note_left_out(ui))
    }

    fn last_line(&self, report: &MapReport) -> String {
        let unit = if self.format.bytes {
            Unit::Bytes
        } else {
            Unit::Human
        };
        let more = &report.more;
        let Some((name, figures)) = more.name.as_ref().zip(more.process.as_ref()) else {
            return String::new();
        };
        let write = |figure| Cell::Bytes(figures.get(figure)).text(unit);
        format!(
            "{name} ({}): {} areas, {} of addresses, {} present, {} PSS, {} swapped, {} of page tables ({})",
            more.pid,
            report.rows.len(),
            write(Figure::Total),
            write(Figure::Present),
            write(Figure::Pss),
            write(Figure::Swap),
            write(Figure::PageTable),
            report.origin()
        )
    }
}

/// All that is known of one area.
fn one(ui: &mut Ui, row: &MapRow, unit: Unit) {
    for column in MapRow::columns() {
        let cell = (column.cell)(row);
        // What is only told of processes says nothing here.
        if !matches!(cell, Cell::Bytes(None)) {
            ui.line(&format!("{:<14}{}", column.key, cell.text(unit)));
        }
    }
    ui.line(&format!("{:<14}{:x}", "end", row.end));
    ui.line(&format!("{:<14}{}", "offset", unit.write(row.offset_bytes)));
    let (major, minor) = row.device;
    ui.line(&format!(
        "{:<14}{major:x}:{minor:x} inode {}",
        "file", row.inode
    ));
}

/// Bytes of a bar's first letter; each further one doubles it.
const FIRST: u64 = 4096;

fn bars(ui: &mut Ui, rows: &[MapRow], unit: Unit) {
    let size = |row: &MapRow| row.end.saturating_sub(row.start);
    let length = |row: &MapRow| (size(row) / FIRST).checked_ilog2().unwrap_or(0) as usize + 1;
    let longest = rows.iter().map(length).max().unwrap_or(1);
    for row in rows {
        let bar = Bar {
            length: length(row),
            room: longest,
            paint: row.part.paint(),
        };
        let share = |figure| row.figures.get(figure).unwrap_or(0);
        let drawn = bar.draw(
            ui.has_color(),
            size(row),
            share(Figure::Present),
            share(Figure::Swap),
        );
        let name = row.name.clone().unwrap_or_default().to_string();
        let name = if name.is_empty() {
            row.part.name().to_owned()
        } else {
            name
        };
        let head = format!(
            "{:>12x} {} {:>7} {:>7} ",
            row.start,
            row.access,
            unit.write(size(row)),
            Cell::Bytes(row.figures.present_bytes).text(unit)
        );
        let taken = head.len() + longest + 1;
        let room = ui
            .width()
            .map_or(usize::MAX, |width| width.saturating_sub(taken).max(1));
        ui.line(&format!("{head}{drawn} {}", show::cut(&name, room)));
    }
}
