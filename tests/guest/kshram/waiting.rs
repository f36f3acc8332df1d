// SPDX-License-Identifier: MIT OR Apache-2.0
//! User memory that does not come: it holds up whoever wants it, and nobody else.

use std::os::unix::fs::FileExt;
use std::thread;

use anyhow::Result;
use pagelens::kshram::{Control, Slot};
use workloads::map::{Map, PAGE};
use workloads::uffd::Missing;
use workloads::{Module, Workload};

use super::errno;
use crate::support::{at_once, beside_a_reader, refused_to_unload};

/// All that may be done to slot 0, of which 5000 bytes are left in the end.
fn everything_else_goes_on() -> Result<()> {
    at_once("writing", || {
        Ok(Slot::open(0)?.file().write_all_at(b"x", 100)?)
    })?;
    at_once("reading", || {
        let mut seen = [0; 101];
        Slot::open(0)?.file().read_exact_at(&mut seen, 0)?;
        assert_eq!(seen[100], b'x');
        Ok(())
    })?;
    at_once("wiping", || Ok(Control::open()?.wipe(0)?))?;
    at_once("growing", || Ok(Slot::open(0)?.resize(3 * PAGE as u64)?))?;
    at_once("shrinking", || Ok(Slot::open(0)?.resize_by_force(5000)?))?;
    at_once("sealing", || Ok(Control::open()?.seal(0)?))
}

/// Two pages of memory, the first full of sevens, the second missing.
fn half_of_two_pages() -> Result<(Map, Missing)> {
    let mut map = Map::anonymous(2, false)?;
    map.write_pages(|index, page| {
        if index == 0 {
            page.fill(7);
        }
    });
    let missing = Missing::new(&map)?;
    Ok((map, missing))
}

#[test]
fn a_writer_whose_source_is_not_there_holds_up_nobody() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(2 * PAGE as u64)?;
    let (map, missing) = half_of_two_pages()?;
    let second = (map.address() + PAGE) as u64;
    let file = slot.file().try_clone()?;
    let writer = thread::spawn(move || map.write_to(&file, 0, 0));
    let page = missing.wanted()?;
    assert_eq!(page, second);
    everything_else_goes_on()?;
    missing.provide(page)?;
    // The first page was written before, the other up to the new end.
    assert_eq!(writer.join().expect("the thread ended")?, 5000);
    let mut seen = vec![1; 5001];
    assert_eq!(slot.file().read_at(&mut seen, 0)?, 5000);
    assert!(seen[..5000].iter().all(|&byte| byte == 0));
    Ok(())
}

#[test]
fn a_reader_whose_buffer_is_not_there_holds_up_nobody() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(2 * PAGE as u64)?;
    let (mut map, missing) = half_of_two_pages()?;
    let file = slot.file().try_clone()?;
    let reader = thread::spawn(move || map.read_from(&file));
    let page = missing.wanted()?;
    everything_else_goes_on()?;
    missing.provide(page)?;
    assert_eq!(reader.join().expect("the thread ended")?, 2 * PAGE);
    Ok(())
}

#[test]
fn a_reader_of_the_listing_keeps_the_module_and_nobody_who_unloads_it() -> Result<()> {
    let module = Module::load("kshram", &[])?;
    let listing = std::fs::File::open("/proc/kshram")?;
    beside_a_reader(&listing, || refused_to_unload("kshram"))?;
    module.unload()
}

#[test]
fn a_writer_that_waits_for_its_source_can_be_killed() -> Result<()> {
    let module = Module::load("kshram", &[])?;
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("stick")?;
    at_once("killing", move || {
        drop(user);
        Ok(())
    })?;
    Slot::open(0)?.resize(1)?;
    module.unload()
}

#[test]
fn a_source_that_is_nowhere_ends_the_write_there() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(3 * PAGE as u64)?;
    // Two pages, the second of which cannot be read.
    let mut map = Map::anonymous(2, false)?;
    map.write_pages(|_, page| page.fill(7));
    map.forbid_page(1)?;
    assert_eq!(map.write_to(slot.file(), 0, 1)?, PAGE);
    let refused = map.write_to(slot.file(), PAGE, 1);
    assert_eq!(errno(refused), libc::EFAULT);
    let mut seen = vec![1; 3 * PAGE];
    slot.file().read_exact_at(&mut seen, 0)?;
    assert_eq!(seen[0], 0);
    assert!(seen[1..=PAGE].iter().all(|&byte| byte == 7));
    assert!(seen[PAGE + 1..].iter().all(|&byte| byte == 0));
    Ok(())
}

#[test]
fn a_slot_can_be_written_from_its_own_mapping() -> Result<()> {
    const LENGTH: usize = 100 * PAGE;
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(2 * LENGTH as u64)?;
    slot.file().write_all_at(&[7; LENGTH], 0)?;
    // None of its pages is in this process's page tables.
    let map = Map::shared(slot.file(), LENGTH / PAGE)?;
    assert_eq!(map.write_to(slot.file(), 0, LENGTH as u64)?, LENGTH);
    map.unmap()?;
    let mut seen = vec![0; 2 * LENGTH];
    slot.file().read_exact_at(&mut seen, 0)?;
    assert!(seen.iter().all(|&byte| byte == 7));
    Ok(())
}
