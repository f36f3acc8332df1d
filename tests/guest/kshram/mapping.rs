// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ranges can be mapped how, and how long mappings live.

use std::fs;
use std::os::fd::AsRawFd;
use std::ptr;

use anyhow::Result;
use pagelens::kshram::{Control, Mapping, Slot};
use workloads::{Module, Workload};

use super::errno;
use crate::runner::skip;
use crate::support::{shell, shell_output, wait_until};

const PAGE: u64 = 4096;

#[test]
fn ranges_within_the_last_page_of_the_size_can_be_mapped() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(2 * PAGE + 1)?;
    slot.map()?.write(2 * PAGE as usize, &[42]);
    for (offset, length) in [
        (0, 1),
        (0, PAGE),
        (0, 3 * PAGE),
        (PAGE, 1),
        (PAGE, 2 * PAGE),
        (2 * PAGE, PAGE),
    ] {
        let mapping = slot.map_range(offset, length)?;
        if offset + length > 2 * PAGE {
            let mut byte = [0];
            mapping.read((2 * PAGE - offset) as usize, &mut byte);
            assert_eq!(byte, [42], "{length} bytes from {offset}");
        }
    }
    for (offset, length) in [
        (0, 0),
        (0, 3 * PAGE + 1),
        (PAGE, 2 * PAGE + 1),
        (3 * PAGE, 1),
        (u64::MAX << 12, PAGE),
        (1, PAGE),
    ] {
        let refused = slot.map_range(offset, length);
        assert!(refused.is_err(), "{length} bytes from {offset} were mapped");
    }
    assert_eq!(errno(slot.map_range(3 * PAGE, 1)), libc::EINVAL);
    Ok(())
}

/// `mmap` with flags and protections that the library does not offer.
fn raw_map(slot: &Slot, protection: i32, flags: i32) -> std::io::Result<()> {
    let fd = slot.file().as_raw_fd();
    // SAFETY: The kernel picks a free range, which is unmapped again at once.
    unsafe {
        let start = libc::mmap(ptr::null_mut(), 4096, protection, flags, fd, 0);
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        libc::munmap(start, 4096);
    }
    Ok(())
}

#[test]
fn private_mappings_are_refused() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    for protection in [libc::PROT_NONE, libc::PROT_READ, both] {
        let refused = raw_map(&slot, protection, libc::MAP_PRIVATE);
        assert_eq!(errno(refused), libc::EINVAL, "{protection}");
        raw_map(&slot, protection, libc::MAP_SHARED)?;
    }
    Ok(())
}

#[test]
fn a_read_only_descriptor_gives_read_only_mappings_for_ever() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open_read_only(0)?;
    assert_eq!(errno(slot.map()), libc::EACCES);
    let mapping = slot.map_range_read_only(0, PAGE)?;
    let start = mapping.as_ptr().cast_mut().cast();
    // SAFETY: If it succeeded, nothing would write there.
    let result = unsafe { libc::mprotect(start, 4096, libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!(result, -1, "the mapping became writable");
    // SAFETY: As above; the call replaces a mapping that nobody reads any more.
    let result = unsafe { libc::remap_file_pages(start, 4096, 0, 0, 0) };
    assert_eq!(result, -1, "the mapping was made anew");
    Ok(())
}

#[test]
fn a_mapping_cannot_be_enlarged() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(2 * PAGE)?;
    let mapping = slot.map_range(0, PAGE)?;
    let start = mapping.as_mut_ptr().cast();
    for (old, new) in [(4096, 8192), (4096, 3 << 12), (0, 8192)] {
        // SAFETY: The kernel refuses; else the test fails and nothing more is done.
        let moved = unsafe { libc::mremap(start, old, new, libc::MREMAP_MAYMOVE) };
        assert_eq!(moved, libc::MAP_FAILED, "{old} to {new}");
    }
    Ok(())
}

#[test]
fn mappings_of_a_slot_show_the_same_memory() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(8192)?;
    let (whole, second) = (slot.map()?, slot.map_range(PAGE, PAGE)?);
    second.write(5, b"same");
    let mut seen = [0; 4];
    whole.read(4096 + 5, &mut seen);
    assert_eq!(&seen, b"same");

    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("map")?;
    assert_eq!(user.ask("read:4101")?, u32::from(b's').to_string());
    user.ask("write:4101:9")?;
    whole.read(4101, &mut seen[..1]);
    assert_eq!(seen[0], 9);
    Ok(())
}

#[test]
fn mappings_survive_close_and_unloading() -> Result<()> {
    let module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(3 << 20)?;
    let mapping = slot.map()?;
    mapping.fill(7);
    assert!(
        shell("rmmod kshram")?.status.code() != Some(0),
        "a descriptor is open"
    );
    drop(slot);
    let mut byte = [0];
    mapping.read(3 << 19, &mut byte);
    assert_eq!(byte, [7]);
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("map")?;
    user.ask("close")?;

    module.unload()?;
    mapping.write(2 << 20, &[8]);
    assert_eq!(user.ask("read:2097152")?, "8");
    let child = user.ask("fork")?;
    assert!(fs::read_to_string(format!("/proc/{child}/maps"))?.contains("/dev/kshram0"));

    // A new instance has memory of its own.
    let _module = Module::load("kshram", &[])?;
    let fresh = Slot::open(0)?;
    assert_eq!(fresh.size()?, 4096);
    fresh.map()?.read(0, &mut byte);
    assert_eq!(byte, [0]);
    mapping.read(0, &mut byte);
    assert_eq!(byte, [7]);
    Ok(())
}

/// Pages of shared memory in the system, after all CPUs added what they counted.
fn shared_pages() -> Result<u64> {
    shell("cat /proc/sys/vm/stat_refresh")?;
    let line = shell_output("grep '^nr_shmem ' /proc/vmstat")?;
    Ok(line.trim().trim_start_matches("nr_shmem ").parse()?)
}

#[test]
fn unloading_returns_all_memory() -> Result<()> {
    let before = shared_pages()?;
    let module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(64 << 20)?;
    let mapping = slot.map()?;
    mapping.fill(1);
    assert!(shared_pages()? >= before + (64 << 20) / PAGE);
    drop((slot, mapping));
    let user = Workload::start("kshram_user", &["3"])?;
    drop(user);
    module.unload()?;
    wait_until("the memory is back", || Ok(shared_pages()? <= before))
}

#[test]
fn a_killed_process_leaves_nothing_behind() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let control = Control::open()?;
    let mut users = Vec::new();
    for _ in 0..4 {
        let mut user = Workload::start("kshram_user", &["1"])?;
        user.ask("map")?;
        user.ask("map")?;
        users.push(user);
    }
    let slot = control.slot(1)?;
    assert_eq!((slot.opens, slot.mappings), (4, 8));
    let mut pids: Vec<u32> = users.iter().map(Workload::pid).collect();
    pids.sort_unstable();
    assert_eq!(control.mappers(1)?, pids);
    drop(users); // SIGKILL
    let slot = control.slot(1)?;
    assert_eq!((slot.opens, slot.mappings), (0, 0));
    assert!(control.mappers(1)?.is_empty());
    Ok(())
}

#[test]
fn large_mappings_get_huge_pages() -> Result<()> {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return skip("this kernel has no huge pages", &["rt"]);
    }
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(8 << 20)?;
    let mapping: Mapping = slot.map()?;
    mapping.fill(1);
    let smaps = shell_output(&format!(
        "grep -A25 '/dev/kshram0' /proc/{}/smaps | grep ShmemPmdMapped",
        std::process::id()
    ))?;
    assert!(smaps.contains("8192 kB"), "{smaps}");
    Ok(())
}
