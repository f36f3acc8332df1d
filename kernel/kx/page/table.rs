// SPDX-License-Identifier: GPL-2.0
//! The top-level page table of an address space, and the entries on the way to one address.
//!
//! Lock order: mmap lock, then RCU, then a page table's lock (see [`walk`](crate::walk)).
//!
//! The top-level table lives as long as the address space has users. Its entries of the kernel's
//! half may be filled in meanwhile; each is read in one piece.

use crate::{entry::pfn_mask, sys, walk::Table};
use kernel::{ffi::c_ulong, mm::virt::flags, prelude::*};
use kx_base::sched;
use kx_mm::mm::{MmWithUser, ReadGuard};
use model::table::{Paging, TableEntry, TableLevel, Target, ENTRIES};

/// How many levels the machine's page tables have.
pub fn paging() -> Paging {
    // SAFETY: Has no preconditions.
    match unsafe { sys::kx_paging_levels() } {
        5 => Paging::FiveLevel,
        _ => Paging::FourLevel,
    }
}

/// A copy of a top-level table.
pub struct TopTable {
    /// The entries with which the kernel runs: all of them.
    pub entries: [u64; ENTRIES],
    user: [u64; ENTRIES],
    /// Whether programs run with a table of their own, which lacks most of the kernel's half
    /// (page-table isolation, PTI).
    pub is_isolated: bool,
}

impl TopTable {
    /// Room for a copy.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new() -> Result<KBox<Self>> {
        let empty = Self {
            entries: [0; ENTRIES],
            user: [0; ENTRIES],
            is_isolated: false,
        };
        Ok(KBox::new(empty, GFP_KERNEL)?)
    }

    /// Copies the table of `mm` as it is now.
    pub fn read(&mut self, mm: &MmWithUser) {
        // SAFETY: `mm` has users, so that its top-level table stays; both arrays have the size.
        self.is_isolated = unsafe {
            sys::kx_copy_top_table(
                mm.as_raw(),
                self.entries.as_mut_ptr(),
                self.user.as_mut_ptr(),
            ) != 0
        };
    }

    /// Whether the table with which programs run has an entry at `index` too; `None` if they run
    /// with this one.
    pub fn is_in_user_table(&self, index: usize) -> Option<bool> {
        let entry = self.user.get(index)?;
        self.is_isolated.then_some(*entry != 0)
    }
}

/// The entries that translate an address, from the top-level table down to the first that leads no
/// further.
pub struct Path {
    entries: [Option<TableEntry>; TableLevel::DOWN.len()],
}

impl Path {
    /// The entries, from the top.
    pub fn entries(&self) -> impl Iterator<Item = TableEntry> + '_ {
        self.entries.iter().copied().flatten()
    }
}

/// How often a table may be exchanged while we look at it before we give up.
const TRIES: usize = 100;

/// Reads the entries that translate `address`.
///
/// # Errors
///
/// - [`EFAULT`] if no VMA holds the address: then its tables may be freed at any time.
/// - [`EINVAL`] in hugetlb VMAs, whose tables may belong to several address spaces.
/// - [`EINTR`] if the current task was killed.
/// - [`EAGAIN`] if the address was remapped again and again.
pub fn path(mm: &MmWithUser, address: usize) -> Result<Path> {
    let mut table = Table::new()?;
    for _ in 0..TRIES {
        sched::yield_unless_killed()?;
        let guard = kx_mm::mm::read_lock(mm)?;
        if let Some(path) = try_path(&guard, address, &mut table)? {
            return Ok(path);
        }
    }
    Err(EAGAIN)
}

fn try_path(guard: &ReadGuard<'_>, address: usize, table: &mut Table) -> Result<Option<Path>> {
    let vma = guard
        .find_vma(address)
        .filter(|vma| vma.start() <= address)
        .ok_or(EFAULT)?;
    if vma.flags() & flags::HUGETLB != 0 {
        return Err(EINVAL);
    }
    let upper = upper_entries(guard, address);
    let skip = usize::from(paging() == Paging::FourLevel);
    let mut path = Path {
        entries: [None; TableLevel::DOWN.len()],
    };
    let slots = path.entries.iter_mut().zip(TableLevel::DOWN).skip(skip);
    for ((slot, level), index) in slots.zip(skip..) {
        let value = match upper.get(index) {
            Some(&value) => value,
            None => match table.entry(guard.mm(), address, upper[3]) {
                Some(value) => value,
                None => return Ok(None),
            },
        };
        let entry = TableEntry { value, level };
        *slot = Some(entry);
        if !matches!(entry.target(pfn_mask()), Target::Table(_)) {
            break;
        }
    }
    Ok(Some(path))
}

/// The entries of pgd, p4d, pud and pmd; 0 below the first that leads no further. A VMA holds the
/// address.
fn upper_entries(guard: &ReadGuard<'_>, address: usize) -> [u64; 4] {
    let mut entries = [0; 4];
    // SAFETY: The mmap lock is held, the address space has users and a VMA holds the address: the
    // upper tables stay.
    unsafe {
        sys::kx_read_path(
            guard.mm().as_raw(),
            address as c_ulong,
            entries.as_mut_ptr(),
        )
    };
    entries
}
