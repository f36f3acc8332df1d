// SPDX-License-Identifier: MIT OR Apache-2.0
//! What those who map a slot can do to others who use it, and what they learn about them.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use anyhow::{Context, Result};
use pagelens::kshram::{Control, Slot};
use workloads::{Module, Workload};

use super::errno;
use crate::runner::skip;
use crate::support::{shell_output, wait_until, OneCpu, Swap};

const PAGE: usize = 4096;
/// Asks `get_mempolicy` for the policy of an address.
const MPOL_F_ADDR: u64 = 2;
const BOTH: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// All of a slot, mapped for calls that the library does not make; until it is dropped.
struct Raw {
    start: NonNull<libc::c_void>,
    length: usize,
}

impl Raw {
    fn new(slot: &Slot, protection: i32) -> Result<Self> {
        let length = usize::try_from(slot.size()?)?;
        let fd = slot.file().as_raw_fd();
        // SAFETY: The kernel picks a free range.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, fd, 0) };
        anyhow::ensure!(start != libc::MAP_FAILED, io::Error::last_os_error());
        let start = NonNull::new(start).context("mapped at 0")?;
        Ok(Self { start, length })
    }

    fn page(&self, index: usize) -> *mut libc::c_void {
        assert!(index * PAGE < self.length);
        self.start.as_ptr().wrapping_byte_add(index * PAGE)
    }

    fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: The memory is this value's, and nobody relies on what it holds.
        check(unsafe { libc::madvise(self.start.as_ptr(), self.length, advice) }.into())
    }

    /// Asks that page `index` and the `count - 1` after it be allocated by the policy `mode`, on node 0.
    fn bind(&self, index: usize, count: usize, mode: i32) -> io::Result<()> {
        let nodes = 1u64;
        let (start, length) = (self.page(index), count * PAGE);
        // SAFETY: The range is this value's; the nodes are 64 bits.
        check(unsafe { libc::syscall(libc::SYS_mbind, start, length, mode, &nodes, 64, 0) })
    }

    /// The policy of page `index`.
    fn policy(&self, index: usize) -> Result<i32> {
        let mut mode = -1;
        let (nodes, address) = (ptr::null_mut::<u64>(), self.page(index));
        // SAFETY: The kernel writes the mode alone.
        let done = unsafe {
            libc::syscall(
                libc::SYS_get_mempolicy,
                &raw mut mode,
                nodes,
                0,
                address,
                MPOL_F_ADDR,
            )
        };
        check(done)?;
        Ok(mode)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: The memory is this value's.
        unsafe { libc::munmap(self.start.as_ptr(), self.length) };
    }
}

fn check(result: i64) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[test]
fn a_readers_policy_lasts_until_the_next_size() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    let pages = 2500;
    let size = (pages * PAGE) as u64;
    slot.resize(size)?;
    let owner = Raw::new(&slot, BOTH)?;
    if owner.policy(0).is_err() {
        return skip("this kernel knows no memory nodes", &["debug"]);
    }
    let last = pages - 1;
    for next_size in [size, size - 1, size + PAGE as u64] {
        let reader = Raw::new(&Slot::open_read_only(0)?, libc::PROT_READ)?;
        // One for all, and one for every other page from where another begins to the end.
        reader.bind(0, pages, libc::MPOL_BIND)?;
        for index in (1000..pages).step_by(2) {
            reader.bind(index, 1, libc::MPOL_INTERLEAVE)?;
        }
        drop(reader);
        let policies = [owner.policy(0)?, owner.policy(1000)?, owner.policy(last)?];
        let expected = [libc::MPOL_BIND, libc::MPOL_INTERLEAVE, libc::MPOL_BIND];
        assert_eq!(policies, expected, "mbind works otherwise here");
        slot.resize(next_size)?;
        for index in 0..pages {
            let now = owner.policy(index)?;
            assert_eq!(now, libc::MPOL_DEFAULT, "{next_size}, page {index}");
        }
    }
    Ok(())
}

#[test]
fn nobody_can_take_pages_out_of_a_slot() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(1 << 20)?;
    slot.map()?.fill(7);
    let mapping = Raw::new(&slot, BOTH)?;
    assert_eq!(errno(mapping.advise(libc::MADV_REMOVE)), libc::EBADF);
    assert_eq!(Control::open()?.slot(0)?.resident, 1 << 20);
    let mut seen = vec![0; 1 << 20];
    slot.map()?.read(0, &mut seen);
    assert!(seen.iter().all(|&byte| byte == 7));
    Ok(())
}

#[test]
fn a_mapping_cannot_be_moved_within_the_slot() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(2 * PAGE as u64)?;
    for protection in [BOTH, libc::PROT_READ, libc::PROT_NONE] {
        let mapping = Raw::new(&slot, protection)?;
        for page in [1, 100] {
            // SAFETY: If it succeeds, it replaces a mapping that nobody reads.
            let done = unsafe { libc::remap_file_pages(mapping.page(0), PAGE, 0, page, 0) };
            let refused = check(done.into())
                .err()
                .and_then(|error| error.raw_os_error());
            assert_eq!(refused, Some(libc::EACCES), "{protection}, {page}");
        }
    }
    // What is mapped nowhere can be cut off.
    Ok(slot.resize(PAGE as u64)?)
}

/// What `mlock` counted for this process, in KiB.
fn locked() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no such line")?.trim().parse()?)
}

/// Maps a MiB that `swap` lets be swapped or not, and gives `done` what locks all of it, asks for it
/// to be swapped, and says how much of it the slot then has in memory.
fn lock_and_swap<T>(swap: &str, done: impl Fn(&dyn Fn() -> Result<u64>) -> T) -> Result<T> {
    let _module = Module::load("kshram", &[swap])?;
    let slot = Slot::open(0)?;
    slot.resize(1 << 20)?;
    slot.map()?.fill(7);
    let before = locked()?;
    let mapping = Raw::new(&slot, BOTH)?;
    Ok(done(&|| {
        // SAFETY: The memory is the mapping's.
        check(unsafe { libc::mlock(mapping.page(0), 1 << 20) }.into())?;
        assert_eq!(locked()?, before, "it was counted");
        mapping.advise(libc::MADV_PAGEOUT)?;
        Ok(Control::open()?.slot(0)?.resident)
    }))
}

#[test]
fn only_the_parameter_keeps_memory_from_being_swapped() -> Result<()> {
    let _swap = Swap::on()?;
    // Pages that another CPU still keeps to itself cannot be swapped.
    let _one = OneCpu::enter()?;
    assert_eq!(lock_and_swap("swap=0", |try_it| try_it())??, 1 << 20);
    // It may be one large folio, which is left alone while anybody else looks at it.
    lock_and_swap("swap=1", |try_it| {
        wait_until("some of it is swapped", || Ok(try_it()? < 1 << 20))
    })?
}

#[test]
fn who_is_not_visible_has_neither_number_nor_name() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("resize:5000")?;
    let seen = user.ask("sizer")?;
    assert_eq!(seen, format!("{} kshram_user", user.pid()));
    let inside = shell_output("echo sizer | unshare -p -f kshram_user 0")?;
    assert_eq!(inside, "ready\nok none \n");
    Ok(())
}

/// `KSHRAM_CTL_MAPPERS` for slot 0 with room for `N` ids: those that came, and whether there are more.
fn mappers<const N: usize>() -> Result<(Vec<u32>, bool)> {
    let control = fs::File::open(Control::PATH)?;
    let mut pids = [0u32; N];
    let mut record = abi::kshram::Mappers {
        capacity: N as u32,
        pids: pids.as_mut_ptr() as u64,
        ..Default::default()
    };
    let command = u64::from(abi::kshram::CTL_MAPPERS);
    // SAFETY: The record is the command's, and the array has room for what it says.
    check(unsafe { libc::ioctl(control.as_raw_fd(), command, &raw mut record) }.into())?;
    Ok((
        pids[..record.count as usize].to_vec(),
        record.truncated != 0,
    ))
}

#[test]
fn the_lowest_ids_are_listed_when_there_is_no_room_for_all() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(Workload::start("kshram_user", &["0"])?);
    }
    users.sort_unstable_by_key(Workload::pid);
    // Who maps first comes first in the kernel's tree.
    for user in users.iter_mut().rev() {
        user.ask("map")?;
        user.ask("map")?;
    }
    let pids: Vec<u32> = users.iter().map(Workload::pid).collect();
    assert_eq!(mappers::<0>()?, (vec![], true));
    assert_eq!(mappers::<1>()?, (pids[..1].to_vec(), true));
    assert_eq!(mappers::<2>()?, (pids[..2].to_vec(), true));
    assert_eq!(mappers::<3>()?, (pids, false));
    Ok(())
}

#[test]
fn thousands_of_mappings_of_one_process_are_one_mapper() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    let mappings = (0..3000).map(|_| Raw::new(&slot, libc::PROT_READ));
    let mappings = mappings.collect::<Result<Vec<_>>>()?;
    let control = Control::open()?;
    assert_eq!(control.slot(0)?.mappings as usize, mappings.len());
    assert_eq!(mappers::<1>()?, (vec![std::process::id()], false));
    Ok(())
}
