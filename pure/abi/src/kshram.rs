// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! `kshram`: what `/dev/kshramN` and `/dev/kshram_ctl` understand.
//!
//! The same in C: `include/kshram.h`, which a test holds to this file. Sizes are bytes, times are
//! nanoseconds of CLOCK_MONOTONIC, process ids are those of the caller's pid namespace. Reserved
//! fields are 0.

use crate::ioctl;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

const KIND: u8 = b'K';

/// `/dev/kshramN`, no argument: returns the number of slots.
pub const GETSLOTS: u32 = ioctl::none(KIND, 0);
/// `/dev/kshramN`, no argument: returns the slot's size.
pub const GETSIZE: u32 = ioctl::none(KIND, 1);
/// `/dev/kshramN`, the argument is the new size: returns 0. `EBUSY` if somebody maps more.
pub const SETSIZE: u32 = ioctl::none(KIND, 2);
/// `/dev/kshramN`, as [`SETSIZE`], but whoever maps more gets SIGBUS there.
pub const FORCE_SHRINK: u32 = ioctl::none(KIND, 3);

/// `/dev/kshram_ctl`: fills in an [`Info`]. The descriptor polls readable at the next change.
pub const CTL_INFO: u32 = ioctl::read::<Info>(KIND, 16);
/// `/dev/kshram_ctl`: fills in the [`Slot`] of its `index`.
pub const CTL_SLOT: u32 = ioctl::read_write::<Slot>(KIND, 17);
/// `/dev/kshram_ctl`: fills in the [`Mappers`] of its `index`.
pub const CTL_MAPPERS: u32 = ioctl::read_write::<Mappers>(KIND, 18);
/// `/dev/kshram_ctl`: names a slot. This and the following are `EACCES` for who may not write to the
/// slot's node.
pub const CTL_LABEL: u32 = ioctl::write::<Label>(KIND, 19);
/// `/dev/kshram_ctl`, the argument is an index: the slot's size never changes again.
pub const CTL_SEAL: u32 = ioctl::none(KIND, 20);
/// `/dev/kshram_ctl`, the argument is an index: overwrites the slot with zeros. After `EIO` and
/// `ENOMEM` some pages could not be; all others were.
pub const CTL_WIPE: u32 = ioctl::none(KIND, 21);

/// Bytes of a label, of which unused ones are 0.
pub const LABEL_LEN: usize = 32;
/// Bytes of the name of a process, of which at least the last is 0.
pub const COMM_LEN: usize = 16;

/// In [`Info::flags`]: the memory may be swapped.
pub const SWAP: u32 = 1;
/// In [`Slot::flags`]: the size never changes again.
pub const SEALED: u32 = 1;

/// The module as a whole.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Info {
    /// How many slots there are.
    pub slots: u32,
    /// [`SWAP`] or nothing.
    pub flags: u32,
    /// The largest size that a slot may have.
    pub max_bytes: u64,
    /// How often any slot changed: its size, its label, its seal, or a wipe.
    pub changes: u64,
}

/// A slot.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Slot {
    /// Which slot; set by the caller.
    pub index: u32,
    /// [`SEALED`] or nothing.
    pub flags: u32,
    /// Its size.
    pub size: u64,
    /// How much of it is in memory.
    pub resident: u64,
    /// How often it changed: its size, its label, its seal, or a wipe.
    pub generation: u64,
    /// Descriptors of it that are open.
    pub opens: u32,
    /// Mappings of it, of all processes together.
    pub mappings: u32,
    /// Who set the size last; 0 if nobody did, or somebody whom the caller cannot see.
    pub sizer: u32,
    /// 0.
    pub reserved: u32,
    /// When the size was set last, by the host's `CLOCK_MONOTONIC` in nanoseconds; 0 if never.
    pub sized_at: u64,
    /// The name of who set the size last; all 0 if the caller cannot see who it is.
    pub sizer_comm: [u8; COMM_LEN],
    /// The slot's label.
    pub label: [u8; LABEL_LEN],
}

/// The processes that map a slot, in ascending order.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Mappers {
    /// Which slot; set by the caller.
    pub index: u32,
    /// How many ids fit at `pids`, at most [`MAPPERS_MAX`]; set by the caller.
    pub capacity: u32,
    /// Address of an array of 32-bit ids; set by the caller.
    pub pids: u64,
    /// How many ids were written.
    pub count: u32,
    /// 1 if there were more than `capacity`, else 0.
    pub truncated: u32,
}

/// The largest [`Mappers::capacity`].
pub const MAPPERS_MAX: u32 = 1 << 16;

/// A new label.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Label {
    /// Which slot.
    pub index: u32,
    /// 0.
    pub reserved: u32,
    /// Its label; what follows the first 0 byte must be 0.
    pub label: [u8; LABEL_LEN],
}

const _: () = assert!(core::mem::size_of::<Info>() == 24);
const _: () = assert!(core::mem::size_of::<Slot>() == 104);
const _: () = assert!(core::mem::size_of::<Mappers>() == 24);
const _: () = assert!(core::mem::size_of::<Label>() == 40);
