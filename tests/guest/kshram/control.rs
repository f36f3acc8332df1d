// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/dev/kshram_ctl`: looking, naming, waiting, wiping.

use std::time::Duration;

use anyhow::Result;
use pagelens::kshram::{Control, Slot};
use workloads::{Module, Workload};

use super::errno;
use crate::support::wait_until;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn the_description_says_what_is_so() -> Result<()> {
    let _module = Module::load("kshram", &["slots=4", "swap=1"])?;
    let control = Control::open()?;
    let info = control.info()?;
    assert_eq!((info.slots, info.changes, info.may_swap), (4, 0, true));
    assert_eq!(info.max_bytes, 256 << 20);
    let fresh = control.slot(3)?;
    assert_eq!((fresh.size, fresh.resident, fresh.generation), (4096, 0, 0));
    assert_eq!((fresh.opens, fresh.mappings), (0, 0));
    assert_eq!((&*fresh.label, fresh.sizer), ("", None));

    let mut user = Workload::start("kshram_user", &["3"])?;
    user.ask("resize:9000")?;
    user.ask("map")?;
    let slot = control.slot(3)?;
    assert_eq!(
        (slot.size, slot.resident, slot.generation),
        (9000, 12288, 1)
    );
    assert_eq!((slot.opens, slot.mappings), (1, 1));
    let sizer = slot.sizer.expect("somebody resized it");
    assert_eq!((sizer.pid, &*sizer.name), (Some(user.pid()), "kshram_user"));
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let uptime: f64 = uptime.split(' ').next().unwrap_or_default().parse()?;
    let age = uptime - sizer.at.as_secs_f64();
    assert!((-1.0..600.0).contains(&age), "resized {age} s ago");
    assert_eq!(control.mappers(3)?, [user.pid()]);
    assert!(control.mappers(2)?.is_empty());
    assert_eq!(control.all()?.len(), 4);
    Ok(())
}

#[test]
fn many_mappers_are_all_listed_once() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut first = Workload::start("kshram_user", &["0"])?;
    first.ask("map")?;
    first.ask("map")?;
    let mut pids = vec![first.pid()];
    for _ in 0..99 {
        pids.push(first.ask("fork")?.parse()?);
    }
    pids.sort_unstable();
    let control = Control::open()?;
    assert_eq!(control.mappers(0)?, pids);
    assert_eq!(control.slot(0)?.mappings, 200);
    drop(first); // its children die too, but not at once
    wait_until("nobody maps it", || Ok(control.slot(0)?.opens == 0))
}

#[test]
fn a_slot_that_does_not_exist_is_enxio() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = Control::open()?;
    for index in [8, 256, u32::MAX] {
        assert_eq!(errno(control.slot(index)), libc::ENXIO);
        assert_eq!(errno(control.mappers(index)), libc::ENXIO);
        assert_eq!(errno(control.label(index, "x")), libc::ENXIO);
        assert_eq!(errno(control.seal(index)), libc::ENXIO);
        assert_eq!(errno(control.wipe(index)), libc::ENXIO);
    }
    Ok(())
}

#[test]
fn labels_have_up_to_32_bytes() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = Control::open()?;
    for label in ["cache", "exactly thirty-two bytes of text", ""] {
        control.label(1, label)?;
        assert_eq!(control.slot(1)?.label, label);
    }
    let too_long = "thirty-three bytes are one too ma";
    assert!(control.label(1, too_long).is_err());
    assert!(control.label(1, "a\0b").is_err());
    assert_eq!(control.slot(1)?.label, "");
    Ok(())
}

#[test]
fn a_read_only_descriptor_looks_but_does_not_touch() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = Control::open_read_only()?;
    control.info()?;
    control.slot(0)?;
    assert_eq!(errno(control.label(0, "x")), libc::EBADF);
    assert_eq!(errno(control.seal(0)), libc::EBADF);
    assert_eq!(errno(control.wipe(0)), libc::EBADF);
    assert_eq!(control.info()?.changes, 0);
    Ok(())
}

#[test]
fn every_change_wakes_who_waits() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = Control::open()?;
    let other = Control::open()?;
    assert!(
        !control.wait_for_change(Duration::ZERO)?,
        "nothing changed yet"
    );
    let changes: [&dyn Fn() -> pagelens::Result<()>; 5] = [
        &|| Slot::open(0)?.resize(5000),
        &|| Slot::open(0)?.resize_by_force(50),
        &|| other.label(0, "new"),
        &|| other.wipe(1),
        &|| other.seal(2),
    ];
    for (before, change) in changes.into_iter().enumerate() {
        assert_eq!(control.info()?.changes, before as u64);
        assert!(!control.wait_for_change(Duration::ZERO)?);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| control.wait_for_change(LONG));
            change()?;
            assert!(
                waiting.join().expect("the thread ended")?,
                "change {before}"
            );
            anyhow::Ok(())
        })?;
        assert!(
            control.wait_for_change(Duration::ZERO)?,
            "until it was seen"
        );
    }
    assert_eq!(control.slot(0)?.generation, 3);
    assert_eq!(control.slot(3)?.generation, 0);
    // Refused changes are none.
    let changes = control.info()?.changes;
    assert_eq!(errno(Slot::open(2)?.resize(1)), libc::EPERM);
    assert_eq!(errno(Slot::open(0)?.resize(0)), libc::EINVAL);
    assert_eq!(control.info()?.changes, changes);
    Ok(())
}

#[test]
fn wiping_writes_zeros_where_the_data_is() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize((2 << 20) + 4097)?;
    let mapping = slot.map()?;
    mapping.fill(0xAB);
    let control = Control::open()?;
    let before = control.slot(0)?;
    control.wipe(0)?;
    let mut all = vec![1; mapping.len()];
    mapping.read(0, &mut all);
    assert!(all.iter().all(|&byte| byte == 0));
    let after = control.slot(0)?;
    assert_eq!((after.size, after.resident), (before.size, before.resident));
    assert_eq!(after.generation, before.generation + 1);
    Ok(())
}
