// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens doctor`: which source is used and why, what is missing, and what mends it.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Result;
use pagelens::device::{Device, Version, AVAILABLE, NODE, OWN_ONLY};
use pagelens::processes::Origin;
use pagelens::source::begin;
use pagelens::{Error, Source};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{FormatArgs, SourceArgs};
use crate::commands::answer;
use crate::error::Status;
use crate::report::Report;
use crate::show::{Cell, Column, Row};
use crate::ui::Ui;

/// The form of the answer in JSON.
pub const SCHEMA: &str = "pagelens.doctor/1";

const EXAMPLES: &str = "Examples:\n  \
    pagelens doctor                    what is used, what is missing, what mends it\n  \
    pagelens doctor --source kernel    why the module cannot be used\n  \
    pagelens doctor --json             for bug reports";

/// What is used, what is missing, and the command that mends it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    format: FormatArgs,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Good,
    /// Not there: the answers are less than they could be.
    Missing,
    /// Neither good nor bad.
    Fact,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorRow {
    /// What.
    check: String,
    /// How it is.
    state: State,
    /// What was found.
    found: String,
    /// The command that mends it.
    remedy: Option<String>,
}

/// Nothing more.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorMore {}

/// The form of the answer.
pub type DoctorReport = Report<DoctorRow, DoctorMore>;

impl Row for DoctorRow {
    fn columns() -> Vec<Column<Self>> {
        let text = |key, title, meaning, cell: fn(&Self) -> String| {
            Column::usual(key, title, meaning, false, move |row| Cell::Text(cell(row)))
        };
        vec![
            text("state", "", "how it is", |row| match row.state {
                State::Good => "good".to_owned(),
                State::Missing => "MISSING".to_owned(),
                State::Fact => "-".to_owned(),
            }),
            text("check", "WHAT", "what was looked at", |row| {
                row.check.clone()
            }),
            text("found", "FOUND", "what was found", |row| row.found.clone()),
        ]
    }
}

/// The commands that mend what is missing, below the table.
fn remedies(report: &DoctorReport) -> String {
    let mut lines = Vec::new();
    for row in &report.rows {
        let Some(remedy) = &row.remedy else {
            continue;
        };
        let line = format!("  {remedy}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if !lines.is_empty() {
        lines.insert(0, "\nWhat mends it:".to_owned());
    }
    lines.join("\n")
}

impl Doctor {
    /// Answers.
    pub fn run(self, ui: &mut Ui) -> Result<Status> {
        if answer::lists_columns::<DoctorRow>(&self.format, ui) {
            return Ok(Status::Answered);
        }
        answer::repeat(&self.format, ui, |ui| {
            let source = Source::choose(&self.source.source.0);
            let rows = rows(&source);
            let origin = match &source {
                Ok(Source::Kernel(_)) => Origin::Kernel,
                _ => Origin::Proc,
            };
            let report = Report::new(SCHEMA, &begin(origin), rows, DoctorMore {});
            answer::write(&self.format, ui, report, None, remedies)
        })
    }
}

fn rows(source: &Result<Source, Error>) -> Vec<DoctorRow> {
    let mut rows = vec![used(source), kernel()];
    rows.extend(module());
    rows.push(lockdown());
    rows.extend(rights());
    rows.push(rollup());
    rows
}

fn row(check: &str, state: State, found: impl Into<String>, remedy: Option<String>) -> DoctorRow {
    DoctorRow {
        check: check.to_owned(),
        state,
        found: found.into(),
        remedy,
    }
}

/// Which source is used, and why.
fn used(source: &Result<Source, Error>) -> DoctorRow {
    let (state, found) = match source {
        Ok(Source::Kernel(_)) => (
            State::Good,
            "kernel: the module answers; exact and of one pass".to_owned(),
        ),
        Ok(Source::Proc(_)) => (
            State::Good,
            "proc: the files in /proc answer, process by process".to_owned(),
        ),
        Ok(Source::Capture(capture)) => {
            let kept = &capture.processes;
            let by = kept.origin.name();
            (State::Good, format!("a capture of {}, by {by}", kept.host))
        }
        Err(error) => (State::Missing, error.to_string()),
    };
    row("source", state, found, None)
}

fn kernel() -> DoctorRow {
    let here = begin(Origin::Proc);
    row("kernel", State::Fact, here.kernel.to_string(), None)
}

/// The module `pagelens`: installed, loaded, usable, and what it can do.
fn module() -> Vec<DoctorRow> {
    let folder = Path::new("/sys/module/pagelens");
    if !folder.exists() && !Path::new(NODE).exists() {
        return vec![not_loaded()];
    }
    let version = read(&folder.join("version"));
    let version = version.map_or(String::new(), |version| format!(", version {version}"));
    let mut rows = vec![row(
        "module pagelens",
        State::Good,
        format!("loaded{version}"),
        None,
    )];
    let opened = match Device::open().and_then(|device| device.version()) {
        Ok(version) => {
            rows.extend(capabilities(&version));
            let found = format!("answers, protocol {}", version.protocol);
            row(NODE, State::Good, found, None)
        }
        Err(Error::Open { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            let remedy = "sudo pagelens …, or: sudo modprobe -r pagelens && \
                          sudo modprobe pagelens mode=0640 gid=GROUP";
            row(
                NODE,
                State::Missing,
                "you may not open it",
                Some(remedy.to_owned()),
            )
        }
        Err(error) => row(NODE, State::Missing, error.to_string(), None),
    };
    rows.push(opened);
    rows
}

fn not_loaded() -> DoctorRow {
    let release = begin(Origin::Proc).kernel;
    let list = format!("/lib/modules/{release}/modules.dep");
    let is_installed = fs::read_to_string(list).is_ok_and(|list| list.contains("/pagelens.ko"));
    let (found, remedy) = match is_installed {
        true => ("installed, not loaded", "sudo modprobe pagelens".to_owned()),
        false => (
            "not installed for this kernel",
            "cargo xtask build     (in the sources of Pagelens; then insmod its pagelens.ko)"
                .to_owned(),
        ),
    };
    row("module pagelens", State::Missing, found, Some(remedy))
}

/// Words for what the module can do, by its place in the version.
const CAPABILITIES: [&str; 1] = ["snapshots of processes"];

fn capabilities(version: &Version) -> Vec<DoctorRow> {
    let told = CAPABILITIES.iter().zip(version.capabilities);
    let rows = told.map(|(name, state)| {
        let (state, found, remedy) = match state {
            AVAILABLE => (State::Good, "of all processes", None),
            OWN_ONLY => (
                State::Missing,
                "of your own processes only",
                Some("sudo pagelens …"),
            ),
            _ => (State::Missing, "this module cannot", Some("a newer module")),
        };
        row(name, state, found, remedy.map(str::to_owned))
    });
    rows.collect()
}

/// Whether the kernel lets modules be loaded.
fn lockdown() -> DoctorRow {
    let text = read(Path::new("/sys/kernel/security/lockdown"));
    let chosen = text
        .as_deref()
        .and_then(|text| text.split(['[', ']']).nth(1));
    let enforced = read(Path::new("/sys/module/module/parameters/sig_enforce"));
    match (chosen, enforced.as_deref()) {
        (Some(level @ ("integrity" | "confidentiality")), _) => row(
            "lockdown",
            State::Missing,
            format!("{level}: only signed modules are loaded"),
            Some("sign the module with a key of this machine: mokutil --import".to_owned()),
        ),
        (_, Some("Y")) => row(
            "lockdown",
            State::Missing,
            "only signed modules are loaded (module.sig_enforce)",
            Some("sign the module with a key of this machine: mokutil --import".to_owned()),
        ),
        (level, _) => {
            let found = level.unwrap_or("this kernel has none");
            row("lockdown", State::Good, found, None)
        }
    }
}

/// Rights that make a difference, by their numbers (`include/uapi/linux/capability.h`).
const RIGHTS: [(&str, u32, &str); 3] = [
    ("CAP_SYS_PTRACE", 19, "other users' processes"),
    ("CAP_SYS_ADMIN", 21, "frames of physical memory"),
    ("CAP_PERFMON", 38, "copy-on-write events"),
];

fn rights() -> Vec<DoctorRow> {
    let text = read(Path::new("/proc/self/status")).unwrap_or_default();
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let rows = RIGHTS
        .iter()
        .map(|(name, bit, what)| match bits >> bit & 1 {
            1 => row(name, State::Good, format!("you have it: {what}"), None),
            _ => {
                let found = format!("you lack it: {what}");
                row(
                    name,
                    State::Missing,
                    found,
                    Some("sudo pagelens …".to_owned()),
                )
            }
        });
    let mut rows: Vec<_> = rows.collect();
    let map = read(Path::new("/proc/self/uid_map")).unwrap_or_default();
    let is_initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !is_initial {
        let found = "not the initial one: rights do not count outside it";
        rows.push(row("user namespace", State::Missing, found, None));
    }
    rows
}

fn rollup() -> DoctorRow {
    match fs::read("/proc/self/smaps_rollup") {
        Ok(_) => row(
            "/proc/PID/smaps_rollup",
            State::Good,
            "there: PSS and USS without the module",
            None,
        ),
        Err(error) => row(
            "/proc/PID/smaps_rollup",
            State::Missing,
            format!("{error}: no PSS without the module"),
            Some(
                "mount -t proc proc /proc, or a kernel from 4.14 on with CONFIG_PROC_PAGE_MONITOR"
                    .to_owned(),
            ),
        ),
    }
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}
