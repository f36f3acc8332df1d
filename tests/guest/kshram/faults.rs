// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail. These need a kernel with fault injection (the lab's `debug`).

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::process::Command;

use anyhow::{bail, Result};
use pagelens::kshram::{Control, Mapping, Slot};
use workloads::Module;

use crate::failing::{at_each_rate, each_allocation, only_within, widen, Rate, Switch, FAILSLAB};

/// Lets each allocation of `action` fail in turn, until it needs no more. `check` is called after
/// each failure. Returns how many failures there were.
fn fail_each<T>(
    action: impl FnMut() -> Result<T, pagelens::Error>,
    mut check: impl FnMut() -> Result<()>,
) -> Result<u32> {
    each_allocation(action, |_, result| match result {
        Ok(_) => Ok(()),
        Err(error) => {
            expect_no_memory(&error)?;
            check()
        }
    })
}

fn expect_no_memory(error: &pagelens::Error) -> Result<()> {
    use pagelens::Error::{Control, Open, Slot};
    let (Slot { source, .. } | Control { source, .. } | Open { source, .. }) = error else {
        bail!("{error}");
    };
    let is_memory = source.kind() == ErrorKind::OutOfMemory
        || [libc::ENFILE, libc::ENOSPC, libc::EFAULT].contains(&source.raw_os_error().unwrap_or(0));
    match is_memory {
        true => Ok(()),
        false => bail!("{error}"),
    }
}

#[test]
fn a_resize_that_fails_changes_nothing() -> Result<()> {
    let _wide = widen()?;
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(5000)?;
    slot.map()?.fill(3);
    let control = Control::open()?;
    let check = || -> Result<()> {
        let now = control.slot(0)?;
        assert_eq!((now.size, now.resident), (5000, 8192));
        let mut seen = vec![0; 6000];
        assert_eq!(slot.file().read_at(&mut seen, 0)?, 5000);
        assert!(seen[..5000].iter().all(|&byte| byte == 3));
        Ok(())
    };
    // One failure alone does nothing: what is refused is tried again, in smaller folios.
    let switch = Switch::open("make-it-fail")?;
    let mut failures = 0;
    at_each_rate(|_| {
        for _ in 0..50 {
            match switch.during("1", || slot.resize(40_000))?.0 {
                Ok(()) => slot.resize(5000)?,
                Err(error) => {
                    expect_no_memory(&error)?;
                    failures += 1;
                }
            }
            check()?;
        }
        Ok(())
    })?;
    assert!(failures > 0, "nothing failed");
    Ok(())
}

#[test]
fn open_map_look_and_wipe_fail_cleanly() -> Result<()> {
    let _wide = widen()?;
    let _module = Module::load("kshram", &[])?;
    let control = Control::open()?;
    Slot::open(0)?.resize(20_000)?;
    let slot = Slot::open(0)?;
    let idle = || {
        let now = control.slot(0)?;
        assert_eq!((now.opens, now.mappings, now.size), (1, 0, 20_000));
        Ok(())
    };
    let opened = fail_each(|| Slot::open(0), idle)?;
    let mapped = fail_each(|| -> Result<Mapping, _> { slot.map() }, idle)?;
    let looked = fail_each(|| control.mappers(0), idle)?;
    let wiped = fail_each(|| control.wipe(0), idle)?;
    println!("failures: open {opened}, map {mapped}, mappers {looked}, wipe {wiped}");
    assert!(opened > 1 && mapped > 1 && looked > 0 && wiped > 0);
    // What failed to be mapped does not count as mapped.
    slot.resize(1)?;
    Ok(())
}

#[test]
fn loading_fails_cleanly() -> Result<()> {
    let _wide = widen()?;
    let _our_own = only_within(FAILSLAB, "do_one_initcall")?;
    let mut failures = 0;
    for percent in ["2", "5", "10", "20"] {
        let _rate = Rate::set(FAILSLAB, percent)?;
        for _ in 0..6 {
            // A child inherits the switch.
            let load = "echo 1 > /proc/self/make-it-fail; exec insmod /modules/kshram.ko";
            let loaded = Command::new("sh").args(["-c", load]).output()?;
            failures += u32::from(!loaded.status.success());
            Command::new("rmmod").arg("kshram").output()?;
        }
    }
    assert!(failures > 0, "nothing failed");
    Module::load("kshram", &[])?.unload()
}
