// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where all the memory of the machine is.

use std::fs;

use anyhow::{Context, Result};
use pagelens::device::ram::{name_of, Question, Ram, RAM_HOLE, RAM_SHARED_MEMORY};
use pagelens::device::Device;
use workloads::Module;

use crate::narrator::Narrator;

const FILE: &str = "/tmp/somewhere/forgotten";
const SIZE: u64 = 100 << 20;

pub fn play(narrator: &Narrator) -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    narrator.say("Somebody left 100 MiB in a file in memory. No process has them.");
    fs::create_dir_all("/tmp/somewhere")?;
    fs::write(FILE, vec![7; SIZE as usize])?;

    narrator.say("Every frame of the machine, counted once:");
    let map = Ram::read(Device::open()?.ram(&Question {
        with_names: true,
        ..Question::default()
    })?)?;
    let mut kinds: Vec<_> = map.by_kind().into_iter().collect();
    kinds.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.bytes));
    for (kind, sums) in kinds {
        narrator.show(&format!("{:>9} KiB {}", sums.bytes >> 10, name_of(kind)));
    }
    let present: u64 = map.nodes.iter().map(|node| node.present).sum();
    narrator.check(
        &format!("{} KiB in all, as the kernel has present", present >> 10),
        map.total().bytes - map.of_kind(RAM_HOLE).bytes == present,
    )?;

    narrator.say("And which files have the cache:");
    let mut files: Vec<_> = map.files.values().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.sums.bytes));
    for file in files.iter().take(5) {
        let name = file.name.as_deref().unwrap_or(b"?");
        let name = String::from_utf8_lossy(name);
        narrator.show(&format!("{:>9} KiB {name}", file.sums.bytes >> 10));
    }
    let largest = files.first().context("no files")?;
    // A path begins at the root of its file system, wherever that is mounted.
    let is_found = largest
        .name
        .as_deref()
        .is_some_and(|name| name.ends_with(b"/somewhere/forgotten"));
    let shared = map.of_kind(RAM_SHARED_MEMORY).bytes;
    narrator.check(
        "the forgotten file is the first of them",
        is_found && largest.sums.bytes == SIZE && shared >= SIZE,
    )?;
    fs::remove_file(FILE)?;
    Ok(())
}
