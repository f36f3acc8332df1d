// SPDX-License-Identifier: GPL-2.0
//! What the frames of the machine are, by the kernel's records of them (`struct page`).
//!
//! Nothing is locked and nothing keeps a frame from becoming something else: each is told as it was when
//! it was looked at, once. What keeps memory from being taken out of the machine meanwhile is
//! [`MachineFrames`]; what keeps the files behind frames from being freed is RCU, under which all of a look
//! is done (`shim.c` says how). No frame is referenced, but those of files for the moment in which
//! their file is found.
//!
//! Locks: within a look RCU; for a name within that a file's frame, if nobody has it, then the inode's lock or
//! the one of renames.
//! Nothing is locked when a function returns.

mod sys;

use abi::pagelens::ram::{
    RamFile, RamGroup, RamNode, RamRun, RamZone, RAM_FILE_DEVICE, RAM_NODE_NONE, RAM_ZONE_DMA,
    RAM_ZONE_DMA32, RAM_ZONE_MOVABLE, RAM_ZONE_NONE, RAM_ZONE_NORMAL,
};
use kernel::{ffi::c_uint, prelude::*};
use kx_base::charged;
use kx_frame::MachineFrames;
use model::ram::{sums, Facts, FRAME};

/// What is to be told besides kinds.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The cgroups that pay.
    pub groups: bool,
    /// The files.
    pub files: bool,
}

impl Wanted {
    fn bits(self) -> c_uint {
        let groups = if self.groups { sys::KX_RAM_GROUPS } else { 0 };
        let files = if self.files { sys::KX_RAM_FILES } else { 0 };
        groups | files
    }
}

/// How many runs are looked at in one go, at most. Two megabytes may have more: then the next look goes on
/// among them.
const RUNS: usize = 128;

/// Frames that follow each other and are alike.
#[derive(Clone, Copy)]
pub struct Run<'a>(&'a sys::Run);

impl Run<'_> {
    fn facts(&self) -> Facts {
        Facts(self.0.facts)
    }

    /// `RAM_…`, what they are.
    pub fn kind(&self) -> u32 {
        self.facts().kind()
    }

    /// All bytes of them.
    pub fn bytes(&self) -> u64 {
        self.0.frames.saturating_mul(FRAME)
    }

    fn node_number(&self) -> u32 {
        match self.0.node {
            sys::KX_RAM_NODE_NONE => RAM_NODE_NONE,
            node => node,
        }
    }

    fn zone_number(&self) -> u32 {
        match self.0.zone {
            sys::KX_RAM_ZONE_DMA => RAM_ZONE_DMA,
            sys::KX_RAM_ZONE_DMA32 => RAM_ZONE_DMA32,
            sys::KX_RAM_ZONE_NORMAL => RAM_ZONE_NORMAL,
            sys::KX_RAM_ZONE_MOVABLE => RAM_ZONE_MOVABLE,
            _ => RAM_ZONE_NONE,
        }
    }

    /// As a part of their zone, without a header.
    pub fn zone(&self) -> RamZone {
        RamZone {
            node: self.node_number(),
            zone: self.zone_number(),
            kind: self.kind(),
            order: self.0.order,
            sums: sums(self.facts(), self.0.frames, self.0.mappings),
            ..RamZone::default()
        }
    }

    /// As a part of what a cgroup pays for.
    pub fn group(&self) -> RamGroup {
        RamGroup {
            cgroup: self.0.cgroup,
            kind: self.kind(),
            sums: self.zone().sums,
            ..RamGroup::default()
        }
    }

    /// As a part of a file; the flags of the header are told.
    pub fn file(&self) -> RamFile {
        let mut file = RamFile {
            inode: self.0.inode,
            dev_major: self.0.major,
            dev_minor: self.0.minor,
            magic: self.0.magic,
            kind: self.kind(),
            sums: self.zone().sums,
            ..RamFile::default()
        };
        if self.facts().has(Facts::DEVICE) {
            file.header.flags = RAM_FILE_DEVICE;
        }
        file
    }

    /// As such.
    pub fn run(&self) -> RamRun {
        let zone = self.zone();
        RamRun {
            start: self.0.pfn.saturating_mul(FRAME),
            cgroup: self.0.cgroup,
            node: zone.node,
            zone: zone.zone,
            kind: zone.kind,
            order: zone.order,
            sums: zone.sums,
            ..RamRun::default()
        }
    }

    /// The name of their file; `buffer` is room for it. `None` if none is known, or the first frame
    /// is not the file's any more.
    pub fn name<'a>(&self, _memory: &MachineFrames, buffer: &'a mut [u8]) -> Option<Name<'a>> {
        let len = c_uint::try_from(buffer.len()).ok()?;
        let mut at = 0;
        // SAFETY: Any frame may be asked for, as long as the memory is watched: by the invariant of
        // `MachineFrames`. The run is C's structure, and the buffer has the length that is told.
        let named = unsafe { sys::kx_ram_name(self.0, buffer.as_mut_ptr().cast(), len, &mut at) };
        let name = buffer.get(at as usize..).unwrap_or_default();
        let end = name.iter().position(|&byte| byte == 0);
        let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
        match named {
            sys::KX_RAM_NAMED => Some(Name::Known(name)),
            sys::KX_RAM_DELETED => Some(Name::Deleted(name)),
            sys::KX_RAM_TOO_LONG => Some(Name::TooLong),
            _ => None,
        }
    }
}

/// The name of a file.
pub enum Name<'a> {
    /// Its path in its file system; without a leading `/` what it is called that has no path.
    Known(&'a [u8]),
    /// The path that it had.
    Deleted(&'a [u8]),
    /// It is longer than there is room.
    TooLong,
}

/// Goes through the frames of the machine.
pub struct Frames {
    wanted: Wanted,
    /// The next one that was not looked at, and the first that is not to be.
    next: u64,
    end: u64,
    /// What was found last.
    runs: KVVec<sys::Run>,
}

impl Frames {
    /// Over the physical addresses of a range, multiples of the size of a page.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new(start: u64, end: u64, wanted: Wanted) -> Result<Self> {
        let mut runs = KVVec::with_capacity(RUNS, charged::flags())?;
        runs.resize(RUNS, sys::Run::default(), charged::flags())?;
        Ok(Self {
            wanted,
            next: start / FRAME,
            end: end / FRAME,
            runs,
        })
    }

    /// The physical address of the first frame that was not looked at.
    pub fn at(&self) -> u64 {
        self.next.saturating_mul(FRAME)
    }

    /// Looks at the next frames, two megabytes at most and what reaches beyond; how many runs they are.
    /// `None` at the end.
    pub fn look(&mut self, _memory: &MachineFrames) -> Option<usize> {
        // SAFETY: Only looks at the kernel's list of sections, which is never freed.
        self.next = unsafe { sys::kx_ram_next(self.next as usize) } as u64;
        if self.next >= self.end {
            return None;
        }
        let mut next = 0;
        // SAFETY: Any number may be asked for, as long as the memory is watched: by the invariant of
        // `MachineFrames`. The runs are C's structures, as many as there is said to be room for.
        let found = unsafe {
            sys::kx_ram_look(
                self.next as usize,
                self.end as usize,
                self.wanted.bits(),
                self.runs.as_mut_ptr(),
                RUNS as c_uint,
                &mut next,
            )
        };
        self.next = next as u64;
        Some(found as usize)
    }

    /// A run of those that were found last.
    pub fn run(&self, at: usize) -> Option<Run<'_>> {
        self.runs.get(at).map(Run)
    }
}

/// What the kernel counts of the first NUMA node from `from` on, without a header.
pub fn node(from: u32) -> Option<RamNode> {
    let mut counters = sys::Counters::default();
    let from = i32::try_from(from).ok()?;
    // SAFETY: Reads counters of a node, which is never freed once it was online; the structure is C's.
    let node = unsafe { sys::kx_ram_node(from, &mut counters) };
    Some(RamNode {
        node: u32::try_from(node).ok()?,
        present: counters.present,
        vmalloc: counters.vmalloc,
        kernel_stacks: counters.kernel_stacks,
        page_tables: counters.page_tables,
        secondary_page_tables: counters.secondary_page_tables,
        ..RamNode::default()
    })
}
