// SPDX-License-Identifier: MIT OR Apache-2.0
//! The question and its descriptor, to the letter.

use std::io::Read as _;

use abi::pagelens::ram::{Ram as Asked, RAM};
use abi::pagelens::REFUSED;
use anyhow::{ensure, Result};
use pagelens::device::ram::{self, Question, RamBegin, CAPABILITY_RAM};
use pagelens::device::Device;
use workloads::random;

use super::super::interface::{ask, close, read_in_pieces};
use super::super::{as_user, Loaded};
use super::{everything, look};
use crate::support::{beside_a_reader, errno, refused_to_unload};

#[test]
fn only_an_administrator_may_ask() -> Result<()> {
    let loaded = Loaded::with(&["mode=0666"])?;
    assert_eq!(
        loaded.device.version()?.capabilities[CAPABILITY_RAM],
        abi::pagelens::AVAILABLE
    );
    let (errno, version) = as_user(1234, || {
        let device = Device::open()?;
        Ok((errno(device.ram(&Question::default())), device.version()?))
    })?;
    assert_eq!(errno, libc::EPERM);
    assert_eq!(version.capabilities[CAPABILITY_RAM], REFUSED);
    Ok(())
}

#[test]
fn a_descriptor_shows_its_asker_s_view_to_whoever_has_it() -> Result<()> {
    let loaded = Loaded::new()?;
    let answer = loaded.device.ram(&Question::default())?;
    let map = as_user(1234, || Ok(ram::Ram::read(answer)?))?;
    ensure!(map.end.bytes > 0);
    Ok(())
}

#[test]
fn what_has_no_meaning_is_refused() -> Result<()> {
    let loaded = Loaded::new()?;
    let refused = |question: &Asked| {
        let mut bytes = [0; size_of::<Asked>()];
        bytes[..4].copy_from_slice(&(size_of::<Asked>() as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&question.flags.to_ne_bytes());
        bytes[8..16].copy_from_slice(&question.start.to_ne_bytes());
        bytes[16..].copy_from_slice(&question.end.to_ne_bytes());
        ask(&loaded.device, RAM, &mut bytes)
    };
    let asked = |flags, start, end| Asked {
        flags,
        start,
        end,
        ..Asked::default()
    };
    for question in [
        asked(16, 0, 0),
        asked(1 << 31, 0, 0),
        asked(ram::RAM_WITH_NAMES, 0, 0),
        asked(0, 1, 0),
        asked(0, 0, 4095),
        asked(0, 8192, 4096),
        asked(0, 4096, 4096),
    ] {
        assert_eq!(refused(&question), -libc::EINVAL, "{question:?}");
    }
    let mut longer = [0; size_of::<Asked>() + 8];
    longer[0] = longer.len() as u8;
    let descriptor = ask(&loaded.device, RAM, &mut longer);
    ensure!(descriptor >= 0, "{descriptor}");
    close(descriptor);
    longer[longer.len() - 1] = 1;
    assert_eq!(ask(&loaded.device, RAM, &mut longer), -libc::E2BIG);
    Ok(())
}

#[test]
fn a_range_has_its_frames_and_no_others() -> Result<()> {
    let loaded = Loaded::new()?;
    // Begins and ends within two megabytes, and has several sections.
    for (start, end) in [(0x1000_5000, 0x1800_3000), (0x1000_5000, 0x1000_6000)] {
        let map = look(
            &loaded,
            &Question {
                addresses: start..end,
                ..everything()
            },
        )?;
        assert_eq!(map.end.bytes, end - start);
        ensure!(map.runs.first().is_some_and(|run| run.start == start));
        ensure!(map.runs.iter().all(|run| run.start + run.sums.bytes <= end));
    }
    let beyond = Question {
        addresses: 1 << 50..1 << 51,
        ..everything()
    };
    let map = look(&loaded, &beyond)?;
    assert_eq!((map.end.bytes, map.zones.len()), (0, 0));
    Ok(())
}

#[test]
fn reads_of_any_size_give_whole_answers() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut random = random()?;
    let mut totals = vec![look(&loaded, &everything())?.end.bytes];
    for least in [4500, 5000, 70_000] {
        let answer = loaded.device.ram(&everything())?;
        let bytes = read_in_pieces(answer.file(), || random.usize(least..least + 5000))?;
        let mut rest = &bytes[..];
        let mut sum = 0;
        while let Some(len) = rest.first_chunk::<4>() {
            let (record, behind) = rest.split_at(u32::from_ne_bytes(*len) as usize);
            if record[4..6] == ram::KIND_RAM_ZONE.to_ne_bytes() {
                sum += u64::from_ne_bytes(record[24..32].try_into()?);
            }
            rest = behind;
        }
        ensure!(rest.is_empty());
        totals.push(sum);
    }
    ensure!(
        totals.windows(2).all(|pair| pair[0] == pair[1]),
        "{totals:?}"
    );
    Ok(())
}

#[test]
fn a_buffer_without_room_for_a_record_is_refused_and_nothing_is_lost() -> Result<()> {
    let loaded = Loaded::new()?;
    let answer = loaded.device.ram(&Question::default())?;
    let mut file = answer.file();
    for len in [1, 8, size_of::<RamBegin>() - 1] {
        assert_eq!(errno(file.read(&mut vec![0; len])), libc::EINVAL);
    }
    assert_eq!(
        file.read(&mut [0; size_of::<RamBegin>()])?,
        size_of::<RamBegin>()
    );
    let map = ram::Ram::read(answer)?;
    ensure!(map.end.bytes > 0);
    Ok(())
}

#[test]
fn an_open_descriptor_keeps_the_module_and_an_abandoned_one_does_not() -> Result<()> {
    let Loaded { device, _module } = Loaded::new()?;
    let answer = device.ram(&everything())?;
    ensure!(answer.file().read(&mut [0; 10_000])? > 0);
    drop(device);
    refused_to_unload("pagelens")?;
    drop(answer);
    _module.unload()
}

#[test]
fn a_reader_whose_memory_does_not_come_keeps_nobody_waiting() -> Result<()> {
    let loaded = Loaded::new()?;
    let answer = loaded.device.ram(&everything())?;
    beside_a_reader(answer.file(), || {
        rustix::io::ioctl_fionbio(answer.file(), true)?;
        assert_eq!(errno(answer.file().read(&mut [0; 10_000])), libc::EAGAIN);
        Ok(())
    })
}
