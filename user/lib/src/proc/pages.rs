// SPDX-License-Identifier: MIT OR Apache-2.0
//! The present pages of one process, and what `/proc` tells about their permission.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryPageFlags, PageInfo, Process};
use procfs::PhysicalPageFlags;

use crate::error::{Error, Result};
use crate::PAGE_SIZE;

/// Whether a page's page-table entry lets the process write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It does not: the mapping is not writable; or it is private and the page belongs to
    /// a file, to KSM, or to several processes since a fork.
    ReadOnly,
    /// It does: shared memory in a writable shared mapping.
    Writable,
    /// `/proc` does not tell. A private anonymous page that is mapped once is writable,
    /// unless others shared it once (fork) and it was not written since; a page of a file
    /// in a shared writable mapping is read-only while it is clean.
    Unknown,
}

/// A page that counts in RSS.
#[derive(Debug, Clone, Copy)]
pub(super) struct PresentPage {
    /// Where the process has it.
    pub address: u64,
    /// The frame's number.
    pub frame: u64,
    /// What is known about its permission.
    pub permission: Permission,
}

/// Calls `each` with every page that counts in RSS.
pub(super) fn for_each_present(
    pid: u32,
    process: &Process,
    mut each: impl FnMut(PresentPage),
) -> Result<()> {
    let open = |path: String, file| {
        File::open(path).map_err(|source| Error::Process { pid, file, source })
    };
    let pagemap = open(format!("/proc/{pid}/pagemap"), "pagemap")?;
    let kpageflags = open("/proc/kpageflags".into(), "kpageflags")?;
    for map in process.maps()?.iter() {
        if map.pathname == MMapPath::Vsyscall {
            continue; // above the addresses that page tables of processes cover
        }
        for_each_entry(&pagemap, map, |address, entry| {
            if !entry.contains(MemoryPageFlags::PRESENT) {
                return Ok(());
            }
            let frame = entry.get_page_frame_number().0;
            let frame_flags = frame_flags(&kpageflags, frame)?;
            if counts_in_rss(entry, frame_flags) {
                let permission = permission(map.perms, entry, frame_flags);
                each(PresentPage {
                    address,
                    frame,
                    permission,
                });
            }
            Ok(())
        })
        .map_err(|source| Error::Process {
            pid,
            file: "pagemap",
            source,
        })?;
    }
    Ok(())
}

fn for_each_entry(
    pagemap: &File,
    map: &MemoryMap,
    mut each: impl FnMut(u64, MemoryPageFlags) -> io::Result<()>,
) -> io::Result<()> {
    const ENTRY: u64 = size_of::<u64>() as u64;
    let page = PAGE_SIZE as u64;
    let (start, end) = map.address;
    let mut buffer = [0; 4096];
    let mut address = start;
    while address < end {
        let wanted = ((end - address) / page * ENTRY).min(buffer.len() as u64) as usize;
        let read = pagemap.read_at(&mut buffer[..wanted], address / page * ENTRY)?;
        if read == 0 {
            return Ok(()); // the address space is gone: the process ended
        }
        for entry in buffer[..read].chunks_exact(size_of::<u64>()) {
            let entry = u64::from_ne_bytes(entry.try_into().unwrap_or_default());
            if let PageInfo::MemoryPage(entry) = PageInfo::parse_info(entry) {
                each(address, entry)?;
            }
            address += page;
        }
    }
    Ok(())
}

fn frame_flags(kpageflags: &File, frame: u64) -> io::Result<PhysicalPageFlags> {
    if frame == 0 {
        // pagemap hides the numbers from those who may not see them.
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut flags = [0; size_of::<u64>()];
    kpageflags.read_exact_at(&mut flags, frame * size_of::<u64>() as u64)?;
    Ok(PhysicalPageFlags::parse_info(u64::from_ne_bytes(flags)))
}

/// Whether a present page counts in RSS: not the zero page, not device memory mapped by
/// frame number, not hugetlb (counted apart by the kernel).
fn counts_in_rss(entry: MemoryPageFlags, frame: PhysicalPageFlags) -> bool {
    let is_anon = frame.intersects(PhysicalPageFlags::ANON | PhysicalPageFlags::KSM);
    let excluded =
        PhysicalPageFlags::ZERO_PAGE | PhysicalPageFlags::HUGE | PhysicalPageFlags::NOPAGE;
    // The kernel sets FILE only if the entry has a frame that it accounts for.
    (is_anon || entry.contains(MemoryPageFlags::FILE)) && !frame.intersects(excluded)
}

fn permission(map: MMPermissions, entry: MemoryPageFlags, frame: PhysicalPageFlags) -> Permission {
    let is_file = entry.contains(MemoryPageFlags::FILE);
    if !map.contains(MMPermissions::WRITE) {
        return Permission::ReadOnly;
    }
    if map.contains(MMPermissions::SHARED) {
        // Shared memory needs no write fault to become dirty; other files' pages do.
        return match is_file && frame.contains(PhysicalPageFlags::SWAPBACKED) {
            true => Permission::Writable,
            false => Permission::Unknown,
        };
    }
    let mapped_once = entry.contains(MemoryPageFlags::MMAP_EXCLUSIVE);
    if is_file || frame.contains(PhysicalPageFlags::KSM) || !mapped_once {
        return Permission::ReadOnly; // a write would copy the page first
    }
    Permission::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: MMPermissions = MMPermissions::READ.union(MMPermissions::PRIVATE);
    const ONCE: MemoryPageFlags = MemoryPageFlags::PRESENT.union(MemoryPageFlags::MMAP_EXCLUSIVE);

    #[test]
    fn a_mapping_without_write_permission_has_read_only_pages() {
        let anon = PhysicalPageFlags::ANON;
        assert_eq!(permission(PRIVATE, ONCE, anon), Permission::ReadOnly);
    }

    #[test]
    fn pages_that_a_write_would_copy_are_read_only_in_a_writable_mapping() {
        let writable = PRIVATE | MMPermissions::WRITE;
        let anon = PhysicalPageFlags::ANON;
        let file = ONCE | MemoryPageFlags::FILE;
        let shared_since_fork = MemoryPageFlags::PRESENT;
        assert_eq!(
            permission(writable, shared_since_fork, anon),
            Permission::ReadOnly
        );
        assert_eq!(
            permission(writable, file, PhysicalPageFlags::empty()),
            Permission::ReadOnly
        );
        assert_eq!(
            permission(writable, ONCE, anon | PhysicalPageFlags::KSM),
            Permission::ReadOnly
        );
        assert_eq!(permission(writable, ONCE, anon), Permission::Unknown);
    }

    #[test]
    fn a_shared_mapping_of_a_file_is_not_decided_but_one_of_shared_memory_is() {
        let shared = MMPermissions::READ | MMPermissions::WRITE | MMPermissions::SHARED;
        let entry = ONCE | MemoryPageFlags::FILE;
        assert_eq!(
            permission(shared, entry, PhysicalPageFlags::SWAPBACKED),
            Permission::Writable
        );
        assert_eq!(
            permission(shared, entry, PhysicalPageFlags::empty()),
            Permission::Unknown
        );
    }

    #[test]
    fn zero_page_hugetlb_and_device_memory_are_not_resident() {
        let zero = PhysicalPageFlags::ZERO_PAGE;
        assert!(!counts_in_rss(MemoryPageFlags::PRESENT, zero));
        assert!(!counts_in_rss(
            MemoryPageFlags::PRESENT,
            PhysicalPageFlags::empty()
        ));
        assert!(!counts_in_rss(
            ONCE,
            PhysicalPageFlags::ANON | PhysicalPageFlags::HUGE
        ));
        assert!(counts_in_rss(ONCE, PhysicalPageFlags::ANON));
        assert!(counts_in_rss(
            ONCE | MemoryPageFlags::FILE,
            PhysicalPageFlags::empty()
        ));
    }
}
