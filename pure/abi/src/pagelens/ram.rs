// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The RAM map: every frame of the machine, counted once.
//!
//! The same in C: `include/pagelens_ram.h`.
//!
//! # The answer
//!
//! ```text
//! ram_begin  { ram_zone | ram_group | [ram_name] ram_file | ram_run }  { ram_node }  ram_end
//! ```
//!
//! A [`RamZone`], a [`RamGroup`] or a [`RamFile`] is a part: whoever reads adds up those that are of the
//! same zone and kind, cgroup and kind, or file. The kernel keeps few of them at a time, however many
//! there are. All [`RamZone`]s together are all frames, each once.

use super::{Header, KIND};
use crate::ioctl;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Takes a [`Ram`]; returns a descriptor.
pub const RAM: u32 = ioctl::none(KIND, 5);

/// In [`super::Version::capabilities`], the place of RAM maps.
pub const CAPABILITY_RAM: usize = 4;

/// In [`Ram::flags`]: a [`RamGroup`] for each memory cgroup.
pub const RAM_WITH_GROUPS: u32 = 1;
/// A [`RamFile`] for each file of which there are pages.
pub const RAM_WITH_FILES: u32 = 2;
/// And a [`RamName`] for each of these.
pub const RAM_WITH_NAMES: u32 = 4;
/// A [`RamRun`] for each run of frames that are alike.
pub const RAM_WITH_RUNS: u32 = 8;

/// Asks for a RAM map.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Ram {
    /// Of this record.
    pub size: u32,
    /// `RAM_WITH_…`.
    pub flags: u32,
    /// The first physical address, a multiple of the size of a page.
    pub start: u64,
    /// The first behind it, a multiple of that too; 0 for all there is.
    pub end: u64,
}

/// A [`RamBegin`].
pub const KIND_RAM_BEGIN: u16 = 32;
/// A [`RamZone`].
pub const KIND_RAM_ZONE: u16 = 33;
/// A [`RamGroup`].
pub const KIND_RAM_GROUP: u16 = 34;
/// A [`RamFile`].
pub const KIND_RAM_FILE: u16 = 35;
/// A [`RamName`].
pub const KIND_RAM_NAME: u16 = 36;
/// A [`RamRun`].
pub const KIND_RAM_RUN: u16 = 37;
/// A [`RamNode`].
pub const KIND_RAM_NODE: u16 = 38;
/// A [`RamEnd`]: the last.
pub const KIND_RAM_END: u16 = 39;

/// Begins an answer.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamBegin {
    /// Of [`KIND_RAM_BEGIN`].
    pub header: Header,
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// Bytes of a frame.
    pub page_size: u32,
    /// When, by CLOCK_MONOTONIC.
    pub time: u64,
    /// As asked.
    pub start: u64,
    /// As asked.
    pub end: u64,
    /// `RAM_WITH_…`, as asked.
    pub flags: u32,
    /// [`RAM_KINDS`] of the module.
    pub kinds: u32,
}

/// Free, in a block of [`RamZone::order`] of the buddy allocator.
pub const RAM_FREE: u32 = 0;
/// Free, but in no block: in the list of a CPU, or on its way to or from one.
pub const RAM_FREE_PER_CPU: u32 = 1;
/// Free, and not yet accepted by a confidential guest.
pub const RAM_UNACCEPTED: u32 = 2;
/// Anonymous memory of programs.
pub const RAM_ANONYMOUS: u32 = 3;
/// In the swap cache: what was brought in from swap, or is about to go there.
pub const RAM_SWAP_CACHE: u32 = 4;
/// Merged by KSM.
pub const RAM_KSM: u32 = 5;
/// The cache of files and of block devices.
pub const RAM_FILE: u32 = 6;
/// tmpfs and other shared memory.
pub const RAM_SHARED_MEMORY: u32 = 7;
/// hugetlb pages that are used.
pub const RAM_HUGETLB: u32 = 8;
/// hugetlb pages that are kept ready.
pub const RAM_HUGETLB_FREE: u32 = 9;
/// Memory of programs that belongs to nothing any more, or not yet: on the lists of pages that the kernel
/// may reclaim, but neither anonymous nor of a file.
pub const RAM_DETACHED: u32 = 10;
/// The kernel's small objects.
pub const RAM_SLAB: u32 = 11;
/// The kernel's objects that are larger than slabs have.
pub const RAM_KMALLOC: u32 = 12;
/// Page tables.
pub const RAM_PAGE_TABLES: u32 = 13;
/// Compressed memory: zram, zswap.
pub const RAM_COMPRESSED: u32 = 14;
/// Buffers of network drivers.
pub const RAM_NETWORK: u32 = 15;
/// The zero page, and the huge one.
pub const RAM_ZERO: u32 = 16;
/// The kernel's, and not told apart: it has no mark that says of what.
pub const RAM_KERNEL: u32 = 17;
/// Kept since the machine was started: the kernel itself, the records of all frames, firmware.
pub const RAM_RESERVED: u32 = 18;
/// Given away as long as the machine does not get it back: a balloon, a part of hot-plugged memory.
pub const RAM_GIVEN_AWAY: u32 = 19;
/// Memory that is offline.
pub const RAM_OFFLINE: u32 = 20;
/// Damaged.
pub const RAM_POISONED: u32 = 21;
/// No memory: a frame that has a record only because its neighbours have.
pub const RAM_HOLE: u32 = 22;
/// How many kinds there are.
pub const RAM_KINDS: usize = 23;

/// How many orders free blocks may have, from 0 on.
pub const RAM_ORDERS: usize = 16;

/// The zone for devices that reach 16 MiB only.
pub const RAM_ZONE_DMA: u32 = 0;
/// For those that reach 4 GiB.
pub const RAM_ZONE_DMA32: u32 = 1;
/// For all else.
pub const RAM_ZONE_NORMAL: u32 = 2;
/// For what can be moved.
pub const RAM_ZONE_MOVABLE: u32 = 3;
/// None, or one that this module does not know.
pub const RAM_ZONE_NONE: u32 = 4;
/// The node of memory that is offline.
pub const RAM_NODE_NONE: u32 = u32::MAX;

/// What some frames of one kind add up to.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamSums {
    /// All of them.
    pub bytes: u64,
    /// Of these: mapped by programs.
    pub mapped: u64,
    /// What all that maps them adds up to: a frame that is mapped twice counts twice.
    pub mappings: u64,
    /// Of `bytes`: written since they were saved.
    pub dirty: u64,
    /// Of `bytes`: mapped and written.
    pub mapped_dirty: u64,
    /// Of `bytes`: being saved right now.
    pub writeback: u64,
    /// Of `bytes`: in folios of more than one frame.
    pub large: u64,
    /// Of `bytes`: not to be reclaimed (`mlock` and the like).
    pub unevictable: u64,
    /// Of `bytes`: a memory cgroup pays for them.
    pub charged: u64,
}

impl RamSums {
    /// How many figures there are.
    pub const COUNT: usize = core::mem::size_of::<Self>() / core::mem::size_of::<u64>();

    /// The figures in their order.
    pub fn figures(&self) -> &[u64; Self::COUNT] {
        zerocopy::transmute_ref!(self)
    }

    /// The same to be changed.
    pub fn figures_mut(&mut self) -> &mut [u64; Self::COUNT] {
        zerocopy::transmute_mut!(self)
    }
}

/// A part of the frames of a zone.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamZone {
    /// Of [`KIND_RAM_ZONE`].
    pub header: Header,
    /// The NUMA node, or [`RAM_NODE_NONE`].
    pub node: u32,
    /// `RAM_ZONE_…`.
    pub zone: u32,
    /// `RAM_…`, what the frames are.
    pub kind: u32,
    /// Of [`RAM_FREE`]: the order of the blocks. 0 for all others.
    pub order: u32,
    /// The sums.
    pub sums: RamSums,
}

/// A part of the frames for which a memory cgroup pays.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamGroup {
    /// Of [`KIND_RAM_GROUP`].
    pub header: Header,
    /// The id of the cgroup, which is the inode of its folder; 0 for frames for which none pays.
    pub cgroup: u64,
    /// `RAM_…`, what the frames are.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// The sums.
    pub sums: RamSums,
}

/// In the flags of a [`RamFile`] and its [`RamName`]: it is a block device, and the device that is told
/// is the one that it is, not the one that it is on.
pub const RAM_FILE_DEVICE: u16 = 1;

/// A part of the frames of a file: of those of [`RAM_FILE`] and [`RAM_SHARED_MEMORY`].
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamFile {
    /// Of [`KIND_RAM_FILE`].
    pub header: Header,
    /// Its inode; 0 for all files that could not be told.
    pub inode: u64,
    /// Its device, as `/proc/PID/maps` has it.
    pub dev_major: u32,
    /// And this.
    pub dev_minor: u32,
    /// The magic number of its file system, as `statfs` has it.
    pub magic: u32,
    /// [`RAM_FILE`] or [`RAM_SHARED_MEMORY`].
    pub kind: u32,
    /// The sums.
    pub sums: RamSums,
}

/// In the flags of a [`RamName`]: it has been deleted.
pub const RAM_NAME_DELETED: u16 = 2;
/// In the flags of a [`RamName`]: it is longer than [`super::NAME_MAX`], and left out.
pub const RAM_NAME_CUT: u16 = 4;

/// The name of a file: the bytes behind this up to the first 0. A path begins with `/` at the root of
/// its file system; what does not begin so has no path, as what `memfd_create` makes.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamName {
    /// Of [`KIND_RAM_NAME`].
    pub header: Header,
    /// As in [`RamFile`].
    pub inode: u64,
    /// As in [`RamFile`].
    pub dev_major: u32,
    /// As in [`RamFile`].
    pub dev_minor: u32,
}

/// Frames that follow each other and are alike.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamRun {
    /// Of [`KIND_RAM_RUN`].
    pub header: Header,
    /// The physical address of the first.
    pub start: u64,
    /// The id of the cgroup that pays, for [`RAM_WITH_GROUPS`].
    pub cgroup: u64,
    /// The NUMA node.
    pub node: u32,
    /// `RAM_ZONE_…`.
    pub zone: u32,
    /// `RAM_…`, what the frames are.
    pub kind: u32,
    /// Of [`RAM_FREE`]: the order of the blocks.
    pub order: u32,
    /// The sums.
    pub sums: RamSums,
}

/// What the kernel itself counts of a NUMA node. These counters lag behind by some pages for each CPU.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamNode {
    /// Of [`KIND_RAM_NODE`].
    pub header: Header,
    /// Which.
    pub node: u32,
    /// 0.
    pub reserved: u32,
    /// Its memory that is online.
    pub present: u64,
    /// Of [`RAM_KERNEL`]: allocated with `vmalloc`; on most kernels the stacks too.
    pub vmalloc: u64,
    /// Kernel stacks.
    pub kernel_stacks: u64,
    /// Page tables of programs.
    pub page_tables: u64,
    /// Page tables of virtual machines and of IOMMUs.
    pub secondary_page_tables: u64,
}

/// Ends an answer.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RamEnd {
    /// Of [`KIND_RAM_END`].
    pub header: Header,
    /// All frames that were counted: what all [`RamZone`]s add up to.
    pub bytes: u64,
    /// Where the next frame would have been.
    pub end: u64,
    /// When, by CLOCK_MONOTONIC.
    pub time: u64,
}

const _: () = assert!(core::mem::size_of::<Ram>() == 24);
const _: () = assert!(core::mem::size_of::<RamBegin>() == 48);
const _: () = assert!(core::mem::size_of::<RamSums>() == 72);
const _: () = assert!(core::mem::size_of::<RamZone>() == 96);
const _: () = assert!(core::mem::size_of::<RamGroup>() == 96);
const _: () = assert!(core::mem::size_of::<RamFile>() == 104);
const _: () = assert!(core::mem::size_of::<RamName>() == 24);
const _: () = assert!(core::mem::size_of::<RamRun>() == 112);
const _: () = assert!(core::mem::size_of::<RamNode>() == 56);
const _: () = assert!(core::mem::size_of::<RamEnd>() == 32);
