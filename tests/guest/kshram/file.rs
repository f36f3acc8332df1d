// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slots as files.

use std::fs::OpenOptions;
use std::io::{IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use anyhow::Result;
use pagelens::kshram::Slot;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::{pwritev2, Errno, ReadWriteFlags};
use workloads::Module;

use super::errno;
use crate::support::{shell, shell_output};

#[test]
fn a_slot_reads_writes_and_seeks_like_a_file_of_its_size() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    slot.resize(10_000)?;
    let mut file = slot.file();
    file.write_all(b"hello")?;
    assert_eq!(file.stream_position()?, 5);
    file.seek(SeekFrom::Start(0))?;
    let mut all = Vec::new();
    assert_eq!(file.read_to_end(&mut all)?, 10_000);
    assert!(all.starts_with(b"hello\0") && all[5..].iter().all(|&byte| byte == 0));

    assert_eq!(file.seek(SeekFrom::End(-4))?, 9_996);
    assert_eq!(file.write(b"abcdefgh")?, 4, "what fits");
    assert_eq!(errno(file.write(b"e")), libc::ENOSPC);
    assert_eq!(file.write(b"")?, 0);
    assert_eq!(file.read(&mut all)?, 0);
    assert_eq!(errno(file.seek(SeekFrom::End(-10_001))), libc::EINVAL);
    assert_eq!(slot.size()?, 10_000);

    let mut seen = [0; 8];
    slot.map()?.read(9_992, &mut seen);
    assert_eq!(&seen, b"\0\0\0\0abcd");
    Ok(())
}

#[test]
fn nothing_can_be_appended() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(3)?;
    slot.file().write_all_at(b"first", 0)?;
    assert!(!shell("echo x >> /dev/kshram3")?.status.success());
    let mut appending = OpenOptions::new().append(true).open("/dev/kshram3")?;
    assert_eq!(errno(appending.write(b"x")), libc::ENOSPC);
    assert_eq!(errno(appending.write_at(b"x", 0)), libc::ENOSPC);
    assert_eq!(appending.write(b"")?, 0);
    let appended = pwritev2(
        slot.file(),
        &[IoSlice::new(b"x")],
        0,
        ReadWriteFlags::APPEND,
    );
    assert_eq!(appended, Err(Errno::NOSPC));
    let mut all = vec![0; 4096];
    slot.file().read_exact_at(&mut all, 0)?;
    assert!(all.starts_with(b"first\0") && all[5..].iter().all(|&byte| byte == 0));
    assert_eq!(slot.size()?, 4096);
    Ok(())
}

#[test]
fn bad_addresses_are_efault() -> Result<()> {
    use std::os::fd::AsRawFd;
    let _module = Module::load("kshram", &[])?;
    let slot = Slot::open(0)?;
    let fd = slot.file().as_raw_fd();
    let nowhere = 8 as *mut libc::c_void;
    // SAFETY: The kernel checks the address, at which nothing is mapped.
    let results = unsafe { [libc::read(fd, nowhere, 9), libc::write(fd, nowhere, 9)] };
    assert_eq!(results, [-1, -1]);
    assert_eq!(
        std::io::Error::last_os_error().raw_os_error(),
        Some(libc::EFAULT)
    );
    Ok(())
}

#[test]
fn cat_dd_and_cmp_work() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    for slot in [0, 1] {
        Slot::open(slot)?.resize(100_000)?;
    }
    let made = shell("dd if=/dev/urandom of=/tmp/random bs=1000 count=100 2>/dev/null")?;
    assert!(made.status.success());
    assert!(
        shell("dd if=/tmp/random of=/dev/kshram0 bs=999 2>/dev/null")?
            .status
            .success()
    );
    assert!(shell("cmp /dev/kshram0 /tmp/random")?.status.success());
    assert!(!shell("cmp -s /dev/kshram0 /dev/kshram1")?.status.success());
    assert!(shell("cat /dev/kshram0 > /dev/kshram1")?.status.success());
    assert!(shell("cmp /dev/kshram0 /dev/kshram1")?.status.success());
    assert_eq!(shell_output("cat /dev/kshram1 | wc -c")?.trim(), "100000");
    assert!(!shell("cat /dev/kshram0 /dev/kshram0 > /dev/kshram1")?
        .status
        .success());
    shell("rm /tmp/random")?;
    Ok(())
}

fn events(slot: &Slot) -> Result<PollFlags> {
    let all = PollFlags::IN | PollFlags::OUT | PollFlags::PRI;
    let mut descriptors = [PollFd::new(slot.file(), all)];
    poll(&mut descriptors, Some(&Timespec::default()))?;
    Ok(descriptors[0].revents())
}

#[test]
fn a_slot_is_always_ready_and_tells_of_changes() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let (slot, other) = (Slot::open(0)?, Slot::open(1)?);
    let always = PollFlags::IN | PollFlags::OUT;
    assert_eq!(events(&slot)?, always);
    Slot::open(0)?.resize(5000)?;
    assert_eq!(events(&slot)?, always | PollFlags::PRI);
    assert_eq!(events(&other)?, always);
    slot.size()?; // now it knows
    assert_eq!(events(&slot)?, always);
    slot.file().write_all_at(b"contents are no change", 0)?;
    assert_eq!(events(&slot)?, always);
    Ok(())
}

#[test]
fn the_list_cannot_be_written() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    assert!(!shell("echo 1 > /proc/kshram")?.status.success());
    assert_eq!(
        shell_output("dd if=/proc/kshram bs=3 2>/dev/null | head -n 1")?,
        "00: 4096\n"
    );
    Ok(())
}
