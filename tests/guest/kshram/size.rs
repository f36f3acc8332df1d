// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which sizes a slot may have, and when.

use std::os::fd::AsRawFd;

use anyhow::Result;
use pagelens::kshram::{Control, Slot};
use rustix::thread::Pid;
use workloads::{Module, Workload};

use super::errno;

#[test]
fn sizes_out_of_range_are_refused() -> Result<()> {
    let _module = Module::load("kshram", &["max_bytes=1000000"])?;
    let slot = Slot::open(0)?;
    for size in [0, u64::MAX, u64::MAX - 4095, 1 << 63] {
        assert_eq!(errno(slot.resize(size)), libc::EINVAL, "{size}");
    }
    for size in [1_000_001, 1 << 32, (1 << 32) + 1, i64::MAX as u64] {
        assert_eq!(errno(slot.resize(size)), libc::ENOSPC, "{size}");
    }
    assert_eq!(slot.size()?, 4096);
    slot.resize(1_000_000)?;
    assert_eq!(Control::open()?.info()?.max_bytes, 1_000_000);
    Ok(())
}

/// `ioctl` as a program of 32 bits calls it.
fn ioctl_of_32_bits(file: &std::fs::File, command: u32, argument: i32) -> i32 {
    const IOCTL: i32 = 54;
    let answer: i32;
    // SAFETY: The call takes numbers only. It changes its own register, and those from r8 to r11; rbx,
    // which the compiler keeps to itself, is put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {fd}",
            "int 0x80",
            "xchg rbx, {fd}",
            fd = inout(reg) i64::from(file.as_raw_fd()) => _,
            inlateout("eax") IOCTL => answer,
            in("ecx") command,
            in("edx") argument,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    answer
}

#[test]
fn negative_sizes_of_programs_of_32_bits_are_so_too() -> Result<()> {
    let _module = Module::load("kshram", &["max_bytes=1000000"])?;
    let slot = Slot::open(0)?;
    let set = |size| ioctl_of_32_bits(slot.file(), abi::kshram::SETSIZE, size);
    assert_eq!(set(5000), 0);
    for (size, error) in [
        (-1, libc::EINVAL),
        (i32::MIN, libc::EINVAL),
        (0, libc::EINVAL),
        (1_000_001, libc::ENOSPC),
        (i32::MAX, libc::ENOSPC),
    ] {
        assert_eq!(set(size), -error, "{size}");
    }
    assert_eq!(slot.size()?, 5000);
    Ok(())
}

#[test]
fn parameters_out_of_range_are_refused() {
    for parameter in [
        "slots=0",
        "slots=257",
        "slots=-1",
        "max_bytes=4095",
        "max_bytes=0x80000000",
        "mode=01777",
        "group=4294967295",
        "swap=2",
    ] {
        assert!(Module::load("kshram", &[parameter]).is_err(), "{parameter}");
    }
}

#[test]
fn two_hundred_and_fifty_six_slots() -> Result<()> {
    let _module = Module::load("kshram", &["slots=256"])?;
    let slot = Slot::open(255)?;
    assert_eq!(slot.slots()?, 256);
    slot.resize(5)?;
    let listed = pagelens::kshram::sizes()?;
    assert_eq!((listed.len(), listed[254], listed[255]), (256, 4096, 5));
    Ok(())
}

#[test]
fn more_than_the_machine_has_is_refused_and_changes_nothing() -> Result<()> {
    let _module = Module::load("kshram", &["max_bytes=0x7ffff000"])?;
    let slots = (0..8).map(Slot::open).collect::<Result<Vec<_>, _>>()?;
    let refused = slots.iter().find_map(|slot| slot.resize(0x7fff_f000).err());
    let refused = errno(refused.map_or(Ok(()), Err));
    assert!([libc::ENOMEM, libc::ENOSPC].contains(&refused), "{refused}");
    let control = Control::open()?;
    for slot in control.all()? {
        let expected = slot.size == 4096 || slot.size == 0x7fff_f000;
        assert!(expected && slot.resident <= slot.size, "{slot:?}");
    }
    Ok(())
}

#[test]
fn shrinking_below_a_mapping_is_busy() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(10_000)?;
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("map")?;
    user.ask("close")?;
    assert_eq!(errno(slot.resize(8192)), libc::EBUSY);
    assert_eq!(slot.size()?, 10_000);
    slot.resize(8193)?; // the same pages
    assert_eq!(errno(slot.resize(1)), libc::EBUSY);

    let child = user.ask("fork")?;
    user.ask("unmap")?;
    assert_eq!(errno(slot.resize(1)), libc::EBUSY, "the child maps it too");
    let child = Pid::from_raw(child.parse()?).expect("a pid");
    rustix::process::kill_process(child, rustix::process::Signal::KILL)?;
    crate::support::wait_until("the child's mapping is gone", || Ok(slot.resize(1).is_ok()))
}

#[test]
fn growing_leaves_old_mappings_alone() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    let old = slot.map()?;
    old.write(0, &[1, 2, 3]);
    slot.resize(3 << 20)?;
    let new = slot.map()?;
    new.write(4000, &[4]);
    new.write(2 << 20, &[5]);
    let mut seen = [0; 4];
    old.read(0, &mut seen);
    assert_eq!(seen, [1, 2, 3, 0]);
    old.read(4000, &mut seen[..1]);
    assert_eq!(seen[0], 4);
    Ok(())
}

#[test]
fn shrinking_by_force_raises_sigbus_behind_the_end() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(3 << 20)?;
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("map")?;
    user.ask("write:100000:7")?;
    user.ask("write:3000000:8")?;
    slot.resize_by_force(100_001)?;
    assert_eq!(user.ask("read:100000")?, "7");
    assert_eq!(
        user.ask("read:100001")?,
        "0",
        "the rest of the page is zero"
    );
    let died = user.ask("read:3000000").unwrap_err().to_string();
    assert!(died.contains("wait_status(7)"), "{died}");

    // What was cut off is gone: growing again brings zeros.
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("resize:3145728")?;
    user.ask("map")?;
    assert_eq!(user.ask("read:3000000")?, "0");
    Ok(())
}

#[test]
fn a_sealed_size_is_final() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(2)?;
    slot.resize(5000)?;
    let control = Control::open()?;
    assert!(!control.slot(2)?.is_sealed);
    control.seal(2)?;
    assert!(control.slot(2)?.is_sealed && !control.slot(1)?.is_sealed);
    for size in [1, 5000, 9000] {
        assert_eq!(errno(slot.resize(size)), libc::EPERM, "{size}");
        assert_eq!(errno(slot.resize_by_force(size)), libc::EPERM, "{size}");
    }
    assert_eq!(slot.size()?, 5000);
    slot.map()?.fill(1); // the contents are not sealed
    Ok(())
}

#[test]
fn the_size_is_for_those_who_may_write() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open_read_only(0)?;
    assert_eq!(errno(slot.resize(5000)), libc::EBADF);
    assert_eq!(errno(slot.resize_by_force(50)), libc::EBADF);
    assert_eq!(slot.size()?, 4096);
    Ok(())
}
