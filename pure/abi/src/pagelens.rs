// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! `pagelens`: what `/dev/pagelens` is asked, and what the descriptors answer that it returns.
//!
//! The same in C: `include/pagelens.h`, which a test holds to this file. RAM maps have files of their
//! own: [`ram`].
//!
//! # Asking
//!
//! An ioctl takes a record that begins with its own size. One that is longer than the module knows
//! is understood if what the module does not know is 0 (`E2BIG` otherwise); what is missing in a
//! shorter one is taken for 0. Both may so be newer than the other.
//!
//! # Answers
//!
//! `read` returns records, each with a [`Header`] that has its length, a multiple of 8. A reader
//! skips records of kinds that it does not know and what it does not know at the end of one. The
//! last is [`KIND_END`]: an answer without it was cut off. Records are never torn: a buffer that
//! does not hold the next one gets `EINVAL` if it is the first.
//!
//! Sizes are bytes, unless a name says otherwise; times are nanoseconds; ids of processes and the
//! like are those of the pid namespace, and user ids those of the user namespace, of who asked.

pub mod ram;

use crate::ioctl;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Of no other driver in `Documentation/userspace-api/ioctl/ioctl-number.rst`.
const KIND: u8 = 0xF5;

/// Fills in a [`Version`].
pub const VERSION: u32 = ioctl::none(KIND, 0);
/// Takes a [`Snapshot`]; returns a descriptor.
pub const SNAPSHOT: u32 = ioctl::none(KIND, 1);

/// Bytes of the name of a process, of which at least the last is 0.
pub const COMM_LEN: usize = 16;

/// The version of this protocol: rises when an old reader would misread a new answer.
pub const PROTOCOL: u32 = 1;

/// How many capabilities there are places for.
pub const CAPABILITIES: usize = 8;
/// In [`Version::capabilities`], the place of snapshots.
pub const CAPABILITY_SNAPSHOT: usize = 0;

/// A capability that this module does not have.
pub const MISSING: u32 = 0;
/// One that the caller may use for all processes.
pub const AVAILABLE: u32 = 1;
/// One that the caller may use for the processes that he may trace only: he lacks `CAP_SYS_PTRACE`
/// in the initial user namespace.
pub const OWN_ONLY: u32 = 2;
/// One that the caller may not use: it takes `CAP_SYS_ADMIN` in the initial user namespace.
pub const REFUSED: u32 = 3;

/// What the module can do, for the caller.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Version {
    /// Of this record; set by the caller.
    pub size: u32,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// [`MISSING`], [`AVAILABLE`], [`OWN_ONLY`] or [`REFUSED`] for each capability.
    pub capabilities: [u32; CAPABILITIES],
}

/// All processes that can be seen from the caller's pid namespace.
pub const SCOPE_ALL: u32 = 0;
/// The processes of [`Snapshot::pids`].
pub const SCOPE_PIDS: u32 = 1;
/// The processes whose first thread bears the name [`Snapshot::comm`].
pub const SCOPE_COMM: u32 = 2;
/// The processes in the cgroup (of version 2) whose folder [`Snapshot::fd`] is, and below.
pub const SCOPE_CGROUP: u32 = 3;
/// The processes that can be seen from the pid namespace that [`Snapshot::fd`] is (a file as
/// `/proc/PID/ns/pid`).
pub const SCOPE_PID_NAMESPACE: u32 = 4;

/// The kernel's counters alone: no page table is walked.
pub const DETAIL_COUNTERS: u32 = 0;
/// And what the entries of the page tables say.
pub const DETAIL_ENTRIES: u32 = 1;
/// And what is known of the frames behind them: kinds, PSS, USS.
pub const DETAIL_FRAMES: u32 = 2;

/// In [`Snapshot::flags`]: a [`Vma`] for each area, from [`DETAIL_ENTRIES`] on.
pub const WITH_VMAS: u32 = 1;
/// And a [`Name`] before each that has one.
pub const WITH_NAMES: u32 = 2;

/// The most of [`Snapshot::count`].
pub const PIDS_MAX: u32 = 1 << 16;

/// Asks for a snapshot.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Snapshot {
    /// Of this record.
    pub size: u32,
    /// `WITH_…`.
    pub flags: u32,
    /// `SCOPE_…`.
    pub scope: u32,
    /// `DETAIL_…`.
    pub detail: u32,
    /// Address of an array of 32-bit ids, for [`SCOPE_PIDS`], each greater than the one before it.
    pub pids: u64,
    /// How many they are, at most [`PIDS_MAX`].
    pub count: u32,
    /// A descriptor, for [`SCOPE_CGROUP`] and [`SCOPE_PID_NAMESPACE`].
    pub fd: i32,
    /// A name, for [`SCOPE_COMM`]; what follows the first 0 byte must be 0.
    pub comm: [u8; COMM_LEN],
}

/// What a record is, before all others.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Header {
    /// Bytes of the record, this included: a multiple of 8.
    pub len: u32,
    /// `KIND_…`.
    pub kind: u16,
    /// What is particular about this one; of each kind its own.
    pub flags: u16,
}

/// A [`Begin`].
pub const KIND_BEGIN: u16 = 1;
/// A [`Process`].
pub const KIND_PROCESS: u16 = 2;
/// A [`Vma`].
pub const KIND_VMA: u16 = 3;
/// A [`Name`]: of the area that comes next.
pub const KIND_NAME: u16 = 4;
/// A [`Memory`]: behind its first process and that one's areas.
pub const KIND_MEMORY: u16 = 5;
/// A [`LeftOut`].
pub const KIND_LEFT_OUT: u16 = 6;
/// An [`End`].
pub const KIND_END: u16 = 7;

/// Begins an answer.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Begin {
    /// Of [`KIND_BEGIN`].
    pub header: Header,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// When, by CLOCK_MONOTONIC.
    pub time: u64,
    /// `DETAIL_…`, as asked.
    pub detail: u32,
    /// `WITH_…`, as asked.
    pub flags: u32,
}

/// In the flags of a [`Process`]: it belongs to the kernel and has no memory of its own.
pub const PROCESS_KERNEL: u16 = 1;
/// Its memory is that of a process before it, whose [`Process::memory`] is the same.
pub const PROCESS_TOLD: u16 = 2;
/// Its memory may have been told with a process before it: there were too many that share theirs.
pub const PROCESS_MAY_BE_TOLD: u16 = 4;
/// It has no memory: it has ended, and nobody has asked how.
pub const PROCESS_ENDED: u16 = 8;

/// A process.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Process {
    /// Of [`KIND_PROCESS`].
    pub header: Header,
    /// Its number, which is that of its first thread (`tgid`).
    pub pid: u32,
    /// Its parent's; 0 if that cannot be seen.
    pub ppid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its threads.
    pub threads: u32,
    /// Which memory it has: the number of a [`Memory`] of this answer; 0 for none.
    pub memory: u64,
    /// The id of its cgroup of version 2, which is the inode of its folder.
    pub cgroup: u64,
    /// When it was started, by CLOCK_BOOTTIME of the machine.
    pub start_time: u64,
    /// Of the kernel stacks of its threads.
    pub kernel_stacks: u64,
    /// The name of its first thread.
    pub comm: [u8; COMM_LEN],
}

/// What memory there is behind a range of addresses. A page that is mapped twice is counted twice.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Sums {
    /// Of addresses.
    pub size: u64,
    /// Resident, as the kernel counts it (RSS).
    pub present: u64,
    /// Swapped out, by the entries. (Of shared memory, only the kernel knows what is in swap.)
    pub swapped: u64,
    /// The zero page, or the huge one, which nobody pays for.
    pub zero: u64,
    /// Mapped memory that the kernel does not manage as pages, or that is no process's.
    pub special: u64,
    /// Of `present`: on its way to another frame, or in a device.
    pub moving: u64,
    /// Of `present`: mapped by entries of 2 MiB.
    pub huge_2m: u64,
    /// Of `present`: mapped by entries of 1 GiB.
    pub huge_1g: u64,
    /// Of `present`: the entry does not let it be written.
    pub read_only: u64,
    /// Of `present`: the entry says it was used.
    pub accessed: u64,
    /// Of `present`: the entry says it was written.
    pub written: u64,
    /// Entries of areas that the kernel does not let us walk (hugetlb), in bytes of addresses.
    pub not_walked: u64,
    /// Addresses whose page table is corrupt.
    pub corrupt: u64,
    /// From here on by the frames, for [`DETAIL_FRAMES`]. Of `present`: anonymous.
    pub anonymous: u64,
    /// Of `present`: pages of files.
    pub file: u64,
    /// Of `present`: pages of tmpfs and other shared memory.
    pub shared_memory: u64,
    /// Of `present`: small entries of large folios.
    pub large: u64,
    /// Of `present`: merged by KSM.
    pub ksm: u64,
    /// Of `present`: anonymous memory that the kernel may throw away (`MADV_FREE`).
    pub lazy_free: u64,
    /// Of `present`: used, by the entry or by the frame.
    pub referenced: u64,
    /// Of `present`: mapped nowhere else, and as the swap or the file has it.
    pub private_clean: u64,
    /// Of `present`: mapped nowhere else, and written since. With `private_clean`: the USS.
    pub private_dirty: u64,
    /// Of `present`: mapped elsewhere too.
    pub shared_clean: u64,
    /// Of `present`: mapped elsewhere too, and written since.
    pub shared_dirty: u64,
    /// The proportional set size, in 1/4096 bytes: each page divided by how often it is mapped.
    pub pss: u64,
    /// Of `pss`: anonymous.
    pub pss_anonymous: u64,
    /// Of `pss`: pages of files.
    pub pss_file: u64,
    /// Of `pss`: shared memory.
    pub pss_shared_memory: u64,
    /// Of `pss`: written.
    pub pss_dirty: u64,
    /// Of `pss`: in areas that are locked (`mlock`).
    pub pss_locked: u64,
}

impl Sums {
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

/// In the flags of a [`Vma`]: the area was changed while it was looked at; the figures are of what
/// was found of it.
pub const VMA_CHANGED: u16 = 1;

/// In [`Vma::traits`]: readable.
pub const VMA_READ: u32 = 1 << 0;
/// Writable.
pub const VMA_WRITE: u32 = 1 << 1;
/// Executable.
pub const VMA_EXEC: u32 = 1 << 2;
/// Shared.
pub const VMA_SHARED: u32 = 1 << 3;
/// Grows downwards: a stack.
pub const VMA_GROWS_DOWN: u32 = 1 << 4;
/// Locked in memory.
pub const VMA_LOCKED: u32 = 1 << 5;
/// Of hugetlb pages, which are not looked at.
pub const VMA_HUGETLB: u32 = 1 << 6;
/// Of frames without a page, or mixed.
pub const VMA_FRAMES: u32 = 1 << 7;
/// A shadow stack.
pub const VMA_SHADOW_STACK: u32 = 1 << 8;
/// The heap that `brk` moves.
pub const VMA_HEAP: u32 = 1 << 9;
/// The stack of the first thread.
pub const VMA_STACK: u32 = 1 << 10;
/// KSM may merge it.
pub const VMA_MERGEABLE: u32 = 1 << 11;
/// Anonymous: no file behind it.
pub const VMA_ANONYMOUS: u32 = 1 << 12;

/// An area of addresses.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Vma {
    /// Of [`KIND_VMA`].
    pub header: Header,
    /// Which memory it is part of.
    pub memory: u64,
    /// Its first address.
    pub start: u64,
    /// The first behind it.
    pub end: u64,
    /// Where in its file it begins.
    pub offset: u64,
    /// The inode of its file; 0 for none.
    pub inode: u64,
    /// The device of its file.
    pub dev_major: u32,
    /// And this.
    pub dev_minor: u32,
    /// `VMA_…`.
    pub traits: u32,
    /// 0.
    pub reserved: u32,
    /// What is in it.
    pub sums: Sums,
}

/// A name, as `/proc/PID/maps` has it but unescaped: the bytes behind this header up to the first 0.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Name {
    /// Of [`KIND_NAME`].
    pub header: Header,
}

/// The most bytes of a name that are told, the 0 included; what is longer has [`NAME_CUT`].
pub const NAME_MAX: usize = 4096;
/// In the flags of a [`Name`]: it is too long, and left out.
pub const NAME_CUT: u16 = 1;

/// In the flags of a [`Memory`]: areas were changed while it was looked at.
pub const MEMORY_CHANGED: u16 = 1;
/// It ended, or became another program's, while it was looked at: the sums lack the rest.
pub const MEMORY_ENDED: u16 = 2;
/// Its lock was not to be had in time: the sums lack the rest.
pub const MEMORY_BUSY: u16 = 4;

/// The memory of one process, or of several that share it.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Memory {
    /// Of [`KIND_MEMORY`].
    pub header: Header,
    /// Its number, as in [`Process::memory`].
    pub memory: u64,
    /// The kernel's counter of anonymous pages.
    pub rss_anonymous: u64,
    /// Of file pages.
    pub rss_file: u64,
    /// Of shared memory.
    pub rss_shared_memory: u64,
    /// Of what is in swap.
    pub swap: u64,
    /// Of all addresses.
    pub total: u64,
    /// Of locked addresses.
    pub locked: u64,
    /// Of hugetlb pages.
    pub hugetlb: u64,
    /// Of page tables below the top-level one.
    pub page_tables: u64,
    /// How many areas it has.
    pub areas: u64,
    /// What was found in all areas; 0 for [`DETAIL_COUNTERS`].
    pub sums: Sums,
}

/// The caller may not look into it. Only for processes that he named.
pub const LEFT_OUT_REFUSED: u32 = 1;
/// It was about to become another program for too long.
pub const LEFT_OUT_BUSY: u32 = 2;
/// There is no such process. Only for processes that he named.
pub const LEFT_OUT_ABSENT: u32 = 3;

/// A process that is not told.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct LeftOut {
    /// Of [`KIND_LEFT_OUT`].
    pub header: Header,
    /// Its number.
    pub pid: u32,
    /// `LEFT_OUT_…`.
    pub reason: u32,
}

/// Ends an answer.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct End {
    /// Of [`KIND_END`].
    pub header: Header,
    /// How many processes were told.
    pub processes: u64,
    /// How many memories.
    pub memories: u64,
    /// How many processes of the scope the caller may not look into; of [`SCOPE_COMM`] and
    /// [`SCOPE_CGROUP`] that is not told to who may not look into all.
    pub refused: u64,
    /// How many memories and processes were left out or left unfinished because a lock was not to be
    /// had in time.
    pub busy: u64,
    /// How long, at most, an mmap lock was held at a stretch.
    pub longest_lock: u64,
    /// When, by CLOCK_MONOTONIC.
    pub time: u64,
}

const _: () = assert!(core::mem::size_of::<Version>() == 40);
const _: () = assert!(core::mem::size_of::<Snapshot>() == 48);
const _: () = assert!(core::mem::size_of::<Header>() == 8);
const _: () = assert!(core::mem::size_of::<Begin>() == 32);
const _: () = assert!(core::mem::size_of::<Process>() == 72);
const _: () = assert!(core::mem::size_of::<Sums>() == 240);
const _: () = assert!(core::mem::size_of::<Vma>() == 304);
const _: () = assert!(core::mem::size_of::<Name>() == 8);
const _: () = assert!(core::mem::size_of::<Memory>() == 328);
const _: () = assert!(core::mem::size_of::<LeftOut>() == 16);
const _: () = assert!(core::mem::size_of::<End>() == 56);
