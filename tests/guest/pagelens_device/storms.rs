// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers while everything changes.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{ensure, Context, Result};
use pagelens::device::{Detail, Device, Question, Scope, Snapshot};
use workloads::{random, Module, Workload};

use super::{all_of, holder, Loaded};
use crate::support::{is_long, storm};

#[test]
fn snapshots_in_a_storm_stay_right_about_who_stands_still() -> Result<()> {
    let loaded = Loaded::new()?;
    let still = holder(&["rw:aa:300", "fill:bb:200", "split:50"])?;
    still.stop()?;
    let pid = still.pid();
    let before = loaded.memory_of(pid)?.memory.sums;
    let _storm = storm()?;
    for round in 0..if is_long() { 2000 } else { 100 } {
        let snapshot = loaded.ask(&all_of(Scope::All))?;
        let space = snapshot.memory_of(pid).context("it is missing")?;
        let now = space.memory.sums;
        // What it maps of files, others map too, and then not any more.
        assert_eq!(
            (now.present, now.anonymous),
            (before.present, before.anonymous),
            "round {round}"
        );
        assert_eq!(now.pss_anonymous, before.pss_anonymous, "round {round}");
        assert_eq!(space.memory.header.flags, 0, "round {round}");
        ensure!(snapshot.end.processes == snapshot.processes.len() as u64);
        ensure!(snapshot.end.memories == snapshot.memories.len() as u64);
        for space in snapshot.memories.values() {
            let mut sum = 0;
            for area in &space.areas {
                sum += area.vma.sums.present;
                let sums = &area.vma.sums;
                let known = sums.anonymous + sums.file + sums.shared_memory;
                ensure!(known == sums.present, "round {round}: {area:?}");
                let by_use =
                    sums.private_clean + sums.private_dirty + sums.shared_clean + sums.shared_dirty;
                ensure!(by_use == sums.present, "round {round}: {area:?}");
                ensure!(sums.pss / 4096 <= sums.present, "round {round}: {area:?}");
            }
            ensure!(sum == space.memory.sums.present, "round {round}");
        }
    }
    Ok(())
}

#[test]
fn answers_are_abandoned_and_the_module_goes_and_comes_in_a_storm() -> Result<()> {
    let _storm = storm()?;
    let mut random = random()?;
    for _ in 0..if is_long() { 200 } else { 40 } {
        let module = Module::load("pagelens", &[])?;
        let device = Device::open()?;
        for detail in [Detail::Counters, Detail::Entries, Detail::Frames] {
            let answer = device.snapshot(&Question {
                detail,
                ..all_of(Scope::All)
            })?;
            let mut piece = vec![0; random.usize(4500..100_000)];
            for _ in 0..random.usize(0..4) {
                let _ = answer.file().read(&mut piece)?;
            }
        }
        drop(device);
        module.unload()?;
    }
    Ok(())
}

#[test]
fn readers_of_one_descriptor_share_its_records() -> Result<()> {
    let loaded = Loaded::new()?;
    let _still = Workload::start("holder", &["split:1000"])?;
    let whole = Snapshot::read(loaded.device.snapshot(&all_of(Scope::All))?)?;
    ensure!(whole
        .memories
        .values()
        .any(|space| space.areas.len() >= 1000));
    let answer = loaded.device.snapshot(&all_of(Scope::All))?;
    let file = answer.file();
    let ended = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let readers = [0, 1, 2].map(|_| {
            scope.spawn(|| -> Result<usize> {
                let (mut file, mut piece, mut areas) = (file, vec![0; 6000], 0);
                loop {
                    let count = file.read(&mut piece)?;
                    if count == 0 {
                        ended.store(true, Ordering::Relaxed);
                        return Ok(areas);
                    }
                    let mut rest = &piece[..count];
                    while let Some(len) = rest.first_chunk::<4>() {
                        areas += usize::from(rest[4] == abi::pagelens::KIND_VMA as u8);
                        rest = rest.split_at(u32::from_ne_bytes(*len) as usize).1;
                    }
                    ensure!(rest.is_empty(), "a torn record");
                }
            })
        });
        let counts = readers
            .into_iter()
            .map(|reader| reader.join().ok().context("panicked")?);
        counts.collect::<Result<Vec<_>>>()
    })?;
    ensure!(ended.load(Ordering::Relaxed));
    ensure!(counts.iter().sum::<usize>() > 1000, "{counts:?}");
    Ok(())
}
