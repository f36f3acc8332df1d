// SPDX-License-Identifier: GPL-2.0
//! RAM maps: every frame of the machine, counted once, made while it is read.
//!
//! Frames are gone through in the order of their numbers, and no number comes twice: what they are is of
//! the time at which each was looked at, how many they are is exact.

use crate::{ask, parts::Parts};
use abi::pagelens::{
    ram::{
        Ram, RamBegin, RamEnd, RamFile, RamGroup, RamName, RamRun, RamZone, KIND_RAM_BEGIN,
        KIND_RAM_END, KIND_RAM_NAME, KIND_RAM_NODE, KIND_RAM_RUN, RAM_FILE, RAM_KINDS,
        RAM_NAME_CUT, RAM_NAME_DELETED, RAM_SHARED_MEMORY, RAM_WITH_FILES, RAM_WITH_GROUPS,
        RAM_WITH_NAMES, RAM_WITH_RUNS,
    },
    Header, NAME_MAX, PROTOCOL,
};
use kernel::{page::PAGE_SIZE, prelude::*, sync::Arc};
use kx_base::{charged, sched};
use kx_dev::stream::{self, Answer, Buffer};
use kx_frame::MachineFrames;
use kx_mm::task;
use kx_ram::{Frames, Name, Run, Wanted};
use model::ram::Put;

/// Parts that are kept at a time: of zones as many as one has kinds and orders, and some more.
const ZONES: usize = 64;
const GROUPS: usize = 512;
const FILES: usize = 1024;

/// Looks before the reader is asked whether he wants to go on.
const LOOKS: usize = 64;

/// Bytes for which there must be room before a run is taken down: each table may have to tell a part.
const ROOM: usize = size_of::<RamZone>()
    + size_of::<RamGroup>()
    + size_of::<RamFile>()
    + size_of::<RamRun>()
    + size_of::<RamName>()
    + NAME_MAX;

/// Gives the current task a descriptor of the answer.
///
/// # Errors
///
/// [`EPERM`] for whoever lacks `CAP_SYS_ADMIN` in the initial user namespace; those of
/// [`ask::addresses`] and [`stream::descriptor`]; [`ENOMEM`].
pub(crate) fn begin(memory: &Arc<MachineFrames>, asked: &Ram) -> Result<isize> {
    may_look()?;
    let range = ask::addresses(asked)?;
    let has = |flag| asked.flags & flag != 0;
    let wanted = Wanted {
        groups: has(RAM_WITH_GROUPS),
        files: has(RAM_WITH_FILES),
    };
    let name = match has(RAM_WITH_NAMES) {
        true => Some(KBox::init(pin_init::init_zeroed(), charged::flags())?),
        false => None,
    };
    let answer = Map {
        memory: memory.clone(),
        asked: *asked,
        frames: Frames::new(range.start, range.end, wanted)?,
        found: 0,
        taken: 0,
        bytes: 0,
        zones: Parts::new(ZONES)?,
        groups: Parts::new(if wanted.groups { GROUPS } else { 0 })?,
        files: Parts::new(if wanted.files { FILES } else { 0 })?,
        name,
        at: At::Begin,
    };
    stream::descriptor(c"[pagelens:ram]", answer)
}

fn may_look() -> Result {
    match task::is_administrator() {
        true => Ok(()),
        false => Err(EPERM),
    }
}

/// An answer.
struct Map {
    memory: Arc<MachineFrames>,
    asked: Ram,
    frames: Frames,
    /// How many runs were found last, and how many of them were taken down.
    found: usize,
    taken: usize,
    bytes: u64,
    zones: Parts<RamZone>,
    groups: Parts<RamGroup>,
    files: Parts<RamFile>,
    /// Room for a name, if names are asked for.
    name: Option<KBox<[u8; PAGE_SIZE]>>,
    at: At,
}

/// What comes next.
enum At {
    Begin,
    Frames,
    /// What is in the tables.
    Parts,
    /// The first node from here on.
    Nodes(u32),
    Done,
}

impl Answer for Map {
    fn go_on(&mut self, out: &mut Buffer) -> Result<bool> {
        may_look()?;
        match self.at {
            At::Begin => self.tell_begin(out)?,
            At::Frames => self.look(out)?,
            At::Parts => self.tell_parts(out)?,
            At::Nodes(from) => self.tell_node(from, out)?,
            At::Done => return Ok(false),
        }
        Ok(true)
    }
}

impl Map {
    fn has(&self, flag: u32) -> bool {
        self.asked.flags & flag != 0
    }

    fn tell_begin(&mut self, out: &mut Buffer) -> Result {
        self.at = At::Frames;
        out.push(&RamBegin {
            header: header::<RamBegin>(KIND_RAM_BEGIN),
            protocol: PROTOCOL,
            page_size: PAGE_SIZE as u32,
            time: sched::now(),
            start: self.asked.start,
            end: self.asked.end,
            flags: self.asked.flags,
            kinds: RAM_KINDS as u32,
        })
    }

    /// Looks at some frames.
    fn look(&mut self, out: &mut Buffer) -> Result {
        for _ in 0..LOOKS {
            sched::yield_unless_killed_or_frozen()?;
            while self.taken < self.found {
                if out.room() < ROOM {
                    return Ok(());
                }
                self.take(out)?;
            }
            match self.frames.look(&self.memory) {
                Some(found) => (self.found, self.taken) = (found, 0),
                None => {
                    self.at = At::Parts;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes the next run down, for which there is room.
    fn take(&mut self, out: &mut Buffer) -> Result {
        let (at, with_runs) = (self.taken, self.has(RAM_WITH_RUNS));
        self.taken = at.saturating_add(1);
        let Some(run) = self.frames.run(at) else {
            return Ok(());
        };
        self.bytes = self.bytes.saturating_add(run.bytes());
        self.zones.put(&run.zone(), out)?;
        if self.asked.flags & RAM_WITH_GROUPS != 0 {
            self.groups.put(&run.group(), out)?;
        }
        if self.asked.flags & RAM_WITH_FILES != 0
            && matches!(run.kind(), RAM_FILE | RAM_SHARED_MEMORY)
        {
            let put = self.files.put(&run.file(), out)?;
            if let (Some(name), false) = (&mut self.name, matches!(put, Put::Added)) {
                tell_name(&self.memory, run, &mut name[..], out)?;
            }
        }
        match with_runs {
            true => out.push(&RamRun {
                header: header::<RamRun>(KIND_RAM_RUN),
                ..run.run()
            }),
            false => Ok(()),
        }
    }

    /// Tells what is in the tables, as far as there is room.
    fn tell_parts(&mut self, out: &mut Buffer) -> Result {
        let is_empty = self.zones.tell(out)? && self.groups.tell(out)? && self.files.tell(out)?;
        if is_empty {
            self.at = At::Nodes(0);
        }
        Ok(())
    }

    /// Tells the counters of a node, or the end behind the last.
    fn tell_node(&mut self, from: u32, out: &mut Buffer) -> Result {
        let Some(mut node) = kx_ram::node(from) else {
            return self.tell_end(out);
        };
        self.at = At::Nodes(node.node.saturating_add(1));
        node.header = header::<abi::pagelens::ram::RamNode>(KIND_RAM_NODE);
        out.push(&node)
    }

    fn tell_end(&mut self, out: &mut Buffer) -> Result {
        self.at = At::Done;
        out.push(&RamEnd {
            header: header::<RamEnd>(KIND_RAM_END),
            bytes: self.bytes,
            end: self.frames.at(),
            time: sched::now(),
        })
    }
}

/// Tells the name of a run's file, if it has one and still is that file's. What it is of was, or is, told in
/// parts.
fn tell_name(memory: &MachineFrames, run: Run<'_>, room: &mut [u8], out: &mut Buffer) -> Result {
    let file = run.file();
    let (name, flag) = match run.name(memory, room) {
        Some(Name::Known(name)) => (name, 0),
        Some(Name::Deleted(name)) => (name, RAM_NAME_DELETED),
        Some(Name::TooLong) => (&[][..], RAM_NAME_CUT),
        None => return Ok(()),
    };
    // The first 0 byte ends it.
    let end = size_of::<RamName>().saturating_add(name.len());
    let len = end.saturating_add(1).next_multiple_of(size_of::<u64>());
    out.push(&RamName {
        header: Header {
            len: len as u32,
            kind: KIND_RAM_NAME,
            flags: file.header.flags | flag,
        },
        inode: file.inode,
        dev_major: file.dev_major,
        dev_minor: file.dev_minor,
    })?;
    out.push_padded(name, len.saturating_sub(end))
}

fn header<T>(kind: u16) -> Header {
    Header {
        len: size_of::<T>() as u32,
        kind,
        flags: 0,
    }
}
