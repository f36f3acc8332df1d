// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens shm`: the slots of kshram, shared memory that outlives its users.

use std::fs::File;
use std::io::{self, BufRead as _, Read, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use anyhow::{bail, ensure, Context as _, Result};
use clap::Subcommand;
use pagelens::kshram::{Control, Description, Slot};
use pagelens::processes::{Name, Origin};
use pagelens::source::begin;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::FormatArgs;
use crate::commands::answer;
use crate::error::Status;
use crate::report::Report;
use crate::show::{Cell, Column, Row};
use crate::ui::Ui;

/// The form of the answer of `ls` in JSON.
pub const SCHEMA: &str = "pagelens.shm/1";

const EXAMPLES: &str = "Examples:\n  \
    pagelens shm ls                           all slots, and who uses them\n  \
    pagelens shm create 16M --label cache     a slot that nobody uses: says its number\n  \
    pagelens shm write 3 < file; pagelens shm cat 3 | head\n  \
    pagelens shm watch                        says which slot changes, as it changes";

/// Shared memory that belongs to the kernel and outlives its users (module kshram).
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Shm {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the slots
    Ls {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Take a slot that nobody uses, give it a size and a label, and say its number
    Create {
        /// Bytes, or K, M, G of 1024 each
        #[arg(value_parser = size)]
        size: u64,
        /// Its label, of up to 32 bytes
        #[arg(long)]
        label: Option<String>,
    },
    /// Change a slot's size; what is new is zero
    Resize {
        /// Which slot
        slot: u32,
        /// Bytes, or K, M, G of 1024 each
        #[arg(value_parser = size)]
        size: u64,
        /// Even if somebody maps more than that, who then gets SIGBUS there
        #[arg(long)]
        force: bool,
    },
    /// Name a slot
    Label {
        /// Which slot
        slot: u32,
        /// Its label, of up to 32 bytes; an empty one takes it away
        label: String,
    },
    /// Make a slot's size final, until the module is unloaded
    Seal {
        /// Which slot
        slot: u32,
    },
    /// Write a slot's contents to stdout
    Cat {
        /// Which slot
        slot: u32,
    },
    /// Fill a slot from stdin
    Write {
        /// Which slot
        slot: u32,
        /// Where to begin, in bytes
        #[arg(long, default_value_t)]
        offset: u64,
    },
    /// Overwrite a slot with zeros
    Wipe {
        /// Which slot
        slot: u32,
    },
    /// Say which slot changes, as it changes, until Ctrl-C
    Watch,
}

/// A number of bytes, perhaps with a letter.
fn size(word: &str) -> Result<u64, String> {
    let (digits, shift) = match word.char_indices().last() {
        Some((at, 'K' | 'k')) => (&word[..at], 10),
        Some((at, 'M' | 'm')) => (&word[..at], 20),
        Some((at, 'G' | 'g')) => (&word[..at], 30),
        _ => (word, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a size such as 65536 or 16M".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too much".to_owned())
}

/// A slot.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShmRow {
    /// Which.
    slot: u32,
    /// Its label; empty if it has none.
    label: Name,
    /// Its size.
    size_bytes: u64,
    /// How much of it is in memory.
    resident_bytes: u64,
    /// Whether its size is final.
    sealed: bool,
    /// How often it changed.
    generation: u64,
    /// Descriptors of it.
    opens: u32,
    /// Mappings of it.
    mappings: u32,
    /// The processes that map it, as far as they can be seen.
    pids: Vec<u32>,
}

/// What only this answer has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShmMore {
    /// The largest size that a slot may have.
    max_bytes: u64,
}

/// The form of the answer.
pub type ShmReport = Report<ShmRow, ShmMore>;

impl Row for ShmRow {
    fn columns() -> Vec<Column<Self>> {
        let column = |key, title, meaning, is_size, cell: fn(&Self) -> Cell| Column {
            key,
            title,
            meaning,
            is_usual: key != "generation",
            is_size,
            cell: Box::new(cell),
        };
        vec![
            column("slot", "SLOT", "which", false, |row| {
                Cell::Count(row.slot.into())
            }),
            column("size", "SIZE", "its size", true, |row| {
                Cell::Bytes(Some(row.size_bytes))
            }),
            column(
                "resident",
                "RESIDENT",
                "how much of it is in memory",
                true,
                |row| Cell::Bytes(Some(row.resident_bytes)),
            ),
            column("opens", "OPENS", "descriptors of it", false, |row| {
                Cell::Count(row.opens.into())
            }),
            column("mappings", "MAPS", "mappings of it", false, |row| {
                Cell::Count(row.mappings.into())
            }),
            column(
                "generation",
                "CHANGES",
                "how often it changed",
                false,
                |row| Cell::Count(row.generation),
            ),
            column(
                "sealed",
                "SEALED",
                "whether its size is final",
                false,
                |row| Cell::Text(if row.sealed { "yes" } else { "no" }.to_owned()),
            ),
            column("pids", "PIDS", "who maps it", false, |row| {
                Cell::List(row.pids.clone())
            }),
            column("label", "LABEL", "its label", false, |row| {
                Cell::Name(row.label.clone())
            }),
        ]
    }
}

impl Shm {
    /// Does it.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        match self.action {
            Action::Ls { format } => return list(&format, ui),
            Action::Create { size, label } => create(ui, size, label.as_deref())?,
            Action::Resize { slot, size, force } => resize(slot, size, force)?,
            Action::Label { slot, label } => Control::open()?.label(slot, &label)?,
            Action::Seal { slot } => Control::open()?.seal(slot)?,
            Action::Cat { slot } => cat(&Slot::open_read_only(slot)?)?,
            Action::Write { slot, offset } => write(ui, &Slot::open(slot)?, offset)?,
            Action::Wipe { slot } => Control::open()?.wipe(slot)?,
            Action::Watch => watch(ui)?,
        }
        Ok(Status::Answered)
    }
}

fn list(format: &FormatArgs, ui: &mut Ui) -> Result<Status> {
    if answer::lists_columns::<ShmRow>(format, ui) {
        return Ok(Status::Answered);
    }
    let control = Control::open_read_only()?;
    answer::repeat(format, ui, |ui| {
        let more = ShmMore {
            max_bytes: control.info()?.max_bytes,
        };
        let rows: Result<Vec<_>> = control
            .all()?
            .into_iter()
            .map(|slot| row(&control, slot))
            .collect();
        let report: ShmReport = Report::new(SCHEMA, &begin(Origin::Kernel), rows?, more);
        answer::write(format, ui, report, None, |_| String::new())
    })
}

fn row(control: &Control, slot: Description) -> Result<ShmRow> {
    Ok(ShmRow {
        slot: slot.index,
        label: Name::from(&slot.label),
        size_bytes: slot.size,
        resident_bytes: slot.resident,
        sealed: slot.is_sealed,
        generation: slot.generation,
        opens: slot.opens,
        mappings: slot.mappings,
        pids: control.mappers(slot.index)?,
    })
}

/// Takes the first slot of which nothing was ever made.
fn create(ui: &mut Ui, size: u64, label: Option<&str>) -> Result<()> {
    let control = Control::open()?;
    let is_unused = |slot: &&Description| {
        slot.label.is_empty()
            && slot.opens == 0
            && slot.mappings == 0
            && slot.generation == 0
            && slot.resident == 0
    };
    let slots = control.all()?;
    let free = slots.iter().find(is_unused);
    let index = free
        .context("all slots are in use: load kshram with slots=N for more")?
        .index;
    Slot::open(index)?.resize(size)?;
    if let Some(label) = label {
        control.label(index, label)?;
    }
    ui.line(&index.to_string());
    Ok(())
}

fn resize(slot: u32, size: u64, force: bool) -> Result<()> {
    let slot = Slot::open(slot)?;
    match force {
        true => slot.resize_by_force(size)?,
        false => slot.resize(size)?,
    }
    Ok(())
}

/// The contents are not ours to look at: they go out as they are, also to a terminal.
fn cat(slot: &Slot) -> Result<()> {
    let mut file: &File = slot.file();
    let mut stdout = io::stdout().lock();
    io::copy(&mut file, &mut stdout)?;
    Ok(stdout.flush()?)
}

fn write(ui: &mut Ui, slot: &Slot, offset: u64) -> Result<()> {
    let size = slot.size()?;
    ensure!(
        offset <= size,
        "slot {} has {size} bytes only",
        slot.index()
    );
    let mut file: &File = slot.file();
    file.seek(SeekFrom::Start(offset))?;
    let mut stdin = io::stdin().lock();
    let written = io::copy(&mut Read::take(&mut stdin, size - offset), &mut file)?;
    if !stdin.fill_buf()?.is_empty() {
        bail!(
            "slot {} is full after {written} bytes: pagelens shm resize {0} SIZE",
            slot.index()
        );
    }
    ui.note(&format!("wrote {written} bytes"));
    Ok(())
}

/// How long to wait at a time.
const WAIT: Duration = Duration::from_secs(3600);

fn watch(ui: &mut Ui) -> Result<()> {
    let control = Control::open_read_only()?;
    control.info()?;
    let mut before = control.all()?;
    loop {
        if !control.wait_for_change(WAIT)? {
            continue;
        }
        control.info()?;
        let after = control.all()?;
        for (old, new) in before.iter().zip(&after) {
            if old.generation != new.generation {
                let label = Name::from(&new.label);
                ui.line(&format!(
                    "slot {}: {} -> {} bytes, {} changes, label \"{label}\"{}",
                    new.index,
                    old.size,
                    new.size,
                    new.generation - old.generation,
                    if new.is_sealed { ", sealed" } else { "" }
                ));
            }
        }
        ui.flush()?;
        before = after;
    }
}
