// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens use`: what a process's memory is used for.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use pagelens::proc::kinds;
use pagelens::processes::Origin;
use pagelens::source::begin;
use pagelens::{Choice, Kind, Memuse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{FormatArgs, SourceArgs};
use crate::commands::answer;
use crate::error::{Status, Usage};
use crate::report::Report;
use crate::show::{Cell, Column, Row};
use crate::ui::Ui;

/// The form of the answer in JSON.
pub const SCHEMA: &str = "pagelens.use/1";

const EXAMPLES: &str = "Examples:\n  \
    pagelens use 4711               what its memory is used for\n  \
    pagelens use 4711 heap          one kind of it\n  \
    pagelens use 4711 heap --bytes --no-header --columns size     as a plain number";

/// What a process's memory is used for: heap, stacks, files and so on.
///
/// The kinds from heap to vdso add up to all of it; kernel stacks, page tables and swap come on top. The
/// module memuse answers if it is loaded; without it /proc does, which takes a mapping of which only a part
/// is heap for heap as a whole.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Use {
    /// The process
    #[arg(value_name = "PID")]
    pid: u32,

    /// One kind only
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS.map(|(_, word, _)| word)))]
    kind: Option<String>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    format: FormatArgs,
}

/// The kinds, words for them, and what they mean.
const KINDS: [(Kind, &str, &str); 11] = [
    (Kind::All, "all", "all that is present: the resident set"),
    (Kind::Heap, "heap", "what brk gave: small pieces of malloc"),
    (
        Kind::Anonymous,
        "anonymous",
        "other memory without a file: large pieces of malloc",
    ),
    (
        Kind::CallStack,
        "call_stack",
        "the stack of the first thread",
    ),
    (
        Kind::ThreadStacks,
        "thread_stacks",
        "the stacks of the others",
    ),
    (Kind::File, "file", "programs, libraries and other files"),
    (Kind::Shared, "shared", "shared memory and tmpfs"),
    (Kind::Vdso, "vdso", "pages of the kernel's"),
    (
        Kind::KernelStack,
        "kernel_stack",
        "stacks of its threads in the kernel",
    ),
    (Kind::PageTables, "page_tables", "page tables"),
    (Kind::Swapped, "swapped", "swapped out"),
];

/// How much there is of a kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UseRow {
    /// The kind.
    kind: String,
    /// How much there is.
    size_bytes: u64,
    /// What it is.
    meaning: String,
}

/// What only this answer has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UseMore {
    /// The process.
    pid: u32,
}

/// The form of the answer.
pub type UseReport = Report<UseRow, UseMore>;

impl Row for UseRow {
    fn columns() -> Vec<Column<Self>> {
        vec![
            Column::<Self>::usual("size", "SIZE", "how much there is", true, |row| {
                Cell::Bytes(Some(row.size_bytes))
            }),
            Column::<Self>::usual("kind", "KIND", "the kind", false, |row| {
                Cell::Text(row.kind.clone())
            }),
            Column::<Self>::usual("meaning", "WHAT IT IS", "what it is", false, |row| {
                Cell::Text(row.meaning.clone())
            }),
        ]
    }
}

/// Who counts.
enum Counter {
    Module(Memuse),
    Proc,
}

impl Counter {
    fn choose(choice: &Choice, pid: u32) -> Result<Self> {
        let module = Memuse::new();
        match choice {
            Choice::Kernel => Ok(Self::Module(module)),
            Choice::Proc => Ok(Self::Proc),
            Choice::Auto if module.bytes(pid, Kind::All).is_ok() => Ok(Self::Module(module)),
            Choice::Auto => Ok(Self::Proc),
            Choice::Path(path) => Err(Usage(format!(
                "{} does not know where stacks are: see its areas with `pagelens map {pid} --source {0}`",
                path.display()
            ))
            .into()),
        }
    }

    fn bytes(&self, pid: u32, kind: Kind) -> Result<u64> {
        Ok(match self {
            Self::Module(module) => module.bytes(pid, kind)?,
            Self::Proc => kinds::bytes(pid, kind)?,
        })
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Module(_) => Origin::Kernel,
            Self::Proc => Origin::Proc,
        }
    }
}

impl Use {
    /// Answers.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        if answer::lists_columns::<UseRow>(&self.format, ui) {
            return Ok(Status::Answered);
        }
        let counter = Counter::choose(&self.source.source.0, self.pid)?;
        answer::repeat(&self.format, ui, |ui| {
            let rows = self.rows(&counter)?;
            let more = UseMore { pid: self.pid };
            let report: UseReport = Report::new(SCHEMA, &begin(counter.origin()), rows, more);
            answer::write(&self.format, ui, report, None, |report| {
                format!("process {} ({})", report.more.pid, report.origin())
            })
        })
    }

    fn rows(&self, counter: &Counter) -> Result<Vec<UseRow>> {
        let wanted = KINDS.iter().filter(|(_, word, _)| match &self.kind {
            Some(kind) => kind == word,
            None => true,
        });
        let rows = wanted.map(|&(kind, word, meaning)| {
            Ok(UseRow {
                kind: word.to_owned(),
                size_bytes: counter.bytes(self.pid, kind)?,
                meaning: meaning.to_owned(),
            })
        });
        rows.collect()
    }
}
