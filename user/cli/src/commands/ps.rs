// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens ps`: which programs hold the memory.

use std::collections::HashMap;

use anyhow::Result;
use clap::ValueEnum;
use pagelens::processes::{By, Figure, FigureSet, Figures, Group, Leading, Name, Question};
use pagelens::Source;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{Format, FormatArgs, ScopeArgs, SourceArgs};
use crate::commands::answer;
use crate::error::Status;
use crate::report::Report;
use crate::show::{self, Cell, Column, Row, Unit};
use crate::ui::Ui;

/// The form of the answer in JSON.
pub const SCHEMA: &str = "pagelens.ps/1";

const EXAMPLES: &str = "Examples:\n  \
    pagelens ps                              what each program holds, the largest first\n  \
    pagelens ps --by unit --top 10           the ten largest units of systemd\n  \
    pagelens ps -u postgres --by process     each process of a user\n  \
    pagelens ps --columns name,present       the quickest: nothing but resident sizes\n  \
    pagelens ps --json | jq '.rows[0]'       for programs";

/// Which programs hold the memory.
///
/// PSS comes first because it adds up: a page that several processes have is divided among them. The last
/// line leads from its sum to all of the machine's memory.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Ps {
    /// Of these numbers only: as --pid
    #[arg(value_name = "PID")]
    these: Vec<u32>,

    #[command(flatten)]
    scope: ScopeArgs,

    /// What is put together in one row
    #[arg(long, value_enum, default_value_t)]
    by: Together,

    /// Tell processes without memory too: those of the kernel, and those that have ended
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    format: FormatArgs,
}

/// What is put together in one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Together {
    /// Processes of one name.
    #[default]
    Name,
    /// Nothing: one row a process.
    Process,
    /// Processes of one cgroup.
    Cgroup,
    /// Processes of one user.
    User,
    /// Processes of one unit of systemd.
    Unit,
}

impl From<Together> for By {
    fn from(together: Together) -> Self {
        match together {
            Together::Name => Self::Name,
            Together::Process => Self::Process,
            Together::Cgroup => Self::Cgroup,
            Together::User => Self::User,
            Together::Unit => Self::Unit,
        }
    }
}

/// What some processes have together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PsRow {
    /// What they have in common: their name, cgroup, user or unit.
    name: Name,
    /// Their numbers.
    pids: Vec<u32>,
    /// How many they are.
    processes: u64,
    /// Whose they are, if all are of one user.
    user: Option<String>,
    /// What they have.
    #[serde(flatten)]
    figures: Figures,
}

/// What only this answer has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PsMore {
    /// What is put together in a row.
    by: By,
    /// How the sum of all PSS becomes all of the machine's memory.
    memory: Leading,
}

/// The form of the answer.
pub type PsReport = Report<PsRow, PsMore>;

/// Figures that are shown if nobody says which, with what stands above them.
const USUAL: [(Figure, &str); 9] = [
    (Figure::Pss, "PSS"),
    (Figure::Uss, "USS"),
    (Figure::Present, "PRESENT"),
    (Figure::Anonymous, "ANON"),
    (Figure::File, "FILE"),
    (Figure::Shmem, "SHMEM"),
    (Figure::Swap, "SWAP"),
    (Figure::PageTable, "PTABLE"),
    (Figure::KernelStack, "KSTACK"),
];

impl Row for PsRow {
    fn columns() -> Vec<Column<Self>> {
        let text = |key, title, meaning, is_usual, cell: fn(&Self) -> Cell| Column {
            key,
            title,
            meaning,
            is_usual,
            is_size: false,
            cell: Box::new(cell),
        };
        let usual = USUAL
            .iter()
            .map(|&(figure, title)| column(figure, title, true));
        let mut columns: Vec<_> = usual.collect();
        let is_more = |figure: &Figure| USUAL.iter().all(|(usual, _)| usual != figure);
        let more = Figure::ALL.iter().copied().filter(is_more);
        columns.extend(more.map(|figure| column(figure, figure.key(), false)));
        columns.push(text("pids", "PIDS", "their numbers", false, |row| {
            Cell::List(row.pids.clone())
        }));
        columns.push(text("user", "USER", "whose they are", false, |row| {
            Cell::Text(row.user.clone().unwrap_or_else(|| "-".to_owned()))
        }));
        let count = "how many processes they are";
        columns.push(text("processes", "N", count, true, |row| {
            Cell::Count(row.processes)
        }));
        let name = "what they have in common: see --by";
        columns.push(text("name", "NAME", name, true, |row| {
            Cell::Name(row.name.clone())
        }));
        columns
    }
}

fn column(figure: Figure, title: &'static str, is_usual: bool) -> Column<PsRow> {
    Column {
        key: figure.key(),
        title,
        meaning: figure.meaning(),
        is_usual,
        is_size: true,
        cell: Box::new(move |row| Cell::Bytes(row.figures.get(figure))),
    }
}

impl Ps {
    /// Answers.
    pub fn run(mut self, ui: &mut Ui) -> Result<Status> {
        let is_for_people = self.format.format() != Format::Json;
        if self.by == Together::Process && self.format.columns.is_empty() && is_for_people {
            self.format.columns = process_columns();
        }
        if answer::lists_columns::<PsRow>(&self.format, ui) {
            return Ok(Status::Answered);
        }
        let source = self.source.open()?;
        let question = self.question()?;
        answer::repeat(&self.format, ui, |ui| self.once(ui, &source, &question))
    }

    fn question(&self) -> Result<Question> {
        let by = By::from(self.by);
        let mut scope = self.scope.scope()?;
        scope.pids.extend_from_slice(&self.these);
        Ok(Question {
            figures: self.figures()?,
            with_cgroups: matches!(by, By::Cgroup | By::Unit),
            with_users: self.wants_users(),
            // Whoever is named is told.
            with_empty: self.all || !scope.pids.is_empty(),
            scope,
            ..Question::default()
        })
    }

    /// Whether users' names are shown: it takes a while to find them.
    fn wants_users(&self) -> bool {
        let mut columns = self.format.columns.iter();
        let is_shown = columns.any(|word| word == "user");
        is_shown || self.by == Together::User || self.format.format() == Format::Json
    }

    /// The figures that it takes to write the answer.
    fn figures(&self) -> Result<FigureSet> {
        let format = &self.format;
        if format.format() == Format::Json && format.columns.is_empty() {
            return Ok(FigureSet::all());
        }
        let mut columns = show::picked::<PsRow>(&format.columns)?;
        if let Some(sort) = &format.sort {
            columns.extend(show::picked::<PsRow>(std::slice::from_ref(sort))?);
        }
        Ok(columns
            .iter()
            .filter_map(|column| Figure::named(column.key))
            .collect())
    }

    fn once(&self, ui: &mut Ui, source: &Source, question: &Question) -> Result<Status> {
        let told = ui.during("Looking into the processes", || source.processes(question))?;
        let by = By::from(self.by);
        let mut users = Users::new(question.with_users);
        let groups = Group::make(&told.processes, by);
        let rows = groups.iter().map(|group| users.row(group, by)).collect();
        let total = told.total();
        let memory = told.machine.lead(&total);
        let mut report = Report::new(SCHEMA, &told, rows, PsMore { by, memory });
        report.capture = self.source.file();
        report.totals = Some(PsRow {
            name: "total".into(),
            pids: Vec::new(),
            processes: told.processes.len() as u64,
            user: None,
            figures: total,
        });
        let order = self.usual_order(question);
        answer::write(&self.format, ui, report, Some(order), |report| {
            last_line(report, self.format.bytes)
        })
    }

    /// PSS, or what there is instead.
    fn usual_order(&self, question: &Question) -> &'static str {
        let figures = question.figures;
        let first = [Figure::Pss, Figure::Present, Figure::Uss, Figure::Total];
        let first = first.into_iter().find(|&figure| figures.has(figure));
        first
            .or_else(|| figures.iter().next())
            .map_or("name", Figure::key)
    }
}

/// What is shown of single processes.
fn process_columns() -> Vec<String> {
    let figures = USUAL.iter().map(|(figure, _)| figure.key());
    figures
        .chain(["pids", "user", "name"])
        .map(str::to_owned)
        .collect()
}

/// How the sum becomes all memory.
fn last_line(report: &PsReport, in_bytes: bool) -> String {
    let unit = if in_bytes { Unit::Bytes } else { Unit::Human };
    let write = |bytes: i64| {
        Cell::Change(Some(bytes))
            .text(unit)
            .trim_start_matches('+')
            .to_owned()
    };
    let lead = &report.more.memory;
    let mut parts = Vec::new();
    let knows_pss = report
        .totals
        .as_ref()
        .is_some_and(|totals| totals.figures.pss_bytes.is_some());
    let others = if knows_pss {
        "other processes"
    } else {
        "processes"
    };
    for (name, bytes) in [
        ("PSS", lead.pss_bytes),
        (others, lead.other_processes_bytes),
        ("unmapped cache", lead.unmapped_cache_bytes),
        ("kernel", lead.kernel_bytes),
        ("hugetlb", lead.hugetlb_bytes),
        ("not told apart", lead.not_told_apart_bytes),
        ("free", lead.free_bytes),
    ] {
        if bytes != 0 {
            parts.push(format!("{name} {}", write(bytes)));
        }
    }
    let total = write(lead.total_bytes);
    format!(
        "{} = {total} of memory ({})",
        parts.join(" + "),
        report.origin()
    )
}

/// Users' names, each asked for once.
struct Users {
    names: HashMap<u32, String>,
    are_wanted: bool,
}

impl Users {
    fn new(are_wanted: bool) -> Self {
        Self {
            names: HashMap::new(),
            are_wanted,
        }
    }

    fn name(&mut self, uid: u32) -> String {
        let name = self.names.entry(uid).or_insert_with(|| {
            let user = uzers::get_user_by_uid(uid);
            let name = user.map(|user| user.name().to_string_lossy().into_owned());
            name.unwrap_or_else(|| uid.to_string())
        });
        name.clone()
    }

    fn row(&mut self, group: &Group<'_>, by: By) -> PsRow {
        let mut uids = group.processes.iter().map(|process| process.uid);
        let first = uids.next().flatten();
        let uid = first.filter(|&uid| self.are_wanted && uids.all(|other| other == Some(uid)));
        let user = uid.map(|uid| self.name(uid));
        PsRow {
            name: match (by, &user) {
                (By::User, Some(user)) => Name::from(user),
                _ if group.name.is_empty() => Name::from("-"),
                _ => group.name.clone(),
            },
            pids: group.processes.iter().map(|process| process.pid).collect(),
            processes: group.processes.len() as u64,
            user,
            figures: group.figures,
        }
    }
}
