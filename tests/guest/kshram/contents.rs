// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stays, and what is zero.

use std::os::unix::fs::FileExt;

use anyhow::Result;
use pagelens::kshram::{Mapping, Slot};
use workloads::{Module, Workload};

const PAGE: u64 = 4096;

fn bytes(mapping: &Mapping, offset: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    mapping.read(offset, &mut bytes);
    bytes
}

#[test]
fn contents_outlive_whoever_wrote_them() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut user = Workload::start("kshram_user", &["5"])?;
    user.ask("map")?;
    user.ask("write:4095:77")?;
    drop(user);
    let slot = Slot::open(5)?;
    assert_eq!(bytes(&slot.map()?, 4094, 2), [0, 77]);
    let other = Slot::open(4)?.map()?;
    assert_eq!(
        bytes(&other, 0, 4096),
        [0; 4096],
        "slots have nothing in common"
    );
    Ok(())
}

#[test]
fn unloading_forgets() -> Result<()> {
    let module = Module::load("kshram", &[])?;
    Slot::open(0)?.map()?.fill(9);
    module.unload()?;
    let _module = Module::load("kshram", &[])?;
    assert_eq!(bytes(&Slot::open(0)?.map()?, 0, 4096), [0; 4096]);
    Ok(())
}

#[test]
fn resizing_keeps_what_both_sizes_have_and_zeroes_the_rest() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    // From small to large and back, across pages, within them, and across huge pages.
    let sizes = [
        10,
        4095,
        4096,
        4097,
        10_000,
        (2 << 20) - 1,
        (4 << 20) + 5,
        (2 << 20) + 4096,
        5000,
        4096,
        100,
        1,
        8192,
    ];
    slot.resize(1)?;
    slot.file().write_all_at(b"x", 0)?;
    let mut expected = vec![b'x'];
    for (round, size) in sizes.into_iter().enumerate() {
        slot.resize(size)?;
        expected.resize(size as usize, 0);
        let mapping = slot.map_range(0, size.next_multiple_of(PAGE))?;
        assert!(
            bytes(&mapping, 0, expected.len()) == expected,
            "after resizing to {size}"
        );
        // All of the last page is written, also what lies behind the end.
        mapping.fill(round as u8 + 1);
        expected.fill(round as u8 + 1);
        let mut seen = vec![0; expected.len() + 1];
        assert_eq!(slot.file().read_at(&mut seen, 0)?, expected.len());
        drop(mapping);
    }
    Ok(())
}

#[test]
fn the_new_part_is_allocated_by_who_resizes() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = pagelens::kshram::Control::open()?;
    assert_eq!(control.slot(0)?.resident, 0, "allocated before any use");
    Slot::open(0)?.resize((4 << 20) + 1)?;
    assert_eq!(control.slot(0)?.resident, (4 << 20) + PAGE);
    Slot::open(0)?.resize(1)?;
    assert_eq!(control.slot(0)?.resident, PAGE);
    Ok(())
}
