// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's questions and descriptors, to the letter.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use abi::pagelens::ram::CAPABILITY_RAM;
use abi::pagelens::{Begin, Snapshot, Version, KIND_BEGIN, KIND_END, SNAPSHOT, VERSION};
use anyhow::{ensure, Result};
use pagelens::device::{Device, Question, Scope, MEMORY_BUSY, MEMORY_ENDED, NODE};
use workloads::{random, Module};

use super::{all_of, holder, Loaded};
use crate::pf_stat::start_cow;
use crate::pf_stat::stuck::{self, while_stuck};
use crate::support::{beside_a_reader, errno, refused_to_unload};

/// Asks with any bytes; what the kernel answered.
#[allow(unsafe_code)]
pub(super) fn ask(device: &Device, command: u32, bytes: &mut [u8]) -> i32 {
    // SAFETY: The kernel reads and writes as many bytes as their first four say, which are no more
    // than there are; or refuses.
    let answer = unsafe {
        libc::ioctl(
            device.file().as_raw_fd(),
            command.into(),
            bytes.as_mut_ptr(),
        )
    };
    match answer {
        -1 => -std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
        answer => answer,
    }
}

#[allow(unsafe_code)]
pub(super) fn close(descriptor: i32) {
    // SAFETY: A descriptor that `ask` made and nobody has.
    unsafe { libc::close(descriptor) };
}

#[test]
fn questions_may_be_shorter_and_longer_than_the_module_knows() -> Result<()> {
    let loaded = Loaded::new()?;
    const SIZE: usize = size_of::<Snapshot>();
    for (size, last, expected) in [
        (4, 0, 0),
        (16, 0, 0),
        (SIZE, 0, 0),
        (SIZE + 8, 0, 0),
        (4096, 0, 0),
        (SIZE + 8, 1, -libc::E2BIG),
        (4096, 1, -libc::E2BIG),
        (4097, 0, -libc::E2BIG),
        (3, 0, -libc::EINVAL),
        (0, 0, -libc::EINVAL),
    ] {
        let mut bytes = vec![0; 5000];
        bytes[..4].copy_from_slice(&u32::try_from(size)?.to_ne_bytes());
        if size > SIZE {
            bytes[size - 1] = last;
        }
        let answer = ask(&loaded.device, SNAPSHOT, &mut bytes);
        match answer {
            0.. => close(answer),
            refused => assert_eq!(refused, expected, "size {size}, last byte {last}"),
        }
        assert_eq!(
            answer >= 0,
            expected == 0,
            "size {size}, last byte {last}: {answer}"
        );
    }
    Ok(())
}

#[test]
fn what_has_no_meaning_is_refused() -> Result<()> {
    let loaded = Loaded::new()?;
    for (at, byte) in [
        (4, 4),
        (7, 1),
        (8, 5),
        (12, 3),
        (16, 1),
        (24, 1),
        (32, b'x'),
    ] {
        let mut bytes = [0; size_of::<Snapshot>()];
        bytes[0] = size_of::<Snapshot>() as u8;
        bytes[at] = byte;
        assert_eq!(
            ask(&loaded.device, SNAPSHOT, &mut bytes),
            -libc::EINVAL,
            "byte {at}"
        );
    }
    for command in [0, VERSION + 100, SNAPSHOT ^ 0x100] {
        assert_eq!(ask(&loaded.device, command, &mut [0; 64]), -libc::ENOTTY);
    }
    let device = loaded.device.file();
    assert_eq!(errno((&mut &*device).read(&mut [0; 10])), libc::EINVAL);
    Ok(())
}

#[test]
fn the_version_is_told_as_far_as_the_callers_record_goes() -> Result<()> {
    let loaded = Loaded::new()?;
    let version = loaded.device.version()?;
    assert_eq!(version.size as usize, size_of::<Version>());
    assert_eq!(version.protocol, abi::pagelens::PROTOCOL);
    assert_eq!(version.capabilities[0], abi::pagelens::AVAILABLE);
    let mut others = version.capabilities;
    (others[0], others[CAPABILITY_RAM]) = (0, 0);
    assert_eq!(others, [0; 8]);
    let mut short = [0xEE; 40];
    short[..4].copy_from_slice(&8_u32.to_ne_bytes());
    assert_eq!(ask(&loaded.device, VERSION, &mut short), 0);
    assert_eq!(short[4..8], version.protocol.to_ne_bytes());
    assert_eq!(short[8..], [0xEE; 32]);
    Ok(())
}

#[test]
fn the_node_is_as_the_parameters_say() -> Result<()> {
    for (parameters, mode, group) in [
        (&[][..], 0o600, 0),
        (&["mode=0640", "gid=44"][..], 0o640, 44),
    ] {
        let loaded = Loaded::with(parameters)?;
        let node = loaded.device.file().metadata()?;
        assert_eq!(
            (node.permissions().mode() & 0o7777, node.gid()),
            (mode, group)
        );
    }
    for wrong in ["mode=01000", "gid=4294967295", "mode=x"] {
        ensure!(Module::load("pagelens", &[wrong]).is_err(), "{wrong}");
    }
    ensure!(!std::fs::exists(NODE)?);
    Ok(())
}

/// Reads all in pieces of the lengths that `next` gives.
pub(super) fn read_in_pieces(mut file: &File, mut next: impl FnMut() -> usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut piece = vec![0; next()];
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&piece[..count]);
    }
}

/// The records without those that differ from one look to the next: they have times.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut records) = (bytes, Vec::new());
    while let Some((len, kind)) = rest.first_chunk::<4>().zip(rest.get(4..6)) {
        let (record, behind) = rest.split_at(u32::from_ne_bytes(*len) as usize);
        if ![KIND_BEGIN, KIND_END]
            .map(u16::to_ne_bytes)
            .iter()
            .any(|it| it == kind)
        {
            records.push(record);
        }
        rest = behind;
    }
    records
}

#[test]
fn reads_of_any_size_give_the_same_records() -> Result<()> {
    let holder = holder(&["rw:aa:10", "split:500", "fill:bb:10"])?;
    holder.stop()?;
    let loaded = Loaded::new()?;
    let pids = [holder.pid()];
    let question = all_of(Scope::Pids(&pids));
    let whole = loaded.device.snapshot(&question)?;
    let whole = read_in_pieces(whole.file(), || 1 << 20)?;
    let whole = records(&whole);
    ensure!(whole.len() > 500);
    let mut random = random()?;
    for least in [4500, 5000, 70_000] {
        let answer = loaded.device.snapshot(&question)?;
        let pieces = read_in_pieces(answer.file(), || random.usize(least..least + 5000))?;
        ensure!(records(&pieces) == whole, "at least {least}");
    }
    Ok(())
}

#[test]
fn a_buffer_without_room_for_a_record_is_refused_and_nothing_is_lost() -> Result<()> {
    let loaded = Loaded::new()?;
    let pids = [std::process::id()];
    let question = Question {
        scope: Scope::Pids(&pids),
        ..Question::default()
    };
    let answer = loaded.device.snapshot(&question)?;
    let mut file = answer.file();
    for len in [1, 8, size_of::<Begin>() - 1] {
        assert_eq!(errno(file.read(&mut vec![0; len])), libc::EINVAL);
    }
    assert_eq!(file.read(&mut [0; 60])?, size_of::<Begin>());
    let rest = read_in_pieces(file, || 4096)?;
    ensure!(rest.len() > 400);
    assert_eq!(file.read(&mut [0; 60])?, 0, "the end stays the end");
    assert_eq!(errno((&mut &*file).write(&[1])), libc::EBADF);
    Ok(())
}

#[test]
fn an_open_descriptor_keeps_the_module_and_an_abandoned_one_does_not() -> Result<()> {
    let Loaded { device, _module } = Loaded::new()?;
    let answer = device.snapshot(&all_of(Scope::All))?;
    let mut file = answer.file();
    ensure!(file.read(&mut [0; 10_000])? > 0);
    drop(device);
    refused_to_unload("pagelens")?;
    drop(answer);
    _module.unload()
}

#[test]
fn a_reader_whose_memory_does_not_come_keeps_others_waiting_no_longer_than_a_signal() -> Result<()>
{
    let loaded = Loaded::new()?;
    let answer = loaded.device.snapshot(&all_of(Scope::All))?;
    beside_a_reader(answer.file(), || {
        rustix::io::ioctl_fionbio(answer.file(), true)?;
        assert_eq!(errno(answer.file().read(&mut [0; 10_000])), libc::EAGAIN);
        Ok(())
    })
}

#[test]
fn a_process_that_ends_while_it_is_told_is_said_to_have_ended() -> Result<()> {
    let loaded = Loaded::new()?;
    let holder = holder(&["split:4000"])?;
    let pids = [holder.pid()];
    let answer = loaded.device.snapshot(&all_of(Scope::Pids(&pids)))?;
    let mut first = vec![0; 70_000];
    ensure!(answer.file().read(&mut first)? > 0);
    drop(holder);
    let snapshot = pagelens::device::Snapshot::read(answer)?;
    let told = snapshot
        .memories
        .values()
        .next()
        .map(|space| space.memory.header.flags);
    ensure!(
        told.is_some_and(|flags| flags & MEMORY_ENDED != 0),
        "{told:?}"
    );
    Ok(())
}

#[test]
fn a_process_whose_mmap_lock_nobody_gets_is_said_to_be_busy() -> Result<()> {
    if !stuck::can_be() {
        return stuck::skip();
    }
    let loaded = Loaded::new()?;
    let mut cow = start_cow()?;
    let pid = cow.pid();
    let (stuck, other) = while_stuck(&mut cow, || {
        let pids = [1, pid];
        let snapshot = loaded.ask(&all_of(Scope::Pids(&pids)))?;
        let flags = |pid| {
            snapshot
                .memory_of(pid)
                .map(|space| space.memory.header.flags)
        };
        assert_eq!(snapshot.end.busy, 1);
        Ok((flags(pid), flags(1)))
    })?;
    assert_eq!((stuck, other), (Some(MEMORY_BUSY), Some(0)));
    assert_eq!(loaded.memory_of(pid)?.memory.header.flags, 0);
    Ok(())
}
