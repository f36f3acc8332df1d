// SPDX-License-Identifier: MIT OR Apache-2.0
//! An answer, whatever the command: what is the same of all, and the rows.

use jiff::Timestamp;
use pagelens::processes::{Name, Origin, Processes, WhyLeftOut, WhyUnknown};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Status;
use crate::ui::Ui;

/// An answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report<R, X> {
    /// The name and the version of this form, such as `pagelens.ps/1`. The version rises when a key
    /// changes its meaning or is taken away.
    pub schema: &'static str,
    /// Who told it.
    pub source: Origin,
    /// The file from which it was read, if it is not of now.
    pub capture: Option<String>,
    /// When it was told (RFC 3339).
    pub time: String,
    /// The machine's name.
    pub host: Name,
    /// The kernel's release.
    pub kernel: Name,
    /// The rows, in the order that was asked for.
    pub rows: Vec<R>,
    /// The sums of all rows, also of those that `--top` leaves out.
    pub totals: Option<R>,
    /// What only this command has.
    #[serde(flatten)]
    pub more: X,
    /// What should be in the rows and is not.
    pub left_out: Vec<LeftOut>,
    /// Figures that are null in all rows.
    pub unknown: Vec<Unknown>,
}

/// Processes that are not in the rows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeftOut {
    /// Why.
    pub reason: WhyLeftOut,
    /// How many.
    pub processes: u64,
    /// Which, as far as that is known.
    pub pids: Vec<u32>,
    /// The same for people.
    pub explanation: String,
}

/// A figure that nobody knows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unknown {
    /// Its key.
    pub figure: String,
    /// Why.
    pub reason: WhyUnknown,
}

impl<R, X> Report<R, X> {
    /// An answer with these rows.
    pub fn new(schema: &'static str, answer: &Processes, rows: Vec<R>, more: X) -> Self {
        Self {
            schema,
            source: answer.origin,
            capture: None,
            time: time(answer.time_ns),
            host: answer.host.clone(),
            kernel: answer.kernel.clone(),
            rows,
            totals: None,
            more,
            left_out: answer.left_out.iter().map(left_out).collect(),
            unknown: answer.unknown.iter().map(unknown).collect(),
        }
    }

    /// Adds what was left out elsewhere.
    pub fn add_left_out(&mut self, told: &[pagelens::processes::LeftOut]) {
        self.left_out.extend(told.iter().map(left_out));
    }

    /// Says what is missing.
    pub fn note_left_out(&self, ui: &mut Ui) -> Status {
        note(ui, &self.left_out)
    }

    /// Who told it, in a few words.
    pub fn origin(&self) -> String {
        let by = match self.source {
            Origin::Kernel => "by the module",
            Origin::Proc => "by /proc",
        };
        match &self.capture {
            Some(file) => format!("{file}, {by} on {} at {}", self.host, self.time),
            None => by.to_owned(),
        }
    }
}

/// A time (RFC 3339), to the millisecond.
pub fn time(nanoseconds: u64) -> String {
    let milliseconds = i64::try_from(nanoseconds / 1_000_000).unwrap_or(0);
    let time = Timestamp::from_millisecond(milliseconds);
    time.unwrap_or_default().to_string()
}

/// Says what is missing.
pub fn note_left_out(ui: &mut Ui, told: &[pagelens::processes::LeftOut]) -> Status {
    note(ui, &told.iter().map(left_out).collect::<Vec<_>>())
}

fn note(ui: &mut Ui, left_out: &[LeftOut]) -> Status {
    for left_out in left_out {
        ui.note(&left_out.explanation);
    }
    match left_out.is_empty() {
        true => Status::Answered,
        false => Status::Partly,
    }
}

fn left_out(told: &pagelens::processes::LeftOut) -> LeftOut {
    const NAMED: usize = 3;
    let one = if told.processes == 1 {
        "process"
    } else {
        "processes"
    };
    let why = match told.reason {
        // The usual way out is of no use to root.
        WhyLeftOut::NotAllowed if rustix::process::geteuid().is_root() => {
            "left out: even root may not look here (no CAP_SYS_PTRACE, or a security policy)"
        }
        reason => reason.explain(),
    };
    let mut explanation = format!("{} {one} {why}", told.processes);
    if told.reason != WhyLeftOut::NotAllowed {
        let some: Vec<_> = told.pids.iter().take(NAMED).map(u32::to_string).collect();
        let more = if told.pids.len() > NAMED { ", …" } else { "" };
        explanation += &format!(" ({}{more})", some.join(", "));
    }
    LeftOut {
        reason: told.reason,
        processes: told.processes,
        pids: told.pids.clone(),
        explanation,
    }
}

fn unknown(told: &pagelens::processes::Unknown) -> Unknown {
    Unknown {
        figure: format!("{}_bytes", told.figure.key()),
        reason: told.reason,
    }
}
