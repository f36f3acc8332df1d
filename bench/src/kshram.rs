// SPDX-License-Identifier: MIT OR Apache-2.0
//! kshram against memfd, as it comes and with huge pages.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use anyhow::{ensure, Result};
use pagelens::kshram::{Mapping, Slot};
use rustix::fs::{memfd_create, MemfdFlags};
use rustix::thread::futex;
use workloads::process::{self, End};
use workloads::{Module, SysSetting};

use crate::harness::{alternate, milliseconds, print, ratio};

const ROUNDS: usize = 25;
const SIZES: [u64; 5] = [4 << 10, 64 << 10, 1 << 20, 64 << 20, 256 << 20];
/// What one turn copies or maps at least, in bytes: small sizes are repeated.
const TURN: u64 = 32 << 20;
const PAGE: usize = workloads::map::PAGE;

pub fn run() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut rows = [const { Vec::new() }; 3];
    for (number, size) in (0..).zip(SIZES) {
        // Each a slot of its own: what a slot had when it was small stays in small pages.
        let slot = Slot::open(number)?;
        slot.resize(size)?;
        let memfd = filled_memfd(size)?;
        fill(slot.file(), size)?;
        rows[0].push(access(slot.file(), &memfd, size)?);
        rows[1].push(mapping(slot.file(), &memfd, size)?);
        drop(memfd);

        let _huge = SysSetting::set(
            "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
            "within_size",
        )?;
        let memfd = filled_memfd(size)?;
        rows[2].push(mapping(slot.file(), &memfd, size)?);
        slot.resize(PAGE as u64)?;
    }
    let [access, mapping, mapping_huge] = rows;
    let copy_head = ["bytes", "ours ms", "memfd ms", "ours/memfd", "goal"];
    let map_head = ["bytes", "ours ms", "memfd ms", "memfd/ours", "goal"];
    print(
        "memcpy in and out of mapped memory",
        &copy_head,
        &with_goal(access, |_| "<= 1.02"),
    );
    let goal = |bytes: &str| if bytes == "67108864" { ">= 8" } else { "" };
    print(
        "mmap + touching each page + munmap, data present; memfd as it comes",
        &map_head,
        &with_goal(mapping, goal),
    );
    let goal = |bytes: &str| if bytes == "67108864" { ">= 1" } else { "" };
    print(
        "the same; memfd with shmem_enabled=within_size",
        &map_head,
        &with_goal(mapping_huge, goal),
    );
    calls()?;
    messages()
}

fn with_goal(rows: Vec<Vec<String>>, goal: impl Fn(&str) -> &'static str) -> Vec<Vec<String>> {
    let add = |mut row: Vec<String>| {
        row.push(goal(&row[0]).to_owned());
        row
    };
    rows.into_iter().map(add).collect()
}

fn filled_memfd(size: u64) -> Result<File> {
    let memfd = File::from(memfd_create(c"peer", MemfdFlags::CLOEXEC)?);
    memfd.set_len(size)?;
    fill(&memfd, size)?;
    Ok(memfd)
}

fn fill(file: &File, size: u64) -> Result<()> {
    Mapping::new(file, 0, size)?.fill(0xA5);
    Ok(())
}

/// Copies into and out of both. Small ones are copied as often as it takes.
fn access(ours: &File, theirs: &File, size: u64) -> Result<Vec<String>> {
    let mut source = vec![0x5A; size as usize];
    let mut target = vec![0; size as usize];
    let mut turn = 0_u8;
    let (ours, theirs) = (Mapping::new(ours, 0, size)?, Mapping::new(theirs, 0, size)?);
    let copy = |mapping: &Mapping| {
        // Bytes that neither the mapping nor the target has from the turn before.
        turn = turn.wrapping_add(1);
        source
            .iter_mut()
            .step_by(PAGE)
            .for_each(|byte| *byte = turn);
        for _ in 0..(TURN / size).max(1) {
            let length = mapping.len().min(source.len()).min(target.len());
            // SAFETY: All have as many bytes, and nobody else uses the mapping's memory. The copies
            // of the library itself go by words, as they must allow for others.
            unsafe {
                source
                    .as_ptr()
                    .copy_to_nonoverlapping(mapping.as_mut_ptr(), length);
                mapping
                    .as_ptr()
                    .copy_to_nonoverlapping(target.as_mut_ptr(), length);
            }
        }
        ensure!(target.iter().step_by(PAGE).all(|&byte| byte == turn));
        Ok(())
    };
    let copy = RefCell::new(copy);
    let times = alternate(
        ROUNDS,
        [&mut || copy.borrow_mut()(&ours), &mut || {
            copy.borrow_mut()(&theirs)
        }],
    )?;
    Ok(row(size, times, 1.0 / ratio(times[1], times[0])))
}

/// What a process pays that maps existing data, looks at it, and goes.
fn mapping(ours: &File, theirs: &File, size: u64) -> Result<Vec<String>> {
    let visit = |file: &File| {
        for _ in 0..(TURN / size).clamp(4, 256) {
            let mapping = Mapping::new(file, 0, size)?;
            for page in (0..mapping.len()).step_by(PAGE) {
                let word = mapping.atomic_u32(page);
                word.store(word.load(Relaxed), Relaxed);
            }
        }
        Ok(())
    };
    let times = alternate(ROUNDS, [&mut || visit(ours), &mut || visit(theirs)])?;
    Ok(row(size, times, ratio(times[1], times[0])))
}

fn row(size: u64, times: [Duration; 2], ratio: f64) -> Vec<String> {
    row_named(size.to_string(), times, ratio)
}

fn row_named(name: String, [ours, theirs]: [Duration; 2], ratio: f64) -> Vec<String> {
    vec![
        name,
        milliseconds(ours),
        milliseconds(theirs),
        format!("{ratio:.2}"),
    ]
}

/// `write` and `read` instead of mappings, from memory that is there.
fn calls() -> Result<()> {
    const CALL_SIZES: [usize; 4] = [64, PAGE, 64 << 10, 1 << 20];
    let slot = Slot::open(6)?;
    slot.resize(1 << 20)?;
    let memfd = filled_memfd(1 << 20)?;
    fill(slot.file(), 1 << 20)?;
    let mut rows = Vec::new();
    for size in CALL_SIZES {
        for (name, call) in [("write", write as Call), ("read", read)] {
            let (mut buffer, mut other) = (vec![0x5A; size], vec![0x5A; size]);
            let times = alternate(
                ROUNDS,
                [&mut || call(slot.file(), &mut buffer), &mut || {
                    call(&memfd, &mut other)
                }],
            )?;
            let ratio = 1.0 / ratio(times[1], times[0]);
            rows.push(row_named(format!("{name} {size}"), times, ratio));
        }
    }
    let head = ["call, bytes", "ours ms", "memfd ms", "ours/memfd"];
    print("read and write, repeated", &head, &rows);
    Ok(())
}

type Call = fn(&File, &mut [u8]) -> Result<()>;
/// What one turn of calls moves, and how many they are at most.
const CALLS: (usize, usize) = (8 << 20, 4096);

fn repeat(size: usize, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    (0..(CALLS.0 / size).min(CALLS.1)).try_for_each(|_| call())
}

fn write(file: &File, buffer: &mut [u8]) -> Result<()> {
    repeat(buffer.len(), || Ok(file.write_all_at(buffer, 0)?))
}

fn read(file: &File, buffer: &mut [u8]) -> Result<()> {
    repeat(buffer.len(), || Ok(file.read_exact_at(buffer, 0)?))
}

/// Messages there and back.
const MESSAGES: u32 = 500;
/// Where the message stands, behind the word that is waited for.
const MESSAGE: usize = 64;

/// Two processes that pass 64 bytes to and fro, each waiting on a futex for its turn.
fn messages() -> Result<()> {
    let slot = Slot::open(7)?;
    slot.resize(PAGE as u64)?;
    let memfd = filled_memfd(PAGE as u64)?;
    let (ours, theirs) = (
        Mapping::new(slot.file(), 0, PAGE as u64)?,
        Mapping::new(&memfd, 0, PAGE as u64)?,
    );
    let times = alternate(ROUNDS, [&mut || play(&ours), &mut || play(&theirs)])?;
    let per_message =
        |time: Duration| format!("{:.1}", time.as_secs_f64() * 5e5 / f64::from(MESSAGES));
    print(
        "64-byte messages between two processes with futexes",
        &["", "ours us", "memfd us", "ours/memfd", "goal"],
        &[vec![
            "a message".to_owned(),
            per_message(times[0]),
            per_message(times[1]),
            format!("{:.2}", 1.0 / ratio(times[1], times[0])),
            "<= 1.05".to_owned(),
        ]],
    );
    Ok(())
}

fn play(memory: &Mapping) -> Result<()> {
    memory.atomic_u32(0).store(0, Release);
    let child = process::fork(|| {
        if side(memory, 1).is_err() {
            std::process::exit(1);
        }
    })?;
    side(memory, 0)?;
    let end = process::wait_for(child)?;
    ensure!(end == End::Status(0), "the other side failed: {end:?}");
    Ok(())
}

/// The side whose turns are those with this parity.
fn side(memory: &Mapping, parity: u32) -> Result<()> {
    let turn = memory.atomic_u32(0);
    let mut message = [0; MESSAGE];
    for mine in (parity..2 * MESSAGES).step_by(2) {
        loop {
            let now = turn.load(Acquire);
            if now == mine {
                break;
            }
            match futex::wait(turn, futex::Flags::empty(), now, None) {
                Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        memory.read(MESSAGE, &mut message);
        ensure!(
            mine == 0 || message == [(mine - 1) as u8; MESSAGE],
            "a wrong message"
        );
        memory.write(MESSAGE, &[mine as u8; MESSAGE]);
        turn.store(mine + 1, Release);
        futex::wake(turn, futex::Flags::empty(), 1)?;
    }
    Ok(())
}
