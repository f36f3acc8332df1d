// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What `/proc/memory_info` understands and how it answers.

use core::fmt;

/// Bytes in a process name (`comm`) at most.
pub const NAME_MAX: usize = 15;

/// Bytes in a command at most, its newline included: `FILTER|`, a name, and the newline.
pub const COMMAND_MAX: usize = 7 + NAME_MAX + 1;

/// A command, as it is written to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Take a new snapshot.
    Reset,
    /// Show every name.
    All,
    /// Show one name.
    Filter(&'a [u8]),
    /// Forget one name.
    Del(&'a [u8]),
}

impl<'a> Command<'a> {
    /// Reads a command. One newline at its end is allowed and means nothing; names are taken byte
    /// by byte as they are.
    ///
    /// `None` if it is none: unknown, malformed, or with a name that no process can have (empty,
    /// longer than [`NAME_MAX`], or with a NUL).
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text == b"RESET" {
            Some(Self::Reset)
        } else if text == b"ALL" {
            Some(Self::All)
        } else if let Some(name) = text.strip_prefix(b"FILTER|") {
            possible(name).map(Self::Filter)
        } else if let Some(name) = text.strip_prefix(b"DEL|") {
            possible(name).map(Self::Del)
        } else {
            None
        }
    }
}

fn possible(name: &[u8]) -> Option<&[u8]> {
    (1..=NAME_MAX)
        .contains(&name.len())
        .then_some(name)
        .filter(|name| !name.contains(&0))
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command could not be read from its writer's memory.
    BadAddress,
    /// No such name in the snapshot.
    NoProcess,
    /// Not a command.
    Invalid,
    /// Not enough memory.
    NoMemory,
    /// The writer was killed.
    Interrupted,
}

/// What stands before a failure's message, in the file and in the kernel log.
pub const ERROR: &str = "[ERROR]: ";

impl Failure {
    /// The document's words for it, and words in its spirit where it has none.
    pub const fn message(self) -> &'static str {
        match self {
            Self::BadAddress => "Bad address",
            Self::NoProcess => "No such process",
            Self::Invalid => "Invalid argument",
            Self::NoMemory => "Memory allocation error",
            Self::Interrupted => "Interrupted system call",
        }
    }
}

/// What `RESET` and `DEL` answer, with its newline.
pub const SUCCESS: &str = "[SUCCESS]\n";

/// The figures of a name: of one process or of several that bear it. In pages of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Pages of all VMAs (`mm->total_vm`).
    pub total: u64,
    /// Pages that are present, which is the resident set size.
    pub valid: u64,
    /// Frames mapped read-only whose bytes another such frame of the name holds too.
    pub may_be_shared: u64,
    /// Sets of such frames.
    pub nb_group: u64,
}

impl Figures {
    /// Pages of the VMAs that are not present. Never negative, even where the process changed
    /// between the counting of the one and of the other.
    pub const fn invalid(&self) -> u64 {
        self.total.saturating_sub(self.valid)
    }
}

/// What a look at the processes of a name came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What was seen.
    pub figures: Figures,
    /// How often a page was freed or moved meanwhile. Those that moved may be missing among the
    /// duplicates.
    pub unsettled: u64,
    /// Address spaces whose mmap lock could not be had in time, or which had no end.
    pub left_out: u64,
    /// How much work it was, waiting included: in pages, or what takes as long.
    pub work: u64,
}

/// How much work a snapshot may spend on names of which pages moved or were freed while they were
/// looked at: they are looked at again, until nothing moved. Who frees pages all the time would
/// otherwise decide how long that takes. In pages, or what is as much work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    left: u64,
}

impl Allowance {
    /// What may be spent from the start, so that small names are exact whatever moves: half a
    /// gigabyte's worth.
    pub const START: u64 = 1 << 17;
    /// And for each unit of a first look, one over this many.
    pub const SHARE: u64 = 8;

    /// How often a name is looked at before its figures are taken as they are, though pages still
    /// move. Less often if the allowance is used up.
    pub const LOOKS: usize = 12;

    /// That of a snapshot at its beginning.
    pub const fn new() -> Self {
        Self { left: Self::START }
    }

    /// Looks at a name until nothing moves, as often as is allowed. The last look counts, but for one
    /// that leaves out more than those before: more is known without it, and to wait for that lock
    /// again would be no use.
    ///
    /// # Errors
    ///
    /// What `look` returned.
    pub fn settle<E>(&mut self, mut look: impl FnMut() -> Result<Look, E>) -> Result<Look, E> {
        let mut best = look()?;
        self.earn(best.work);
        for _ in 1..Self::LOOKS {
            if best.unsettled == 0 || !self.suffices(best.work) {
                break;
            }
            let next = look()?;
            self.spend(next.work);
            if next.left_out > best.left_out {
                break;
            }
            best = next;
        }
        Ok(best)
    }

    /// A name was looked at for the first time.
    fn earn(&mut self, work: u64) {
        self.left = self.left.saturating_add(work / Self::SHARE);
    }

    /// Whether a name may be looked at again for which the last look took `work`.
    const fn suffices(&self, work: u64) -> bool {
        work <= self.left
    }

    /// A name was looked at again.
    fn spend(&mut self, work: u64) {
        self.left = self.left.saturating_sub(work);
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

/// Where text goes. Names are bytes, not necessarily UTF-8.
pub trait Output: fmt::Write {
    /// Appends bytes as they are.
    ///
    /// # Errors
    ///
    /// If they cannot be kept.
    fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result;
}

/// Writes the line of a name, with its newline. `pids` yields `count` of them.
///
/// # Errors
///
/// What `out` returned.
pub fn write_line(
    out: &mut impl Output,
    name: &[u8],
    figures: &Figures,
    count: usize,
    pids: impl Iterator<Item = i32>,
) -> fmt::Result {
    write_name(out, name)?;
    write!(
        out,
        ", total: {}, valid: {}, invalid: {}, may_be_shared: {}, nb_group: {}, pid({count}):",
        figures.total,
        figures.valid,
        figures.invalid(),
        figures.may_be_shared,
        figures.nb_group,
    )?;
    for (index, pid) in pids.enumerate() {
        let separator = if index == 0 { " " } else { "; " };
        write!(out, "{separator}{pid}")?;
    }
    out.write_bytes(b"\n")
}

/// Writes a name so that it cannot end the line: newline and backslash escaped as in
/// `/proc/PID/status`, all else as it is.
///
/// # Errors
///
/// What `out` returned.
pub fn write_name(out: &mut impl Output, name: &[u8]) -> fmt::Result {
    let mut rest = name;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.write_bytes(plain)?;
        out.write_bytes(if special.starts_with(b"\n") {
            b"\\n"
        } else {
            b"\\\\"
        })?;
        rest = special.get(1..).unwrap_or_default();
    }
    out.write_bytes(rest)
}
