// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes by the files in `/proc`, on any Linux from 5.10 on.
//!
//! Of each process only the files are read that the figures take: `stat` and `statm` if nothing but the
//! resident size is wanted, `status` for kinds and page tables, `smaps_rollup` for PSS and USS, `smaps`
//! for areas. The last two walk over page tables and wait for a lock, and so they are read by several
//! threads, none of which is waited for without end.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{openat, statat, AtFlags, Mode, OFlags};

use super::crew::{self, Finished};
use crate::error::{Error, Result};
use crate::proc::text;
use crate::processes::{
    by_reason, Figure, Figures, Identity, Name, Origin, Process, Processes, Question, WhyLeftOut,
};
use crate::PAGE_SIZE;

/// Bytes of a thread's kernel stack on x86-64.
pub(crate) const KERNEL_STACK: u64 = 16 << 10;

/// Room for every file but smaps and kernels' longest lists of groups in status.
const ROOM: usize = 8192;

/// The figures that only a walk over page tables gives.
const BY_WALK: [Figure; 11] = [
    Figure::Pss,
    Figure::Uss,
    Figure::PssAnonymous,
    Figure::PssFile,
    Figure::PssShmem,
    Figure::SwapPss,
    Figure::Huge,
    Figure::Locked,
    Figure::Ksm,
    Figure::LazyFree,
    Figure::Referenced,
];

/// The figures that status has.
const BY_STATUS: [Figure; 6] = [
    Figure::Anonymous,
    Figure::File,
    Figure::Shmem,
    Figure::Swap,
    Figure::PageTable,
    Figure::Hugetlb,
];

/// `/proc`, or a folder that is like it.
#[derive(Debug)]
pub struct ProcFiles {
    folder: Arc<OwnedFd>,
}

impl ProcFiles {
    /// Opens the folder.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open(folder: &Path) -> Result<Self> {
        let opened = File::open(folder).map_err(|source| Error::Read {
            path: folder.into(),
            source,
        })?;
        Ok(Self {
            folder: Arc::new(opened.into()),
        })
    }

    /// What the processes of a scope have.
    ///
    /// # Errors
    /// [`Error::Read`] if the folder cannot be read.
    pub fn processes(&self, question: &Question) -> Result<Processes> {
        let mut answer = super::begin(Origin::Proc);
        let pids = self.pids(question).map_err(|source| Error::Read {
            path: "/proc".into(),
            source: source.into(),
        })?;
        let visitor = Visitor::new(Arc::clone(&self.folder), question);
        let patience = question.patience;
        let Finished { outcomes, stuck } =
            crew::look_into(pids, patience, move |pid| (pid, visitor.visit(pid)));
        let mut left_out: Vec<_> = stuck
            .into_iter()
            .map(|pid| (WhyLeftOut::Busy, pid))
            .collect();
        for (pid, outcome) in outcomes {
            match outcome {
                Outcome::Told(process) => answer.processes.push(*process),
                Outcome::LeftOut(reason) => left_out.push((reason, pid)),
                Outcome::Gone if question.scope.pids.contains(&pid) => {
                    left_out.push((WhyLeftOut::Absent, pid));
                }
                Outcome::Gone | Outcome::NotMeant => {}
            }
        }
        answer.processes.sort_unstable_by_key(|process| process.pid);
        answer.left_out = by_reason(left_out);
        answer.note_unknown(question.figures);
        Ok(answer)
    }

    /// The processes that may be meant, by number.
    fn pids(&self, question: &Question) -> rustix::io::Result<Vec<u32>> {
        let mut pids = question.scope.pids.clone();
        if pids.is_empty() {
            for entry in rustix::fs::Dir::read_from(&self.folder)? {
                let name = entry?;
                let name = name.file_name().to_str();
                pids.extend(name.ok().and_then(|name| name.parse::<u32>().ok()));
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }
}

/// What came of looking into a process.
enum Outcome {
    Told(Box<Process>),
    LeftOut(WhyLeftOut),
    /// There is none, or there is none any more.
    Gone,
    NotMeant,
}

impl Outcome {
    fn from_error(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            Errno::NOENT | Errno::SRCH => Self::Gone,
            Errno::ACCESS | Errno::PERM => Self::LeftOut(WhyLeftOut::NotAllowed),
            _ => Self::LeftOut(WhyLeftOut::NotUnderstood),
        }
    }
}

/// Which files the question takes.
#[derive(Debug, Clone)]
struct Visitor {
    folder: Arc<OwnedFd>,
    question: Question,
    wants_walk: bool,
    wants_status: bool,
    wants_stat: bool,
    wants_cgroup: bool,
    wants_user: bool,
    nanoseconds_per_tick: u64,
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Visitor {
    fn new(folder: Arc<OwnedFd>, question: &Question) -> Self {
        let figures = question.figures;
        let wants_status = figures.has_any(&BY_STATUS);
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        Self {
            folder,
            question: question.clone(),
            wants_walk: figures.has_any(&BY_WALK),
            wants_status,
            // When it was started tells whether a number has been given again.
            wants_stat: !wants_status || question.with_areas,
            wants_cgroup: question.with_cgroups || question.scope.wants_cgroup(),
            wants_user: question.with_users || !question.scope.users.is_empty(),
            nanoseconds_per_tick: 1_000_000_000 / ticks,
        }
    }

    fn visit(&self, pid: u32) -> Outcome {
        BUFFER.with_borrow_mut(|buffer| match self.look_into(pid, buffer) {
            Ok(outcome) | Err(outcome) => outcome,
        })
    }

    /// The outcome, whichever way it is come by.
    fn look_into(&self, pid: u32, buffer: &mut Vec<u8>) -> Result<Outcome, Outcome> {
        let mut file = ProcessFile {
            folder: self.folder.as_fd(),
            pid,
            buffer,
        };
        let mut process = self.identify(&mut file)?;
        if self.wants_cgroup {
            process.cgroup = text::cgroup(file.read("cgroup")?);
        }
        let identity = Identity {
            pid,
            name: process.name.as_bytes(),
            uid: process.uid,
            cgroup: process.cgroup.as_ref(),
        };
        if !self.question.scope.has(&identity) {
            return Ok(Outcome::NotMeant);
        }
        let has_memory = process.figures.total_bytes.is_some_and(|bytes| bytes > 0);
        if has_memory {
            self.measure(&mut process, &mut file)?;
        } else if self.question.with_empty {
            process.figures = Figures::sum([]);
        } else {
            return Ok(Outcome::NotMeant);
        }
        let stacks = u64::from(process.threads).saturating_mul(KERNEL_STACK);
        process.figures.kernel_stack_bytes = Some(stacks);
        process.figures = process.figures.only(self.question.figures);
        Ok(Outcome::Told(Box::new(process)))
    }

    /// Who it is, and what is known of it then.
    fn identify(&self, file: &mut ProcessFile<'_>) -> Result<Process, Outcome> {
        let not_understood = || Outcome::LeftOut(WhyLeftOut::NotUnderstood);
        let mut process = Process {
            pid: file.pid,
            ppid: 0,
            uid: None,
            threads: 0,
            start_time_ns: None,
            name: Name::default(),
            cgroup: None,
            shares_with: None,
            may_share: false,
            is_kernel: false,
            figures: Figures::default(),
            areas: Vec::new(),
        };
        if self.wants_status {
            let status = text::status(file.read("status")?).ok_or_else(not_understood)?;
            process.is_kernel = status.is_kernel;
            (process.name, process.uid) = (status.name, Some(status.uid));
            (process.ppid, process.threads) = (status.ppid, status.threads);
            process.figures = status.figures;
            if !status.has_memory {
                process.figures.total_bytes = Some(0);
            }
        }
        if self.wants_stat {
            let stat = text::stat(file.read("stat")?).ok_or_else(not_understood)?;
            let start = stat.start_time.saturating_mul(self.nanoseconds_per_tick);
            process.start_time_ns = Some(start);
            process.is_kernel = stat.is_kernel;
            process.name = stat.name;
            (process.ppid, process.threads) = (stat.ppid, stat.threads);
            if !self.wants_status {
                process.figures.total_bytes = Some(stat.total);
                if self.wants_user {
                    process.uid = Some(file.owner()?);
                }
            }
        }
        Ok(process)
    }

    /// What it has.
    fn measure(&self, process: &mut Process, file: &mut ProcessFile<'_>) -> Result<(), Outcome> {
        let not_understood = || Outcome::LeftOut(WhyLeftOut::NotUnderstood);
        if self.wants_walk {
            let text = file.read("smaps_rollup")?;
            if text.is_empty() {
                return Err(Outcome::Gone);
            }
            let walked = text::rollup(text).ok_or_else(not_understood)?;
            let by_walk = BY_WALK.iter().chain([&Figure::Present]);
            for &figure in by_walk {
                *process.figures.get_mut(figure) = walked.get(figure);
            }
        } else if self.question.figures.has(Figure::Present) {
            let (_, present) = text::statm(file.read("statm")?).ok_or_else(not_understood)?;
            process.figures.present_bytes = Some(present.saturating_mul(PAGE_SIZE as u64));
        }
        if self.question.with_areas {
            process.areas = text::smaps(file.read_all("smaps")?).ok_or_else(not_understood)?;
        }
        Ok(())
    }
}

/// The files of one process.
struct ProcessFile<'a> {
    folder: BorrowedFd<'a>,
    pid: u32,
    buffer: &'a mut Vec<u8>,
}

impl ProcessFile<'_> {
    /// A file whose text the kernel makes at once: what one read gives is all of it, if there was room.
    fn read(&mut self, name: &str) -> Result<&[u8], Outcome> {
        self.read_up_to(name, false).map_err(Outcome::from_error)
    }

    /// A file whose text the kernel makes piece by piece.
    fn read_all(&mut self, name: &str) -> Result<&[u8], Outcome> {
        self.read_up_to(name, true).map_err(Outcome::from_error)
    }

    fn read_up_to(&mut self, name: &str, is_in_pieces: bool) -> rustix::io::Result<&[u8]> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = openat(
            self.folder,
            path(self.pid, name).text(),
            flags,
            Mode::empty(),
        )?;
        let mut filled = 0;
        loop {
            if self.buffer.len() < filled + ROOM {
                self.buffer.resize(filled + 2 * ROOM, 0);
            }
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let wanted = room.len();
            let read = match rustix::io::read(&file, room) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            filled += read;
            if read == 0 || !is_in_pieces && read < wanted {
                return Ok(self.buffer.get(..filled).unwrap_or_default());
            }
        }
    }

    /// The user that the process's folder belongs to: that of the process, unless it hides.
    fn owner(&self) -> Result<u32, Outcome> {
        let folder = statat(self.folder, path(self.pid, "").text(), AtFlags::empty());
        folder.map(|stat| stat.st_uid).map_err(Outcome::from_error)
    }
}

/// A path below `/proc`, without a piece of the heap.
struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl Text {
    fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

fn path(pid: u32, name: &str) -> Text {
    let mut bytes = [0; 32];
    let mut room = io::Cursor::new(&mut bytes[..]);
    // Ten digits and the longest name are less than there is room for.
    let written = write!(room, "{pid}/{name}");
    debug_assert!(written.is_ok(), "no room for {pid}/{name}");
    let len = usize::try_from(room.position()).unwrap_or(0);
    Text { bytes, len }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::Scope;

    fn own(question: &Question) -> Processes {
        let scope = Scope {
            pids: vec![std::process::id()],
            ..Scope::default()
        };
        let question = Question {
            scope,
            ..question.clone()
        };
        let files = ProcFiles::open(Path::new("/proc")).unwrap();
        files.processes(&question).unwrap()
    }

    #[test]
    fn what_it_does_not_know_is_not_0() {
        let answer = own(&Question::default());
        let figures = answer.processes[0].figures;
        assert_eq!(figures.zero_bytes, None);
        for &figure in Figure::ALL {
            let is_known = figures.get(figure).is_some();
            assert_eq!(is_known, figure != Figure::Zero, "{figure:?}");
        }
        let unknown: Vec<_> = answer.unknown.iter().map(|one| one.figure).collect();
        assert_eq!(unknown, [Figure::Zero]);
        assert!(figures.pss_bytes <= figures.present_bytes);
    }

    #[test]
    fn nothing_but_what_was_asked_for_is_told() {
        let answer = own(&Question {
            figures: [Figure::Present].into_iter().collect(),
            ..Question::default()
        });
        let process = &answer.processes[0];
        assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
        assert!(process.figures.present_bytes > Some(0));
        let present = process
            .figures
            .only([Figure::Present].into_iter().collect());
        assert_eq!(process.figures, present);
    }

    #[test]
    fn areas_add_up_to_the_process() {
        let answer = own(&Question {
            with_areas: true,
            ..Question::default()
        });
        let process = &answer.processes[0];
        let total: u64 = process.areas.iter().map(|area| area.end - area.start).sum();
        // This process has other threads, whose stacks come and go.
        let told = process.figures.total_bytes.unwrap();
        assert!(total.abs_diff(told) < 64 << 20, "{total} {told}");
        assert!(process.start_time_ns.is_some());
    }

    #[test]
    fn a_process_that_is_named_and_absent_is_left_out_with_the_reason() {
        let files = ProcFiles::open(Path::new("/proc")).unwrap();
        let scope = Scope {
            pids: vec![u32::MAX],
            ..Scope::default()
        };
        let answer = files.processes(&Question {
            scope,
            ..Question::default()
        });
        let answer = answer.unwrap();
        assert_eq!(answer.left_out[0].reason, WhyLeftOut::Absent);
        assert_eq!(answer.left_out[0].pids, [u32::MAX]);
    }
}
