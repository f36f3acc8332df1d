// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAM maps: every frame of the machine, counted once.
//!
//! ```no_run
//! use pagelens::device::{ram, Device};
//!
//! let answer = Device::open()?.ram(&ram::Question::default())?;
//! let map = ram::Ram::read(answer)?;
//! for (kind, sums) in map.by_kind() {
//!     println!("{:>12} {}", sums.bytes, ram::name_of(kind));
//! }
//! # Ok::<(), pagelens::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;

pub use abi::pagelens::ram::*;
use abi::pagelens::Header;
use model::ram::add;

use super::answer::{known_protocol, name_behind, parse, Records};
use crate::error::{Error, Result};

/// What a RAM map is to have besides the sums of all kinds.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// What each memory cgroup pays for.
    pub with_groups: bool,
    /// What there is of each file.
    pub with_files: bool,
    /// The files' names.
    pub with_names: bool,
    /// Each run of frames that are alike.
    pub with_runs: bool,
    /// Physical addresses, multiples of the size of a page; all that there are if it is empty.
    pub addresses: Range<u64>,
}

impl Question {
    pub(super) fn record(&self) -> abi::pagelens::ram::Ram {
        let flag = |is_wanted, flag| if is_wanted { flag } else { 0 };
        let with_files = self.with_files || self.with_names;
        abi::pagelens::ram::Ram {
            flags: flag(self.with_groups, RAM_WITH_GROUPS)
                | flag(with_files, RAM_WITH_FILES)
                | flag(self.with_names, RAM_WITH_NAMES)
                | flag(self.with_runs, RAM_WITH_RUNS),
            start: self.addresses.start,
            end: self.addresses.end,
            ..Default::default()
        }
    }
}

/// A part of an answer. Parts of a kind that this crate does not know are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// The beginning.
    Begin(RamBegin),
    /// A part of the frames of a zone.
    Zone(RamZone),
    /// A part of what a cgroup pays for.
    Group(RamGroup),
    /// A part of a file.
    File(RamFile),
    /// The name of a file of which parts come before or behind it; empty if it was too long.
    Name(RamName, Vec<u8>),
    /// Frames that are alike.
    Run(RamRun),
    /// The kernel's counters of a node.
    Node(RamNode),
    /// The end: the answer is whole.
    End(RamEnd),
}

/// An answer that is read. It ends with [`Record::End`], or with an error.
#[derive(Debug)]
pub struct Answer {
    records: Records,
    is_over: bool,
}

impl Answer {
    pub(super) fn new(file: File) -> Self {
        Self {
            records: Records::new(file),
            is_over: false,
        }
    }

    /// The descriptor itself. Who reads from it takes records away.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.records.file
    }

    fn next_known(&mut self) -> Result<Record> {
        loop {
            let (header, bytes) = self.records.next()?;
            if let Some(record) = record(header, bytes)? {
                return Ok(record);
            }
        }
    }
}

impl Iterator for Answer {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if self.is_over {
            return None;
        }
        let record = self.next_known();
        self.is_over = matches!(record, Err(_) | Ok(Record::End(_)));
        Some(record)
    }
}

/// What a record says; `None` if it is not known.
fn record(header: Header, bytes: &[u8]) -> Result<Option<Record>> {
    Ok(Some(match header.kind {
        KIND_RAM_BEGIN => {
            let begin: RamBegin = parse(bytes)?;
            known_protocol(begin.protocol)?;
            Record::Begin(begin)
        }
        KIND_RAM_ZONE => Record::Zone(parse(bytes)?),
        KIND_RAM_GROUP => Record::Group(parse(bytes)?),
        KIND_RAM_FILE => Record::File(parse(bytes)?),
        KIND_RAM_NAME => Record::Name(parse(bytes)?, name_behind::<RamName>(bytes).to_vec()),
        KIND_RAM_RUN => Record::Run(parse(bytes)?),
        KIND_RAM_NODE => Record::Node(parse(bytes)?),
        KIND_RAM_END => Record::End(parse(bytes)?),
        _ => return Ok(None),
    }))
}

/// Frames of one kind in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The NUMA node, or [`RAM_NODE_NONE`].
    pub node: u32,
    /// `RAM_ZONE_…`.
    pub zone: u32,
    /// `RAM_…`.
    pub kind: u32,
    /// The order of free blocks; 0 for all else.
    pub order: u32,
}

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The numbers of its device, or of the device that it is.
    pub device: (u32, u32),
    /// Its inode; 0 for files that could not be told.
    pub inode: u64,
    /// Whether it is a block device.
    pub is_device: bool,
}

/// What there is of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachedFile {
    /// The magic number of its file system, as `statfs` has it.
    pub magic: u32,
    /// Whether it is shared memory.
    pub is_shared_memory: bool,
    /// Its path in its file system; without a leading `/` the name of something that has no path.
    pub name: Option<Vec<u8>>,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// The sums.
    pub sums: RamSums,
}

/// An answer that was read to its end, with its parts added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ram {
    /// All frames, each once.
    pub zones: BTreeMap<Place, RamSums>,
    /// What cgroups pay for, by the id of the cgroup and `RAM_…`.
    pub groups: BTreeMap<(u64, u32), RamSums>,
    /// The files.
    pub files: BTreeMap<FileId, CachedFile>,
    /// The runs, ascending.
    pub runs: Vec<RamRun>,
    /// The kernel's own counters.
    pub nodes: Vec<RamNode>,
    /// The end.
    pub end: RamEnd,
}

impl Ram {
    /// Reads an answer.
    ///
    /// # Errors
    /// Those of the answer; [`Error::Record`] if it has no end, or does not add up.
    pub fn read(answer: impl IntoIterator<Item = Result<Record>>) -> Result<Self> {
        let mut map = Self::default();
        for record in answer {
            match record? {
                Record::Begin(_) => {}
                Record::Zone(part) => {
                    let place = Place {
                        node: part.node,
                        zone: part.zone,
                        kind: part.kind,
                        order: part.order,
                    };
                    add(map.zones.entry(place).or_default(), &part.sums);
                }
                Record::Group(part) => {
                    let group = map.groups.entry((part.cgroup, part.kind)).or_default();
                    add(group, &part.sums);
                }
                Record::File(part) => map.add_file(&part),
                Record::Name(of, name) => map.add_name(&of, name),
                Record::Run(run) => map.runs.push(run),
                Record::Node(node) => map.nodes.push(node),
                Record::End(end) => {
                    map.end = end;
                    return match map.total().bytes == end.bytes {
                        true => Ok(map),
                        false => Err(Error::Record {
                            why: "the kinds do not add up",
                        }),
                    };
                }
            }
        }
        Err(Error::Record {
            why: "it has no end",
        })
    }

    fn add_file(&mut self, part: &RamFile) {
        let id = id(part.header, part.inode, (part.dev_major, part.dev_minor));
        let file = self.files.entry(id).or_default();
        file.magic = part.magic;
        file.is_shared_memory = part.kind == RAM_SHARED_MEMORY;
        add(&mut file.sums, &part.sums);
    }

    fn add_name(&mut self, of: &RamName, name: Vec<u8>) {
        let id = id(of.header, of.inode, (of.dev_major, of.dev_minor));
        let file = self.files.entry(id).or_default();
        file.is_deleted = of.header.flags & RAM_NAME_DELETED != 0;
        file.name = (of.header.flags & RAM_NAME_CUT == 0).then_some(name);
    }

    /// The sums of each kind, over all nodes, zones and orders.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<u32, RamSums> {
        let mut kinds: BTreeMap<u32, RamSums> = BTreeMap::new();
        for (place, sums) in &self.zones {
            add(kinds.entry(place.kind).or_default(), sums);
        }
        kinds
    }

    /// The sums of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: u32) -> RamSums {
        self.by_kind().remove(&kind).unwrap_or_default()
    }

    /// The sums of all frames.
    #[must_use]
    pub fn total(&self) -> RamSums {
        let mut total = RamSums::default();
        self.zones.values().for_each(|sums| add(&mut total, sums));
        total
    }

    /// Bytes of memory: all frames but those that are none.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.total().bytes - self.of_kind(RAM_HOLE).bytes
    }
}

fn id(header: Header, inode: u64, device: (u32, u32)) -> FileId {
    FileId {
        device,
        inode,
        is_device: header.flags & RAM_FILE_DEVICE != 0,
    }
}

/// A name for a kind.
#[must_use]
pub fn name_of(kind: u32) -> &'static str {
    match kind {
        RAM_FREE => "free",
        RAM_FREE_PER_CPU => "free, in lists of CPUs",
        RAM_UNACCEPTED => "free, not accepted",
        RAM_ANONYMOUS => "anonymous",
        RAM_SWAP_CACHE => "swap cache",
        RAM_KSM => "merged by KSM",
        RAM_FILE => "file cache",
        RAM_SHARED_MEMORY => "shared memory",
        RAM_HUGETLB => "hugetlb",
        RAM_HUGETLB_FREE => "hugetlb, free",
        RAM_DETACHED => "detached",
        RAM_SLAB => "slab",
        RAM_KMALLOC => "large kmalloc",
        RAM_PAGE_TABLES => "page tables",
        RAM_COMPRESSED => "compressed",
        RAM_NETWORK => "network buffers",
        RAM_ZERO => "zero pages",
        RAM_KERNEL => "kernel, not told apart",
        RAM_RESERVED => "reserved at boot",
        RAM_GIVEN_AWAY => "given away",
        RAM_OFFLINE => "offline",
        RAM_POISONED => "poisoned",
        RAM_HOLE => "no memory",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;
    use zerocopy::{Immutable, IntoBytes};

    use super::*;
    use abi::pagelens::PROTOCOL;

    fn answer(bytes: &[u8]) -> Answer {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("answer", flags).unwrap());
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Answer::new(file)
    }

    /// A record with its header, and what belongs behind it.
    fn told<T: IntoBytes + Immutable>(kind: u16, flags: u16, record: &T, behind: &[u8]) -> Vec<u8> {
        let mut bytes = [record.as_bytes(), behind].concat();
        let header = Header {
            len: bytes.len() as u32,
            kind,
            flags,
        };
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        bytes
    }

    fn sums(bytes: u64) -> RamSums {
        RamSums {
            bytes,
            ..RamSums::default()
        }
    }

    fn zone(kind: u32, bytes: u64) -> Vec<u8> {
        let zone = RamZone {
            kind,
            sums: sums(bytes),
            ..RamZone::default()
        };
        told(KIND_RAM_ZONE, 0, &zone, &[])
    }

    fn end(bytes: u64) -> Vec<u8> {
        let end = RamEnd {
            bytes,
            ..RamEnd::default()
        };
        told(KIND_RAM_END, 0, &end, &[])
    }

    #[test]
    fn parts_are_added_up() {
        let file = RamFile {
            inode: 7,
            dev_major: 8,
            kind: RAM_SHARED_MEMORY,
            sums: sums(4096),
            ..RamFile::default()
        };
        let name = RamName {
            inode: 7,
            dev_major: 8,
            ..RamName::default()
        };
        let group = RamGroup {
            cgroup: 3,
            kind: RAM_FILE,
            sums: sums(1),
            ..RamGroup::default()
        };
        let bytes = [
            zone(RAM_FILE, 100),
            told(KIND_RAM_NAME, RAM_NAME_DELETED, &name, b"/a\0\0\0\0\0\0"),
            told(KIND_RAM_FILE, 0, &file, &[]),
            told(999, 0, &0_u64, &[]),
            told(KIND_RAM_FILE, 0, &file, &[]),
            told(KIND_RAM_FILE, RAM_FILE_DEVICE, &file, &[]),
            told(KIND_RAM_GROUP, 0, &group, &[]),
            told(KIND_RAM_GROUP, 0, &group, &[]),
            zone(RAM_FILE, 20),
            zone(RAM_HOLE, 3),
            end(123),
        ];
        let map = Ram::read(answer(&bytes.concat())).unwrap();
        assert_eq!(map.of_kind(RAM_FILE).bytes, 120);
        assert_eq!((map.total().bytes, map.memory_bytes()), (123, 120));
        assert_eq!(map.groups[&(3, RAM_FILE)].bytes, 2);
        let of = |is_device| {
            &map.files[&FileId {
                device: (8, 0),
                inode: 7,
                is_device,
            }]
        };
        let (file, device) = (of(false), of(true));
        assert_eq!((file.sums.bytes, device.sums.bytes), (8192, 4096));
        assert_eq!(
            (file.name.as_deref(), &device.name),
            (Some(&b"/a"[..]), &None)
        );
        assert!(file.is_deleted && file.is_shared_memory && !device.is_deleted);
    }

    #[test]
    fn a_name_that_was_too_long_is_none() {
        let bytes = [
            told(KIND_RAM_NAME, RAM_NAME_CUT, &RamName::default(), &[0; 8]),
            end(0),
        ];
        let map = Ram::read(answer(&bytes.concat())).unwrap();
        assert_eq!(map.files.values().next().unwrap().name, None);
    }

    #[test]
    fn what_does_not_add_up_or_has_no_end_is_an_error() {
        let error = Ram::read(answer(&[zone(RAM_FREE, 5), end(6)].concat())).unwrap_err();
        assert!(error.to_string().contains("add up"), "{error}");
        let error = Ram::read(answer(&zone(RAM_FREE, 5))).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
        let begin = RamBegin {
            protocol: PROTOCOL + 1,
            ..RamBegin::default()
        };
        let error = Ram::read(answer(&told(KIND_RAM_BEGIN, 0, &begin, &[]))).unwrap_err();
        assert!(error.to_string().contains("protocol"), "{error}");
    }

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = (0..RAM_KINDS as u32).map(name_of).collect();
        assert_eq!(names.len(), RAM_KINDS);
        assert!(!names.contains("unknown"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_map_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Ram::read(answer(&bytes));
        }

        #[test]
        fn records_of_any_length_and_kind_are_understood_or_passed_over(
            records in proptest::collection::vec((30_u16..42, 1_u32..20, any::<u8>()), 0..20)
        ) {
            let mut bytes = Vec::new();
            for (kind, words, fill) in records {
                let header = Header { len: words * 8, kind, flags: 0 };
                bytes.extend_from_slice(header.as_bytes());
                bytes.resize(bytes.len() + words as usize * 8 - 8, fill);
            }
            if let Ok(map) = Ram::read(answer(&bytes)) {
                let _ = (map.memory_bytes(), map.by_kind());
            }
        }
    }
}
