// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that keeps its cache in kshram, so that it starts warm: `kshram_cache [SLOT [MB]]`.
//!
//! The cache is a table of MB million bytes (by default 100) whose entries take a while to compute.
//! It starts with a header that is written last: a table without it, or of another size, is built
//! anew, so a program that was killed while building does no harm. It prints what it did and how
//! long it took until the first answer.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use pagelens::kshram::{Control, Mapping, Slot};

/// Bytes of an entry.
const ENTRY: usize = 64;
/// In the first entry, which is the header: how many entries follow, or 0 while they are built.
const COUNT: usize = 4;
/// What the header starts with: the format of the table.
const FORMAT: u32 = u32::from_le_bytes(*b"kc02");
/// Rounds of mixing that an entry takes.
const ROUNDS: u32 = 200;

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|argument| {
        argument
            .parse::<u64>()
            .with_context(|| format!("`{argument}` is not a number"))
    });
    let slot = numbers.next().transpose()?.unwrap_or(7);
    let bytes = numbers.next().transpose()?.unwrap_or(100) * 1_000_000;
    ensure!(bytes > 0, "the cache cannot be empty");

    let start = Instant::now();
    let slot = Slot::open(u32::try_from(slot)?)?;
    let size = bytes + ENTRY as u64;
    let (state, table) = match open(&slot, size)? {
        Some(table) => ("warm", table),
        None => ("cold", build(&slot, size)?),
    };
    let last = count(size) - 1;
    ensure!(
        entry(&table, last) == compute(last),
        "the last entry is wrong"
    );
    println!("{state} {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// The table, if there is one.
fn open(slot: &Slot, size: u64) -> Result<Option<Mapping>> {
    if slot.size()? != size {
        return Ok(None);
    }
    let table = slot.map()?;
    let is_complete = table.atomic_u32(COUNT).load(Acquire) == count(size)
        && table.atomic_u32(0).load(Acquire) == FORMAT;
    Ok(is_complete.then_some(table))
}

fn build(slot: &Slot, size: u64) -> Result<Mapping> {
    slot.resize(size)?;
    let table = slot.map()?;
    table.atomic_u32(COUNT).store(0, Release);
    for index in 0..count(size) {
        table.write(offset(index), &compute(index));
    }
    table.atomic_u32(0).store(FORMAT, Release);
    table.atomic_u32(COUNT).store(count(size), Release);
    Control::open()?.label(slot.index(), "kshram_cache")?;
    Ok(table)
}

/// How many entries fit behind the header. A slot is smaller than 2 GiB.
fn count(size: u64) -> u32 {
    (size / ENTRY as u64 - 1) as u32
}

fn offset(index: u32) -> usize {
    (index as usize + 1) * ENTRY
}

fn entry(table: &Mapping, index: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    table.read(offset(index), &mut entry);
    entry
}

/// Stands for a query or a parse that takes about a microsecond.
fn compute(index: u32) -> [u8; ENTRY] {
    let mut mixed = u64::from(index ^ FORMAT);
    let mut entry = [0; ENTRY];
    for bytes in entry.chunks_exact_mut(8) {
        for _ in 0..ROUNDS / 8 {
            mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        }
        bytes.copy_from_slice(&mixed.to_le_bytes());
    }
    entry
}
