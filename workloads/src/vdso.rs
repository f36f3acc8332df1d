// SPDX-License-Identifier: MIT OR Apache-2.0
//! Private pages that come of no file: the code that the kernel maps into each process.

use std::ops::Range;

use anyhow::{Context, Result};
use rustix::mm::{madvise, mprotect, Advice, MprotectFlags};

use crate::map::PAGE;

/// So many times gives up the first page of the vDSO, as the process has it, and writes to it.
///
/// # Errors
/// If there is none, or the kernel refuses.
pub fn write_missing(times: usize) -> Result<Range<usize>> {
    let range = find()?;
    let first = range.start as *mut u8;
    let flags = MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC;
    // SAFETY: Whoever runs or reads the page may go on.
    unsafe { mprotect(first.cast(), PAGE, flags)? };
    // SAFETY: The first byte of an ELF file, which can be read.
    let byte = unsafe { first.read_volatile() };
    for _ in 0..times {
        // SAFETY: The page comes again with what it has always had.
        unsafe { madvise(first.cast(), PAGE, Advice::LinuxDontNeed)? };
        // SAFETY: It can be written to since the call above, and does not change by it.
        unsafe { first.write_volatile(byte) };
    }
    Ok(range.start..range.start + PAGE)
}

fn find() -> Result<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut lines = maps.lines();
    let line = lines
        .find(|line| line.ends_with("[vdso]"))
        .context("no vDSO")?;
    let (range, _) = line.split_once(' ').context("a strange line")?;
    let (start, end) = range.split_once('-').context("a strange line")?;
    Ok(usize::from_str_radix(start, 16)?..usize::from_str_radix(end, 16)?)
}
