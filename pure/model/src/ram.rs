// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What a frame is, by what its record (`struct page`) says, and what frames add up to.
//!
//! Each frame has one [`kind`](Facts::kind), whatever its record says, so that the kinds always add up to
//! all frames. Sums are kept in tables of a fixed size: what does not fit is handed out as a part, and who
//! reads adds the parts up.

use abi::pagelens::ram::{
    RamFile, RamGroup, RamSums, RamZone, RAM_ANONYMOUS, RAM_COMPRESSED, RAM_DETACHED, RAM_FILE,
    RAM_FREE, RAM_FREE_PER_CPU, RAM_GIVEN_AWAY, RAM_HOLE, RAM_HUGETLB, RAM_HUGETLB_FREE,
    RAM_KERNEL, RAM_KINDS, RAM_KMALLOC, RAM_KSM, RAM_NETWORK, RAM_OFFLINE, RAM_PAGE_TABLES,
    RAM_POISONED, RAM_RESERVED, RAM_SHARED_MEMORY, RAM_SLAB, RAM_SWAP_CACHE, RAM_UNACCEPTED,
    RAM_ZERO,
};

/// Bytes of a frame.
pub const FRAME: u64 = 4096;

/// What the kernel knows of a frame, packed into a word as C hands it over: `kx_ram_fact` in
/// `kx/ram/shim.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts(pub u64);

impl Facts {
    /// The memory is offline; nothing else is known.
    pub const OFFLINE: u64 = 1 << 0;
    /// Damaged.
    pub const POISONED: u64 = 1 << 1;
    /// The zero page, or one of the huge one.
    pub const ZERO: u64 = 1 << 2;
    /// Never given to the allocator.
    pub const RESERVED: u64 = 1 << 3;
    /// There is no memory at this address.
    pub const NOT_RAM: u64 = 1 << 4;
    /// In a block of the buddy allocator.
    pub const BUDDY: u64 = 1 << 5;
    /// Not accepted yet.
    pub const UNACCEPTED: u64 = 1 << 6;
    /// Given away by its driver.
    pub const GIVEN_AWAY: u64 = 1 << 7;
    /// A page table.
    pub const TABLE: u64 = 1 << 8;
    /// Of hugetlb.
    pub const HUGETLB: u64 = 1 << 9;
    /// Of the slab allocator.
    pub const SLAB: u64 = 1 << 10;
    /// Of zsmalloc.
    pub const ZSMALLOC: u64 = 1 << 11;
    /// A large object.
    pub const KMALLOC: u64 = 1 << 12;
    /// Nobody has a reference to it.
    pub const UNREFERENCED: u64 = 1 << 13;
    /// Anonymous.
    pub const ANONYMOUS: u64 = 1 << 14;
    /// Merged by KSM.
    pub const KSM: u64 = 1 << 15;
    /// In the swap cache.
    pub const SWAP_CACHE: u64 = 1 << 16;
    /// In the mapping of a file.
    pub const MAPPING: u64 = 1 << 17;
    /// Its contents go to swap.
    pub const SWAP_BACKED: u64 = 1 << 18;
    /// Of a pool of a network driver.
    pub const POOL: u64 = 1 << 19;
    /// On a list of what may be reclaimed.
    pub const LRU: u64 = 1 << 20;
    /// Mapped by programs.
    pub const MAPPED: u64 = 1 << 21;
    /// Written since it was saved.
    pub const DIRTY: u64 = 1 << 22;
    /// Being saved.
    pub const WRITEBACK: u64 = 1 << 23;
    /// In a folio of several frames.
    pub const LARGE: u64 = 1 << 24;
    /// Not to be reclaimed.
    pub const UNEVICTABLE: u64 = 1 << 25;
    /// A memory cgroup pays.
    pub const CHARGED: u64 = 1 << 26;
    /// The file is a block device.
    pub const DEVICE: u64 = 1 << 27;

    /// Whether a bit is set.
    #[inline]
    pub const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    /// What the frame is: `RAM_…`.
    pub const fn kind(self) -> u32 {
        let mut at = 0;
        while at < MARKS.len() {
            let (mark, kind) = MARKS[at];
            if self.has(mark) {
                return self.refined(kind);
            }
            at += 1;
        }
        RAM_KERNEL
    }

    /// The kind that a mark stands for, as far as another mark does not say more.
    const fn refined(self, kind: u32) -> u32 {
        match kind {
            RAM_RESERVED if self.has(Self::NOT_RAM) => RAM_HOLE,
            RAM_HUGETLB if self.has(Self::UNREFERENCED) => RAM_HUGETLB_FREE,
            RAM_ANONYMOUS if self.has(Self::KSM) => RAM_KSM,
            RAM_ANONYMOUS if self.has(Self::SWAP_CACHE) => RAM_SWAP_CACHE,
            RAM_FILE if self.has(Self::SWAP_BACKED) => RAM_SHARED_MEMORY,
            kind => kind,
        }
    }
}

/// The marks of which the first that a frame has says what it is.
const MARKS: [(u64, u32); 18] = [
    (Facts::OFFLINE, RAM_OFFLINE),
    (Facts::POISONED, RAM_POISONED),
    (Facts::ZERO, RAM_ZERO),
    (Facts::RESERVED, RAM_RESERVED),
    (Facts::BUDDY, RAM_FREE),
    (Facts::UNACCEPTED, RAM_UNACCEPTED),
    (Facts::GIVEN_AWAY, RAM_GIVEN_AWAY),
    (Facts::TABLE, RAM_PAGE_TABLES),
    (Facts::HUGETLB, RAM_HUGETLB),
    (Facts::SLAB, RAM_SLAB),
    (Facts::ZSMALLOC, RAM_COMPRESSED),
    (Facts::KMALLOC, RAM_KMALLOC),
    (Facts::ANONYMOUS, RAM_ANONYMOUS),
    (Facts::SWAP_CACHE, RAM_SWAP_CACHE),
    (Facts::MAPPING, RAM_FILE),
    (Facts::UNREFERENCED, RAM_FREE_PER_CPU),
    (Facts::POOL, RAM_NETWORK),
    (Facts::LRU, RAM_DETACHED),
];

/// Kinds that programs use, whose records say how.
const fn is_of_programs(kind: u32) -> bool {
    matches!(
        kind,
        RAM_ANONYMOUS
            | RAM_SWAP_CACHE
            | RAM_KSM
            | RAM_FILE
            | RAM_SHARED_MEMORY
            | RAM_HUGETLB
            | RAM_DETACHED
    )
}

/// What `frames` frames add up to that are alike, and that `mappings` entries map in all.
pub fn sums(facts: Facts, frames: u64, mappings: u64) -> RamSums {
    let bytes = frames.saturating_mul(FRAME);
    let of_programs = is_of_programs(facts.kind());
    let part = |is_so: bool| if is_so { bytes } else { 0 };
    let is_mapped = facts.has(Facts::MAPPED);
    let is_dirty = of_programs && facts.has(Facts::DIRTY);
    RamSums {
        bytes,
        mapped: part(is_mapped),
        mappings: match is_mapped {
            true => mappings.saturating_mul(FRAME),
            false => 0,
        },
        dirty: part(is_dirty),
        mapped_dirty: part(is_mapped && is_dirty),
        writeback: part(of_programs && facts.has(Facts::WRITEBACK)),
        large: part(of_programs && facts.has(Facts::LARGE)),
        unevictable: part(of_programs && facts.has(Facts::UNEVICTABLE)),
        charged: part(facts.has(Facts::CHARGED)),
    }
}

/// Adds sums.
pub fn add(to: &mut RamSums, more: &RamSums) {
    for (to, more) in to.figures_mut().iter_mut().zip(more.figures()) {
        *to = to.saturating_add(*more);
    }
}

/// What is told in parts.
pub trait Part: Copy {
    /// Where in a table it is looked for.
    fn place(&self) -> u64;
    /// Whether both are parts of the same.
    fn is_same(&self, other: &Self) -> bool;
    /// Its sums. In a table, 0 bytes mean that there is nothing.
    fn sums(&self) -> &RamSums;
    /// The same to be changed.
    fn sums_mut(&mut self) -> &mut RamSums;
}

impl Part for RamZone {
    /// All kinds of a zone have places of their own.
    fn place(&self) -> u64 {
        match self.kind {
            RAM_FREE => RAM_KINDS as u64 + u64::from(self.order),
            kind => u64::from(kind),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.node, self.zone, self.kind, self.order)
            == (other.node, other.zone, other.kind, other.order)
    }

    fn sums(&self) -> &RamSums {
        &self.sums
    }

    fn sums_mut(&mut self) -> &mut RamSums {
        &mut self.sums
    }
}

impl Part for RamGroup {
    fn place(&self) -> u64 {
        spread(self.cgroup.rotate_left(8) ^ u64::from(self.kind))
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.cgroup, self.kind) == (other.cgroup, other.kind)
    }

    fn sums(&self) -> &RamSums {
        &self.sums
    }

    fn sums_mut(&mut self) -> &mut RamSums {
        &mut self.sums
    }
}

impl Part for RamFile {
    fn place(&self) -> u64 {
        let device = u64::from(self.dev_major) << 32 | u64::from(self.dev_minor);
        spread(self.inode.rotate_left(20) ^ device)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.inode, self.dev_major, self.dev_minor, self.kind)
            == (other.inode, other.dev_major, other.dev_minor, other.kind)
            && self.header.flags == other.header.flags
    }

    fn sums(&self) -> &RamSums {
        &self.sums
    }

    fn sums_mut(&mut self) -> &mut RamSums {
        &mut self.sums
    }
}

/// Spreads what differs in few bits. The multiplier is 2⁶⁴ divided by the golden ratio.
const fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// What became of a part that was put into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put<P> {
    /// It was added to what was there.
    Added,
    /// It is there now.
    New,
    /// It is there now, and this, which was, is to be told.
    InsteadOf(P),
}

/// Puts a part into a table, whose length is a power of two and at least 2: into one of two places.
pub fn put<P: Part>(table: &mut [P], part: &P) -> Put<P> {
    let mask = table.len().wrapping_sub(1);
    let first = part.place() as usize & mask;
    let mut least: Option<(usize, u64)> = None;
    for at in [first, first ^ 1] {
        let Some(there) = table.get_mut(at) else {
            continue;
        };
        let bytes = there.sums().bytes;
        if bytes != 0 && there.is_same(part) {
            add(there.sums_mut(), part.sums());
            return Put::Added;
        }
        if least.is_none_or(|(_, least)| bytes < least) {
            least = Some((at, bytes));
        }
    }
    let Some(there) = least.and_then(|(at, _)| table.get_mut(at)) else {
        return Put::InsteadOf(*part);
    };
    let before = core::mem::replace(there, *part);
    match before.sums().bytes {
        0 => Put::New,
        _ => Put::InsteadOf(before),
    }
}

/// Takes the first part at `at` or behind it out of a table; `at` is behind it then.
pub fn take<P: Part>(table: &mut [P], at: &mut usize) -> Option<P> {
    while let Some(there) = table.get_mut(*at) {
        *at += 1;
        if there.sums().bytes != 0 {
            let part = *there;
            *there.sums_mut() = RamSums::default();
            return Some(part);
        }
    }
    None
}
