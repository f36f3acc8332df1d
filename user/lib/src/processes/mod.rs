// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the processes of a scope have, whichever source told it.

mod figures;
mod group;
mod machine;
mod name;
mod scope;

use std::ops::Range;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use figures::{Figure, FigureSet, Figures};
pub use group::{unit_of, By, Group};
pub use machine::{Leading, Machine};
pub use name::{harmless, is_dangerous, Name};
pub use scope::{Identity, Scope};

/// What is to be told.
#[derive(Debug, Clone)]
pub struct Question {
    /// Of which processes.
    pub scope: Scope,
    /// Which figures. A source does not do what only others take.
    pub figures: FigureSet,
    /// Whether each area of addresses is told, too.
    pub with_areas: bool,
    /// Whether each process's cgroup is told.
    pub with_cgroups: bool,
    /// Whether each process's user is told.
    pub with_users: bool,
    /// Whether processes without memory are told: those of the kernel, and those that have ended.
    pub with_empty: bool,
    /// How long one process may keep us waiting before it is left out.
    pub patience: Duration,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            figures: FigureSet::all(),
            with_areas: false,
            with_cgroups: false,
            with_users: true,
            with_empty: false,
            patience: Duration::from_secs(1),
        }
    }
}

/// Who told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The module `pagelens`.
    Kernel,
    /// The files in /proc.
    Proc,
}

impl Origin {
    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Proc => "proc",
        }
    }
}

/// The processes of a scope at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Processes {
    /// Who told it.
    pub origin: Origin,
    /// When it was asked: nanoseconds since 1970.
    pub time_ns: u64,
    /// The machine's name.
    pub host: Name,
    /// The kernel's release.
    pub kernel: Name,
    /// The machine's memory at that moment.
    pub machine: Machine,
    /// The processes, by number.
    pub processes: Vec<Process>,
    /// Those that should be here and are not.
    pub left_out: Vec<LeftOut>,
    /// The figures that are `None` everywhere, and why.
    pub unknown: Vec<Unknown>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's; 0 for none that can be seen.
    pub ppid: u32,
    /// Its real user; `None` if nobody asked.
    pub uid: Option<u32>,
    /// Its threads.
    pub threads: u32,
    /// When it was started: nanoseconds since the machine was. `None` if nobody asked.
    pub start_time_ns: Option<u64>,
    /// Its name.
    pub name: Name,
    /// The folder of its cgroup, from the root of version 2 on; of version 1 where there is no other.
    pub cgroup: Option<Name>,
    /// The process with which its memory was told, if both share it: its figures are the same, and not to
    /// be added up twice.
    pub shares_with: Option<u32>,
    /// Whether its memory may have been told with a process before it, which nobody can know.
    pub may_share: bool,
    /// Whether it belongs to the kernel and has no memory of its own.
    pub is_kernel: bool,
    /// What it has.
    pub figures: Figures,
    /// What it has where, by address; nothing if nobody asked.
    pub areas: Vec<Area>,
}

/// An area of addresses (VMA).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Area {
    /// Its first address.
    pub start: u64,
    /// The first behind it.
    pub end: u64,
    /// What the process may do there.
    pub access: Access,
    /// Where in its file it begins.
    pub offset: u64,
    /// The device of its file, `(major, minor)`.
    pub device: (u32, u32),
    /// The inode of its file; 0 for none.
    pub inode: u64,
    /// The file's path, or a name such as `[heap]`.
    pub name: Option<Name>,
    /// What is there. What is only told of processes is `None`.
    pub figures: Figures,
}

impl Area {
    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> Range<u64> {
        self.start..self.end
    }
}

/// What may be done with an area of addresses: `rwxs` and the like.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Access {
    /// It can be read.
    pub read: bool,
    /// Written.
    pub write: bool,
    /// Executed.
    pub execute: bool,
    /// What is written, others see.
    pub shared: bool,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letter = |is_set, letter| if is_set { letter } else { '-' };
        let text: String = [
            letter(self.read, 'r'),
            letter(self.write, 'w'),
            letter(self.execute, 'x'),
            if self.shared { 's' } else { 'p' },
        ]
        .into_iter()
        .collect();
        f.pad(&text)
    }
}

/// Processes that are not told, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Why.
    pub reason: WhyLeftOut,
    /// How many.
    pub processes: u64,
    /// Which, as far as that is known.
    pub pids: Vec<u32>,
}

/// Why a process is left out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WhyLeftOut {
    /// Whoever asks may not look into it.
    NotAllowed,
    /// Its memory was locked by others for too long.
    Busy,
    /// There is none of this number.
    Absent,
    /// What the source says of it is not understood.
    NotUnderstood,
}

impl WhyLeftOut {
    /// The reason for people, with the way out.
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            Self::NotAllowed => "of other users left out: run with sudo",
            Self::Busy => "left out, whose memory others kept locked: try again",
            Self::Absent => "named that do not exist",
            Self::NotUnderstood => "left out, of which /proc is not understood: please report it",
        }
    }
}

/// A figure that is `None`, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unknown {
    /// Which.
    pub figure: Figure,
    /// Why.
    pub reason: WhyUnknown,
}

/// Why a figure is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyUnknown {
    /// Nobody asked for it.
    NotAsked,
    /// The module does not tell it.
    NotInModule,
    /// /proc does not tell it, or not on this kernel.
    NotInProc,
}

/// Puts the processes that are left out in order: by reason, then by number.
pub(crate) fn by_reason(each: impl IntoIterator<Item = (WhyLeftOut, u32)>) -> Vec<LeftOut> {
    let mut reasons = std::collections::BTreeMap::<_, Vec<u32>>::new();
    for (reason, pid) in each {
        reasons.entry(reason).or_default().push(pid);
    }
    let sorted = reasons.into_iter().map(|(reason, mut pids)| {
        pids.sort_unstable();
        LeftOut {
            reason,
            processes: pids.len() as u64,
            pids,
        }
    });
    sorted.collect()
}

impl Processes {
    /// The sum of all figures: memory that several processes share is in it once.
    #[must_use]
    pub fn total(&self) -> Figures {
        Figures::sum(self.told_once().map(|process| &process.figures))
    }

    /// The processes without those whose memory was told with another.
    pub fn told_once(&self) -> impl Iterator<Item = &Process> {
        let all = self.processes.iter();
        all.filter(|process| process.shares_with.is_none())
    }

    /// Where the process with which a memory was told is not here, lets the next one that has it tell it.
    pub(crate) fn adopt(&mut self) {
        let here: std::collections::BTreeSet<u32> =
            self.processes.iter().map(|process| process.pid).collect();
        let mut heirs = std::collections::BTreeMap::new();
        for process in &mut self.processes {
            let Some(owner) = process.shares_with.filter(|pid| !here.contains(pid)) else {
                continue;
            };
            process.shares_with = heirs.get(&owner).copied();
            heirs.entry(owner).or_insert(process.pid);
        }
    }

    /// Notes which figures no process has.
    pub(crate) fn note_unknown(&mut self, asked: FigureSet) {
        let total = self.total();
        let has_some = self.processes.iter().any(|process| !process.is_kernel);
        let in_source = match self.origin {
            Origin::Kernel => WhyUnknown::NotInModule,
            Origin::Proc => WhyUnknown::NotInProc,
        };
        for &figure in Figure::ALL {
            let reason = match asked.has(figure) {
                false => WhyUnknown::NotAsked,
                true if has_some && total.get(figure).is_none() => in_source,
                true => continue,
            };
            self.unknown.push(Unknown { figure, reason });
        }
    }
}
