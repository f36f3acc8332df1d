// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes by the module `pagelens`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use abi::pagelens::{LEFT_OUT_ABSENT, LEFT_OUT_BUSY, VMA_EXEC, VMA_READ, VMA_SHARED, VMA_WRITE};

use crate::device::{
    self, Detail, Device, LeftOut, Memory, Record, Sums, COMM_LEN, MEMORY_BUSY, MEMORY_ENDED,
    PROCESS_KERNEL, PROCESS_MAY_BE_TOLD,
};
use crate::error::Result;
use crate::processes::{
    by_reason, Access, Area, Figure, Figures, Identity, Name, Origin, Process, Processes, Question,
    Scope, WhyLeftOut,
};

/// The figures that the kernel counts all the time: no page table is walked for them.
const COUNTED: [Figure; 10] = [
    Figure::Total,
    Figure::Present,
    Figure::Anonymous,
    Figure::File,
    Figure::Shmem,
    Figure::Swap,
    Figure::PageTable,
    Figure::KernelStack,
    Figure::Hugetlb,
    // Which it does not tell at all.
    Figure::SwapPss,
];

/// Bits of the PSS below a byte.
const PSS_SHIFT: u32 = 12;

/// What the processes of a scope have.
pub(super) fn processes(device: &Device, question: &Question) -> Result<Processes> {
    let is_counted = |figure| COUNTED.contains(&figure);
    let detail = match question.figures.iter().all(is_counted) && !question.with_areas {
        true => Detail::Counters,
        false => Detail::Frames,
    };
    let wants_cgroups = question.with_cgroups || question.scope.wants_cgroup();
    let folder = cgroup_folder(&question.scope);
    let records = device.snapshot(&device::Question {
        scope: narrowest(&question.scope, folder.as_ref()),
        detail,
        with_areas: question.with_areas,
        with_names: question.with_areas,
    })?;
    let mut listener = Listener {
        question,
        detail,
        cgroups: wants_cgroups.then(cgroups).unwrap_or_default(),
        answer: super::begin(Origin::Kernel),
        told: Vec::new(),
        memories: HashMap::new(),
        areas: Vec::new(),
        left_out: Vec::new(),
        refused: 0,
    };
    for record in records {
        listener.hear(record?);
    }
    Ok(listener.finish())
}

/// The narrowest scope of the module's that has all processes of this one.
fn narrowest<'a>(scope: &'a Scope, folder: Option<&'a File>) -> device::Scope<'a> {
    match (scope.names.as_slice(), folder) {
        _ if !scope.pids.is_empty() => device::Scope::Pids(&scope.pids),
        ([name], _) if scope.patterns.is_empty() && name.as_bytes().len() < COMM_LEN => {
            device::Scope::Comm(name.as_bytes())
        }
        (_, Some(folder)) => device::Scope::Cgroup(folder.as_fd()),
        _ => device::Scope::All,
    }
}

/// The folder of the cgroup that is meant, if one is.
fn cgroup_folder(scope: &Scope) -> Option<File> {
    let [path] = scope.cgroups.as_slice() else {
        return None;
    };
    let below = std::ffi::OsStr::from_bytes(path.as_bytes());
    let below = Path::new(below).strip_prefix("/").ok()?;
    File::open(hierarchy()?.join(below)).ok()
}

/// Where cgroups of version 2 are mounted.
fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let is_it = |line: &&str| line.contains(" - cgroup2 ");
    let place = mounts.lines().find(is_it)?.split(' ').nth(4)?;
    Some(place.into())
}

/// The cgroups of version 2 by their inodes.
fn cgroups() -> HashMap<u64, Name> {
    let mut found = HashMap::new();
    let Some(top) = hierarchy() else {
        return found;
    };
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        if let (Ok(data), Ok(below)) = (fs::metadata(&folder), folder.strip_prefix(&top)) {
            let path = Path::new("/").join(below);
            found.insert(data.ino(), Name::from(path.as_os_str().as_bytes()));
        }
        // One that is removed meanwhile has no processes.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(inner.map(|entry| entry.path()));
    }
    found
}

/// A memory as it was told.
struct Space {
    figures: Figures,
    areas: Vec<Area>,
    /// Whether it is whole; and if not, whether that is worth a word.
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Ended,
    Busy,
}

/// Makes an answer of records.
struct Listener<'a> {
    question: &'a Question,
    detail: Detail,
    cgroups: HashMap<u64, Name>,
    answer: Processes,
    /// The processes with the numbers of their memories.
    told: Vec<(u64, Process)>,
    memories: HashMap<u64, Space>,
    /// The areas of the memory that comes next.
    areas: Vec<Area>,
    left_out: Vec<(WhyLeftOut, u32)>,
    refused: u64,
}

impl Listener<'_> {
    fn hear(&mut self, record: Record) {
        match record {
            Record::Process(process) => self.process(&process),
            Record::Area(area) => self.areas.push(told_area(*area)),
            Record::Memory(memory) => self.memory(&memory),
            Record::LeftOut(left_out) => self.left_out(&left_out),
            Record::End(end) => self.refused = end.refused,
            Record::Begin(_) => {}
        }
    }

    fn process(&mut self, told: &device::Process) {
        let flags = told.header.flags;
        let name = told.comm.split(|&byte| byte == 0).next();
        let process = Process {
            pid: told.pid,
            ppid: told.ppid,
            uid: Some(told.uid),
            threads: told.threads,
            start_time_ns: Some(told.start_time),
            name: name.unwrap_or_default().into(),
            cgroup: self.cgroups.get(&told.cgroup).cloned(),
            shares_with: None,
            may_share: flags & PROCESS_MAY_BE_TOLD != 0,
            is_kernel: flags & PROCESS_KERNEL != 0,
            figures: Figures {
                kernel_stack_bytes: Some(told.kernel_stacks),
                ..Figures::sum([])
            },
            areas: Vec::new(),
        };
        self.told.push((told.memory, process));
    }

    /// A memory comes behind the first process that has it.
    fn memory(&mut self, memory: &Memory) {
        let space = Space {
            figures: told_memory(memory, self.detail),
            areas: std::mem::take(&mut self.areas),
            state: match memory.header.flags {
                flags if flags & MEMORY_BUSY != 0 => State::Busy,
                flags if flags & MEMORY_ENDED != 0 => State::Ended,
                _ => State::Whole,
            },
        };
        self.memories.insert(memory.memory, space);
    }

    fn left_out(&mut self, told: &LeftOut) {
        let reason = match told.reason {
            LEFT_OUT_ABSENT => WhyLeftOut::Absent,
            LEFT_OUT_BUSY => WhyLeftOut::Busy,
            _ => WhyLeftOut::NotAllowed,
        };
        self.left_out.push((reason, told.pid));
    }

    fn finish(mut self) -> Processes {
        let mut owners = HashMap::new();
        for (number, mut process) in std::mem::take(&mut self.told) {
            let identity = Identity {
                pid: process.pid,
                name: process.name.as_bytes(),
                uid: process.uid,
                cgroup: process.cgroup.as_ref(),
            };
            if !self.question.scope.has(&identity) {
                continue;
            }
            if number == 0 {
                if self.question.with_empty {
                    self.answer.processes.push(process);
                }
                continue;
            }
            match self.memories.get_mut(&number) {
                Some(space) if space.state == State::Whole => {
                    let stacks = process.figures.kernel_stack_bytes;
                    process.figures = Figures {
                        kernel_stack_bytes: stacks,
                        ..space.figures
                    };
                    // The first that is meant, which need not be the first that has it.
                    process.shares_with = owners.get(&number).copied();
                    owners.entry(number).or_insert(process.pid);
                    process.areas = std::mem::take(&mut space.areas);
                    process.figures = process.figures.only(self.question.figures);
                    self.answer.processes.push(process);
                }
                Some(space) if space.state == State::Ended => {}
                _ => self.left_out.push((WhyLeftOut::Busy, process.pid)),
            }
        }
        self.answer.left_out = by_reason(self.left_out);
        note_refused(&mut self.answer, self.refused);
        self.answer.note_unknown(self.question.figures);
        self.answer
    }
}

/// Of those that may not be looked into, only those that were named are told by number.
fn note_refused(answer: &mut Processes, refused: u64) {
    let mut left_out = answer.left_out.iter_mut();
    match left_out.find(|left_out| left_out.reason == WhyLeftOut::NotAllowed) {
        Some(told) => told.processes = told.processes.max(refused),
        None if refused > 0 => answer.left_out.push(crate::processes::LeftOut {
            reason: WhyLeftOut::NotAllowed,
            processes: refused,
            pids: Vec::new(),
        }),
        None => {}
    }
}

/// The figures of a memory.
fn told_memory(memory: &Memory, detail: Detail) -> Figures {
    let counted = Figures {
        total_bytes: Some(memory.total),
        swap_bytes: Some(memory.swap),
        page_table_bytes: Some(memory.page_tables),
        hugetlb_bytes: Some(memory.hugetlb),
        ..Figures::default()
    };
    if detail == Detail::Frames {
        let walked = told_sums(&memory.sums);
        return Figures {
            total_bytes: counted.total_bytes,
            swap_bytes: counted.swap_bytes,
            page_table_bytes: counted.page_table_bytes,
            hugetlb_bytes: counted.hugetlb_bytes,
            ..walked
        };
    }
    let kinds = [
        memory.rss_anonymous,
        memory.rss_file,
        memory.rss_shared_memory,
    ];
    let [anonymous, file, shmem] = kinds;
    Figures {
        present_bytes: Some(kinds.into_iter().fold(0, u64::saturating_add)),
        anonymous_bytes: Some(anonymous),
        file_bytes: Some(file),
        shmem_bytes: Some(shmem),
        ..counted
    }
}

/// The figures of what was found by a walk.
fn told_sums(sums: &Sums) -> Figures {
    let pss = |bytes: u64| Some(bytes >> PSS_SHIFT);
    Figures {
        total_bytes: Some(sums.size),
        present_bytes: Some(sums.present),
        pss_bytes: pss(sums.pss),
        uss_bytes: Some(sums.private_clean.saturating_add(sums.private_dirty)),
        anonymous_bytes: Some(sums.anonymous),
        file_bytes: Some(sums.file),
        shmem_bytes: Some(sums.shared_memory),
        swap_bytes: Some(sums.swapped),
        pss_anonymous_bytes: pss(sums.pss_anonymous),
        pss_file_bytes: pss(sums.pss_file),
        pss_shmem_bytes: pss(sums.pss_shared_memory),
        huge_bytes: Some(sums.huge_2m.saturating_add(sums.huge_1g)),
        locked_bytes: pss(sums.pss_locked),
        ksm_bytes: Some(sums.ksm),
        lazy_free_bytes: Some(sums.lazy_free),
        referenced_bytes: Some(sums.referenced),
        zero_bytes: Some(sums.zero),
        ..Figures::default()
    }
}

fn told_area(area: device::Area) -> Area {
    let vma = &area.vma;
    let is_set = |bit| vma.traits & bit != 0;
    Area {
        start: vma.start,
        end: vma.end,
        access: Access {
            read: is_set(VMA_READ),
            write: is_set(VMA_WRITE),
            execute: is_set(VMA_EXEC),
            shared: is_set(VMA_SHARED),
        },
        offset: vma.offset,
        device: (vma.dev_major, vma.dev_minor),
        inode: vma.inode,
        figures: told_sums(&vma.sums),
        name: area.name.as_deref().map(Name::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::pagelens::{End, PROCESS_TOLD};
    use proptest::prelude::*;

    fn heard(question: &Question, records: Vec<Record>) -> Processes {
        let mut listener = Listener {
            question,
            detail: Detail::Frames,
            cgroups: HashMap::new(),
            answer: super::super::begin(Origin::Kernel),
            told: Vec::new(),
            memories: HashMap::new(),
            areas: Vec::new(),
            left_out: Vec::new(),
            refused: 0,
        };
        for record in records {
            listener.hear(record);
        }
        listener.finish()
    }

    fn process(pid: u32, memory: u64, name: &[u8], flags: u16) -> Record {
        let mut process = device::Process {
            pid,
            memory,
            kernel_stacks: 1,
            ..device::Process::default()
        };
        process.header.flags = flags;
        process.comm[..name.len()].copy_from_slice(name);
        Record::Process(process)
    }

    fn memory(number: u64, pss: u64, flags: u16) -> Record {
        let mut memory = Memory {
            memory: number,
            ..Memory::default()
        };
        memory.header.flags = flags;
        memory.sums.pss = pss << PSS_SHIFT;
        Record::Memory(Box::new(memory))
    }

    fn end(refused: u64) -> Record {
        Record::End(End {
            refused,
            ..End::default()
        })
    }

    #[test]
    fn memory_that_is_shared_is_told_once_and_named_by_all() {
        let records = vec![
            process(1, 1, b"a", 0),
            memory(1, 9, 0),
            process(2, 0, b"kworker", PROCESS_KERNEL),
            process(3, 1, b"b", PROCESS_TOLD),
            process(4, 1, b"b", PROCESS_TOLD),
            end(0),
        ];
        let answer = heard(&Question::default(), records.clone());
        let shares = |answer: &Processes| -> Vec<_> {
            let all = answer.processes.iter();
            all.map(|process| (process.pid, process.shares_with))
                .collect()
        };
        assert_eq!(shares(&answer), [(1, None), (3, Some(1)), (4, Some(1))]);
        assert_eq!(answer.total().pss_bytes, Some(9));
        let mut question = Question::default();
        question.scope.names = vec!["b".into()];
        let answer = heard(&question, records);
        assert_eq!(shares(&answer), [(3, None), (4, Some(3))]);
        assert_eq!(answer.total().pss_bytes, Some(9));
    }

    #[test]
    fn what_is_not_whole_is_left_out_and_what_ended_is_gone() {
        let records = vec![
            process(1, 1, b"a", 0),
            memory(1, 9, MEMORY_BUSY),
            process(2, 2, b"a", 0),
            memory(2, 9, MEMORY_ENDED),
            end(5),
        ];
        let answer = heard(&Question::default(), records);
        assert!(answer.processes.is_empty());
        let left: Vec<_> = answer
            .left_out
            .iter()
            .map(|left| (left.reason, left.processes))
            .collect();
        assert_eq!(left, [(WhyLeftOut::Busy, 1), (WhyLeftOut::NotAllowed, 5)]);
    }

    proptest! {
        #[test]
        fn no_order_of_records_panics(
            records in proptest::collection::vec((0..4_u8, 0..4_u32, 0..3_u64, any::<u16>()), 0..30)
        ) {
            let records = records.into_iter().map(|(kind, pid, number, flags)| match kind {
                0 => process(pid, number, b"x", flags),
                1 => memory(number, u64::MAX, flags),
                2 => Record::LeftOut(LeftOut { pid, reason: u32::from(flags), ..LeftOut::default() }),
                _ => end(u64::MAX),
            });
            let _ = heard(&Question::default(), records.collect()).total();
        }
    }
}
