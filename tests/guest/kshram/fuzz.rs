// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls with nonsense.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::ptr;

use anyhow::Result;
use pagelens::kshram::{Control, Slot};
use workloads::{Module, Rng};

use crate::support::is_long;

const MAX_BYTES: u64 = 1 << 20;

fn rounds() -> u32 {
    match is_long() {
        true => 100_000,
        false => 5_000,
    }
}

/// Small numbers, sizes, page offsets, and any number.
fn number(random: &mut Rng) -> u64 {
    let any = random.u64(..);
    match random.u32(..6) {
        0 => any % 16,
        1 => any % (2 * MAX_BYTES),
        2 => (any % 512) << 12,
        3 => (any % 1000).wrapping_neg(),
        4 => 1 << (any % 64),
        _ => any,
    }
}

/// A page whose end is followed by nothing, filled anew for each call.
struct Edge(*mut u8);

impl Edge {
    fn new() -> Self {
        // SAFETY: The kernel picks free ranges; the second page is given back.
        unsafe {
            let both = libc::mmap(
                ptr::null_mut(),
                8192,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert!(both != libc::MAP_FAILED);
            libc::mprotect(both.cast::<u8>().add(4096).cast(), 4096, libc::PROT_NONE);
            Self(both.cast())
        }
    }

    /// An address that a record fits at, or not, or that is none.
    fn address(&self, random: &mut Rng) -> u64 {
        let any = random.u64(..);
        for index in 0..512 {
            let word = number(random);
            // SAFETY: Within the first page, which is writable.
            unsafe { self.0.cast::<u64>().add(index).write(word) };
        }
        match random.u64(..8) {
            0 => 0,
            1 => any % 4096,
            2 => any | 1 << 63, // the kernel's half, and what is in neither
            3 => self.0 as u64 + 4096 - any % 128,
            _ => self.0 as u64 + any % 3000,
        }
    }
}

#[test]
fn ioctls_with_any_arguments() -> Result<()> {
    let _module = Module::load("kshram", &["max_bytes=1048576", "slots=5"])?;
    let mut random = workloads::random()?;
    let edge = Edge::new();
    let mut succeeded = 0;
    let control = Control::open()?;
    for _ in 0..rounds() {
        let node = match random.u64(..6) {
            5 => "_ctl".to_owned(),
            slot => slot.to_string(),
        };
        let can_write = random.u64(..4) > 0;
        let node = format!("/dev/kshram{node}");
        let Ok(file) = OpenOptions::new().read(true).write(can_write).open(node) else {
            continue; // slot 5 is not there
        };
        let known = [
            abi::kshram::GETSLOTS,
            abi::kshram::GETSIZE,
            abi::kshram::SETSIZE,
            abi::kshram::FORCE_SHRINK,
            abi::kshram::CTL_INFO,
            abi::kshram::CTL_SLOT,
            abi::kshram::CTL_MAPPERS,
            abi::kshram::CTL_LABEL,
            abi::kshram::CTL_WIPE,
        ];
        let command = match random.u64(..10) {
            0 => random.u32(..),
            1 => u32::from(b'K') << 8 | random.u32(..) & 0xC03F_00FF,
            any => known[any as usize % known.len()],
        };
        let takes_address = command >> 16 != 0;
        let argument = match takes_address {
            true => edge.address(&mut random),
            false => number(&mut random),
        };
        if takes_address && command == abi::kshram::CTL_MAPPERS {
            // The address within must not be one of the test's own memory either.
            let record = edge.0.cast::<u32>();
            // SAFETY: The first page is writable.
            unsafe {
                record
                    .add(2)
                    .cast::<u64>()
                    .write_unaligned(number(&mut random))
            };
        }
        // SAFETY: Records go to the page made for them, or to where nothing is mapped. Commands
        // of other kinds that the kernel knows for every descriptor only change descriptor flags.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), u64::from(command), argument) };
        succeeded += u32::from(result >= 0);
        if command == abi::kshram::SETSIZE && result == 0 {
            assert!((1..=MAX_BYTES).contains(&argument), "{argument}");
        }
    }
    println!("{succeeded} calls succeeded");
    assert!(succeeded > rounds() / 50);
    for slot in control.all()? {
        assert!((1..=MAX_BYTES).contains(&slot.size), "{slot:?}");
        assert_eq!(slot.opens, 0, "{slot:?}");
    }
    Ok(())
}

#[test]
fn mappings_with_any_arguments() -> Result<()> {
    let _module = Module::load("kshram", &["max_bytes=1048576"])?;
    let mut random = workloads::random()?;
    let slot = Slot::open(0)?;
    let mut mapped = 0;
    for _ in 0..rounds() {
        if random.u64(..16) == 0 {
            slot.resize(1 + random.u64(..MAX_BYTES))?;
        }
        let (length, offset) = match random.u64(..3) {
            0 => (number(&mut random), number(&mut random)),
            // About what there is.
            _ => (random.u64(..MAX_BYTES), random.u64(..64) << 12),
        };
        // Fixed addresses would replace the test's own memory.
        let fixed = (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE | libc::MAP_ANONYMOUS) as u64;
        let kind = [
            libc::MAP_SHARED,
            libc::MAP_PRIVATE,
            libc::MAP_SHARED_VALIDATE,
            0,
        ];
        let kind = kind[random.usize(..4)] as u64;
        let flags = match random.u64(..4) {
            0 => (random.u64(..) & 0xFFFF_FFF0 & !fixed | kind) as i32,
            _ => kind as i32,
        };
        let protection = random.i32(0..8);
        let fd = slot.file().as_raw_fd();
        // SAFETY: The kernel picks a free range for what it maps, and it is unmapped at once.
        unsafe {
            let start = libc::mmap(
                ptr::null_mut(),
                length as usize,
                protection,
                flags,
                fd,
                offset as i64,
            );
            if start == libc::MAP_FAILED {
                continue;
            }
            libc::munmap(start, length as usize);
        }
        mapped += 1;
        assert_ne!(flags & libc::MAP_TYPE, libc::MAP_PRIVATE);
        let end = slot.size()?.next_multiple_of(4096);
        let wanted = offset.checked_add(length).expect("an end");
        assert!(
            wanted.next_multiple_of(4096) <= end,
            "{length} from {offset}"
        );
    }
    println!("{mapped} were mapped");
    assert!(mapped > rounds() / 100);
    Ok(())
}
