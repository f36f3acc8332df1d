// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAM maps while everything changes.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{ensure, Context, Result};
use pagelens::device::ram::{self, Ram};
use pagelens::device::Device;
use workloads::{random, Module};

use super::programs::{write_megabytes, Mounted};
use super::{everything, look, Loaded};
use crate::support::{is_long, storm, Swap};

/// Does something again and again while `meanwhile` lasts.
fn beside(
    again: impl Fn() -> Result<()> + Send + Sync,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<u64> {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                again()?;
                rounds += 1;
            }
            Ok(rounds)
        });
        let done = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        let rounds = other.join().ok().context("the other thread panicked")??;
        ensure!(rounds > 0, "nothing was done meanwhile");
        done
    })
}

/// Files come, are mapped, cut, renamed and deleted, and their file systems unmounted.
fn churn_files() -> Result<()> {
    for kind in ["tmpfs", "ramfs"] {
        let mounted = Mounted::new(kind, "ram-churn")?;
        for number in 0..40 {
            let path = mounted.file(&number.to_string());
            let file = write_megabytes(path.clone(), 1)?;
            file.set_len(1 << 19)?;
            fs::rename(&path, mounted.file(&format!("{number}-renamed")))?;
            if number % 2 == 0 {
                fs::remove_file(mounted.file(&format!("{number}-renamed")))?;
            }
        }
        mounted.unmount()?;
    }
    Ok(())
}

fn rounds() -> usize {
    if is_long() {
        1000
    } else {
        30
    }
}

#[test]
fn the_total_is_exact_while_everything_changes() -> Result<()> {
    let loaded = Loaded::new()?;
    let total = look(&loaded, &everything())?.end.bytes;
    let _storm = storm()?;
    let _swap = Swap::on().ok();
    beside(churn_files, || {
        for round in 0..rounds() {
            // `look` makes sure that the kinds add up to it.
            let map = look(&loaded, &everything())?;
            ensure!(
                map.end.bytes == total,
                "round {round}: {} and {total}",
                map.end.bytes
            );
            let groups: u64 = map.groups.values().map(|sums| sums.bytes).sum();
            let runs: u64 = map.runs.iter().map(|run| run.sums.bytes).sum();
            ensure!(
                (groups, runs) == (total, total),
                "round {round}: {groups} and {runs}"
            );
            for sums in map.zones.values() {
                let most = sums
                    .mapped
                    .max(sums.dirty)
                    .max(sums.large)
                    .max(sums.charged);
                ensure!(
                    most <= sums.bytes && sums.mapped_dirty <= sums.mapped,
                    "{sums:?}"
                );
            }
        }
        Ok(())
    })
}

#[test]
fn answers_are_abandoned_and_the_module_goes_and_comes_in_a_storm() -> Result<()> {
    let _storm = storm()?;
    let mut random = random()?;
    beside(churn_files, || {
        for _ in 0..if is_long() { 200 } else { 30 } {
            let module = Module::load("pagelens", &[])?;
            let device = Device::open()?;
            for _ in 0..3 {
                let answer = device.ram(&everything())?;
                let mut piece = vec![0; random.usize(4500..100_000)];
                for _ in 0..random.usize(0..20) {
                    let _ = answer.file().read(&mut piece)?;
                }
            }
            drop(device);
            module.unload()?;
        }
        Ok(())
    })
}

/// Blocks of memory that can be taken out and put back, the last ones first.
fn blocks() -> Result<Vec<PathBuf>> {
    let folder = Path::new("/sys/devices/system/memory");
    if !folder.exists() {
        return crate::runner::skip("this kernel cannot take memory out", &["debug", "cloud"]);
    }
    let mut blocks = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(Ok(number)) = name.strip_prefix("memory").map(str::parse::<u32>) {
            blocks.push((number, path.join("state")));
        }
    }
    blocks.sort_by(|one, other| other.cmp(one));
    Ok(blocks.into_iter().map(|(_, path)| path).collect())
}

/// A block that could be taken out. It is put back when dropped.
struct Offline(PathBuf);

impl Offline {
    fn any(blocks: &[PathBuf]) -> Option<Self> {
        let offline = |path: &&PathBuf| fs::write(path, "offline").is_ok();
        blocks.iter().find(offline).cloned().map(Self)
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        fs::write(&self.0, "online").expect("the memory was there");
    }
}

#[test]
fn memory_that_is_taken_out_is_offline_and_comes_back() -> Result<()> {
    let blocks = blocks()?;
    let loaded = Loaded::new()?;
    let before = look(&loaded, &ram::Question::default())?;
    let size = fs::read_to_string("/sys/devices/system/memory/block_size_bytes")?;
    let size = u64::from_str_radix(size.trim(), 16)?;
    let offline = Offline::any(&blocks).context("no block goes")?;
    let map = look(&loaded, &everything())?;
    assert_eq!(map.of_kind(ram::RAM_OFFLINE).bytes, size);
    assert_eq!(map.end.bytes, before.end.bytes);
    let mut nodes = map
        .zones
        .iter()
        .filter(|(place, _)| place.kind == ram::RAM_OFFLINE);
    ensure!(nodes.all(|(place, _)| place.node == ram::RAM_NODE_NONE));
    drop(offline);
    let map = look(&loaded, &ram::Question::default())?;
    assert_eq!(
        (map.of_kind(ram::RAM_OFFLINE).bytes, map.end.bytes),
        (0, before.end.bytes)
    );
    Ok(())
}

#[test]
fn the_total_is_exact_while_memory_is_taken_out_and_put_back() -> Result<()> {
    let blocks = blocks()?;
    let loaded = Loaded::new()?;
    let total = look(&loaded, &everything())?.end.bytes;
    let _storm = storm()?;
    let hot_plug = || {
        // Busy memory does not go.
        drop(Offline::any(&blocks[..blocks.len().min(4)]));
        Ok(())
    };
    beside(hot_plug, || {
        for round in 0..rounds() {
            let map: Ram = look(&loaded, &everything())?;
            ensure!(
                map.end.bytes == total,
                "round {round}: {} and {total}",
                map.end.bytes
            );
        }
        Ok(())
    })
}
