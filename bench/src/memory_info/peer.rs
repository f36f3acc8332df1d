// SPDX-License-Identifier: MIT OR Apache-2.0
//! The opponent: what a good user-space program can do without the module.
//!
//! It reads `maps`, `pagemap` in blocks, takes the pages out with `process_vm_readv` a
//! mebibyte at a time and hashes them with xxh3. It trusts the hash and compares no bytes,
//! which is faster and less than the module promises. It sees permissions of mappings, not
//! of pages; the mappings that are measured are read-only as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{ensure, Context, Result};
use pagelens::{Duplicates, PAGE_SIZE};
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use xxhash_rust::xxh3::xxh3_64;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const MAPPED_ONCE: u64 = 1 << 56;
const FRAME: u64 = (1 << 55) - 1;
const BLOCK: usize = 1 << 20;

/// What one name holds.
#[derive(Debug, Default)]
pub struct Figures {
    pub total: u64,
    pub valid: u64,
    pub duplicates: Duplicates,
}

/// A page that is mapped read-only.
#[derive(Clone, Copy)]
struct Page {
    frame: u64,
    pid: i32,
    address: u64,
}

/// The program, with buffers that it keeps from one snapshot to the next.
pub struct Peer {
    /// Not resident; its huge sister is in none of the measured programs.
    zero_frame: u64,
    entries: Vec<u8>,
    block: Vec<u8>,
    pages: Vec<Page>,
    hashes: Vec<u64>,
}

impl Peer {
    pub fn new() -> Result<Self> {
        Ok(Self {
            zero_frame: zero_frame()?,
            entries: vec![0; 1 << 16],
            block: vec![0; BLOCK],
            pages: Vec::new(),
            hashes: Vec::new(),
        })
    }

    /// Looks at every process of the system.
    pub fn snapshot(&mut self) -> Result<BTreeMap<Vec<u8>, Figures>> {
        let mut names: BTreeMap<Vec<u8>, Vec<i32>> = BTreeMap::new();
        for pid in pagelens::proc::pids()? {
            if let Ok(name) = fs::read(format!("/proc/{pid}/comm")) {
                names
                    .entry(name.trim_ascii_end().to_vec())
                    .or_default()
                    .push(i32::try_from(pid)?);
            }
        }
        names
            .into_iter()
            .map(|(name, pids)| Ok((name, self.program(&pids)?)))
            .collect()
    }

    fn program(&mut self, pids: &[i32]) -> Result<Figures> {
        let mut figures = Figures::default();
        self.pages.clear();
        for &pid in pids {
            // A process that ended meanwhile has no figures.
            let Ok(process) = Process::new(pid) else {
                continue;
            };
            let Ok(statm) = process.statm() else { continue };
            figures.total += statm.size;
            if statm.size > 0 {
                figures.valid += self.process(pid, &process)?;
            }
        }
        figures.duplicates = self.duplicates()?;
        Ok(figures)
    }

    /// Notes the process's read-only pages and returns the number of present ones.
    fn process(&mut self, pid: i32, process: &Process) -> Result<u64> {
        let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
        let mut valid = 0;
        for map in process.maps()?.iter() {
            if map.pathname != MMapPath::Vsyscall {
                valid += self.mapping(pid, &pagemap, map)?;
            }
        }
        Ok(valid)
    }

    fn mapping(&mut self, pid: i32, pagemap: &File, map: &MemoryMap) -> Result<u64> {
        const PAGE: u64 = PAGE_SIZE as u64;
        let (mut address, end) = map.address;
        let mut valid = 0;
        while address < end {
            let wanted = (((end - address) / PAGE * 8) as usize).min(self.entries.len());
            let read = pagemap.read_at(&mut self.entries[..wanted], address / PAGE * 8)?;
            ensure!(read > 0, "pagemap of {pid} ended at {address:#x}");
            for entry in self.entries[..read].chunks_exact(8) {
                let entry = u64::from_ne_bytes(entry.try_into()?);
                let frame = entry & FRAME;
                let flags = entry & (FILE | MAPPED_ONCE);
                let is_resident = entry & (PRESENT | SWAPPED) == PRESENT
                    && (flags != 0 || frame != self.zero_frame && is_ordinary(map));
                if is_resident {
                    valid += 1;
                    if is_read_only(map, flags) && is_ordinary(map) {
                        self.pages.push(Page {
                            frame,
                            pid,
                            address,
                        });
                    }
                }
                address += PAGE;
            }
        }
        Ok(valid)
    }

    /// Hashes each frame once, and counts the equal ones.
    fn duplicates(&mut self) -> Result<Duplicates> {
        self.pages.sort_unstable_by_key(|page| page.frame);
        self.pages.dedup_by_key(|page| page.frame);
        self.pages
            .sort_unstable_by_key(|page| (page.pid, page.address));
        self.hashes.clear();
        let follows =
            |a: &Page, b: &Page| a.pid == b.pid && a.address + PAGE_SIZE as u64 == b.address;
        for run in self.pages.chunk_by(follows) {
            for part in run.chunks(BLOCK / PAGE_SIZE) {
                let bytes = &mut self.block[..part.len() * PAGE_SIZE];
                read_memory(part[0].pid, part[0].address, bytes)?;
                self.hashes
                    .extend(bytes.chunks_exact(PAGE_SIZE).map(xxh3_64));
            }
        }
        self.hashes.sort_unstable();
        let groups = self
            .hashes
            .chunk_by(|a, b| a == b)
            .filter(|group| group.len() > 1);
        Ok(groups.fold(Duplicates::default(), |sum, group| Duplicates {
            pages: sum.pages + group.len() as u64,
            groups: sum.groups + 1,
        }))
    }
}

/// Not one of the kernel's own mappings: those have device memory, which is not resident, and
/// pages that process_vm_readv refuses.
fn is_ordinary(map: &MemoryMap) -> bool {
    !matches!(&map.pathname, MMapPath::Vvar | MMapPath::Other(_))
}

fn is_read_only(map: &MemoryMap, flags: u64) -> bool {
    let is_private = map.perms.contains(MMPermissions::PRIVATE);
    !map.perms.contains(MMPermissions::WRITE)
        || is_private && (flags & FILE != 0 || flags & MAPPED_ONCE == 0)
}

fn read_memory(pid: i32, address: u64, bytes: &mut [u8]) -> Result<()> {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: `local` is `bytes`, which is borrowed mutably for the call; `remote` is an
    // address of another process, which the kernel checks.
    let read = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    ensure!(
        usize::try_from(read) == Ok(bytes.len()),
        "process_vm_readv of {pid} at {address:#x}: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// The frame that all untouched anonymous memory shows when read.
fn zero_frame() -> Result<u64> {
    let map = workloads::map::Map::anonymous(1, false)?;
    map.touch_by_reading();
    let mut entry = [0; 8];
    let offset = map.address() as u64 / PAGE_SIZE as u64 * 8;
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, offset)?;
    let frame = u64::from_ne_bytes(entry) & FRAME;
    ensure!(frame != 0, "pagemap hides frame numbers: run this as root");
    map.unmap().context("unmapping")?;
    Ok(frame)
}
