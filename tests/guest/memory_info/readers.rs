// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a descriptor reads.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use pagelens::MemoryInfo;

use super::Loaded;
use crate::support::{at_once, beside_a_reader, refused_to_unload, wait_until};

/// Reads to the end with reads of at most `size` bytes.
fn read_in_pieces(file: &mut File, size: usize) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    let mut piece = vec![0; size];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(whole),
            count => whole.extend_from_slice(&piece[..count]),
        }
    }
}

#[test]
fn the_answer_is_whole_whatever_the_read_size() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let answer = loaded.info.run(b"ALL")?;
    assert!(
        answer.len() > 4096,
        "too short to tell: {} bytes",
        answer.len()
    );
    for size in [1, 7, 4095, 4096, 4097, 1 << 20] {
        let mut file = File::open(MemoryInfo::PATH)?;
        assert_eq!(
            read_in_pieces(&mut file, size)?,
            answer,
            "reads of {size} bytes"
        );
        assert_eq!(file.read(&mut [0; 10])?, 0, "the end stays the end");
    }
    Ok(())
}

#[test]
fn a_read_after_a_seek_goes_on_from_there() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let answer = loaded.info.run(b"ALL")?;
    let mut file = File::open(MemoryInfo::PATH)?;
    let length = answer.len();
    for offset in [length / 2, 0, length - 1, 1, 4096, length] {
        file.seek(SeekFrom::Start(offset as u64))?;
        assert_eq!(
            read_in_pieces(&mut file, 100)?,
            answer[offset..],
            "from {offset}"
        );
    }
    file.seek(SeekFrom::Start(10))?;
    file.seek(SeekFrom::Current(-4))?;
    assert_eq!(read_in_pieces(&mut file, 1 << 16)?, answer[6..]);
    for beyond in [
        length as u64 + 1,
        u64::from(u32::MAX),
        i64::MAX as u64 - 4096,
    ] {
        assert_eq!(file.read_at(&mut [0; 10], beyond)?, 0, "at {beyond}");
    }
    let mut middle = [0; 50];
    file.read_exact_at(&mut middle, 1000)?;
    assert_eq!(middle, answer[1000..1050]);
    Ok(())
}

#[test]
fn an_open_file_keeps_the_answer_that_was_current_when_it_was_opened() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let answer = loaded.info.run(b"ALL")?;
    let mut old = File::open(MemoryInfo::PATH)?;
    loaded.info.reset()?;
    assert_eq!(fs::read(MemoryInfo::PATH)?, b"[SUCCESS]\n");
    assert_eq!(read_in_pieces(&mut old, 1000)?, answer);
    Ok(())
}

#[test]
fn a_descriptor_that_wrote_reads_its_own_answer() -> Result<()> {
    let mut loaded = Loaded::new()?;
    loaded.info.reset()?;
    let answer = loaded.info.run(b"ALL")?;
    let mut writer = OpenOptions::new()
        .read(true)
        .write(true)
        .open(MemoryInfo::PATH)?;
    writer.write_all(b"FILTER|kthreadd\n")?;
    let mut other = OpenOptions::new().write(true).open(MemoryInfo::PATH)?;
    other.write_all(b"ALL")?;
    writer.seek(SeekFrom::Start(0))?;
    let own = String::from_utf8(read_in_pieces(&mut writer, 10)?)?;
    assert!(
        own.starts_with("kthreadd, total: 0,") && own.lines().count() == 1,
        "{own}"
    );
    assert_eq!(
        fs::read(MemoryInfo::PATH)?,
        answer,
        "the last command was the other's"
    );
    Ok(())
}

#[test]
fn readers_get_whole_answers_while_others_write() -> Result<()> {
    let mut loaded = Loaded::new()?;
    loaded.info.reset()?;
    let all = loaded.info.run(b"ALL")?;
    let one = loaded.info.run(b"FILTER|kthreadd")?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let writers = [b"ALL".as_slice(), b"FILTER|kthreadd"].map(|command| {
            let is_over = &is_over;
            scope.spawn(move || -> Result<()> {
                let mut file = OpenOptions::new().write(true).open(MemoryInfo::PATH)?;
                while !is_over.load(Ordering::Relaxed) {
                    file.write_all(command)?;
                }
                Ok(())
            })
        });
        let read = (0..300).try_for_each(|round| {
            let mut file = File::open(MemoryInfo::PATH)?;
            let answer = read_in_pieces(&mut file, [1, 100, 1 << 20][round % 3])?;
            anyhow::ensure!(answer == all || answer == one, "{} bytes", answer.len());
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().ok().context("a writer panicked")??;
        }
        read
    })
}

#[test]
fn a_reader_whose_buffer_is_not_there_holds_up_nobody() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let answer = loaded.info.run(b"ALL")?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(MemoryInfo::PATH)?;
    beside_a_reader(&file, || {
        // All use the same descriptor, at places of their own.
        let other = file.try_clone()?;
        let seen = at_once("reading", move || {
            let mut seen = [0; 1000];
            other.read_exact_at(&mut seen, 100)?;
            Ok(seen)
        })?;
        assert_eq!(seen, answer[100..1100]);
        let other = file.try_clone()?;
        at_once(
            "writing",
            move || Ok(other.write_at(b"FILTER|kthreadd", 0)?),
        )?;
        refused_to_unload("memory_info")
    })
}

#[test]
fn names_that_are_deleted_at_the_same_time_are_all_gone() -> Result<()> {
    const EACH: usize = 20;
    let mut loaded = Loaded::new()?;
    let mut holder = super::holder("many", &[])?;
    let names = ["a", "b", "c"];
    for name in names {
        for index in 0..EACH {
            holder.ask(&format!("forkas:{name}{index}"))?;
        }
    }
    // A child takes its name when it runs.
    wait_until("the last has its name", || Ok(loaded.now("c19").is_ok()))?;
    for round in 0..50 {
        loaded.info.reset()?;
        std::thread::scope(|scope| {
            let deleters = names.map(|name| {
                scope.spawn(move || -> Result<()> {
                    let mut info = MemoryInfo::open()?;
                    (0..EACH).try_for_each(|index| {
                        let command = format!("DEL|{name}{index}");
                        Ok(info.run(command.as_bytes()).map(|_| ())?)
                    })
                })
            });
            deleters
                .into_iter()
                .try_for_each(|deleter| deleter.join().ok().context("panicked")?)
        })?;
        let left = loaded.info.programs()?;
        let left = left.iter().find(|program| {
            let (first, rest) = program.name.split_at(program.name.len().min(1));
            names.iter().any(|name| name.as_bytes() == first)
                && !rest.is_empty()
                && rest.iter().all(u8::is_ascii_digit)
        });
        anyhow::ensure!(left.is_none(), "round {round}: {left:?}");
    }
    Ok(())
}
