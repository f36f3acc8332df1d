// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that changes what belongs to nobody, looks at the rest, and may be killed anywhere.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};
use pagelens::kshram::{Control, Mapping, Slot};
use workloads::process::{self, End};
use workloads::{errno, Rng};

use crate::{sizes, OWNERS, POLITE, RUDE};

const PAGE: u64 = workloads::map::PAGE as u64;
const BUS: i32 = rustix::process::Signal::BUS.as_raw();
/// What a child ends with that saw a byte that must not be.
const CORRUPT: i32 = 3;

struct Visitor {
    random: Rng,
    control: Control,
    /// Mappings of polite slots, which others must not shrink below.
    mappings: Vec<(u32, Mapping)>,
}

pub fn run(random: Rng, end: Instant) -> Result<u64> {
    let mut visitor = Visitor {
        random,
        control: Control::open()?,
        mappings: Vec::new(),
    };
    let mut operations = 0;
    while Instant::now() < end {
        let step = visitor.random.u64(..12);
        visitor.step(step).with_context(|| format!("step {step}"))?;
        operations += 1;
    }
    Ok(operations)
}

impl Visitor {
    fn step(&mut self, step: u64) -> Result<()> {
        match step {
            0 => self.look_at_an_owners_slot(),
            1 | 2 => self.map_politely(),
            3 | 4 => self.touch(),
            5 => self.fork(),
            6 => {
                self.mappings.clear();
                Ok(())
            }
            7 => {
                let slot = self.random.u32(POLITE);
                self.resize(slot, false)
            }
            8 => {
                let (slot, force) = (self.random.u32(RUDE), self.random.u64(..3) > 0);
                self.resize(slot, force)
            }
            9 => {
                let slot = self.random.u32(POLITE.start..RUDE.end);
                self.through_the_file(slot)
            }
            10 => self.be_rude(),
            _ => self.control(),
        }
    }

    fn look_at_an_owners_slot(&mut self) -> Result<()> {
        let slot = Slot::open_read_only(self.random.u32(0..OWNERS))?;
        let size = slot.size()?;
        ensure!(
            slot.map_range(0, size).is_err(),
            "writable through a read-only descriptor"
        );
        match slot.map_range_read_only(0, size) {
            Ok(mapping) => {
                let mut seen = vec![0; self.random.u64(..20_000).min(size) as usize];
                mapping.read(mapping.len() - seen.len(), &mut seen);
            }
            Err(error) => ensure!(errno(&error) == Some(libc::EINVAL), error), // it shrank meanwhile
        }
        Ok(())
    }

    fn map_politely(&mut self) -> Result<()> {
        if self.mappings.len() == 6 {
            let victim = self.random.usize(..6);
            self.mappings.swap_remove(victim);
        }
        let index = self.random.u32(POLITE);
        if let Some(mapping) = map_some(&Slot::open(index)?, &mut self.random)? {
            self.mappings.push((index, mapping.0));
        }
        Ok(())
    }

    /// Direct accesses: whoever maps politely must never get SIGBUS. Offsets are those of the
    /// mapping, as polite ones start at 0.
    fn touch(&mut self) -> Result<()> {
        let Some((index, mapping)) = self.mappings.last() else {
            return Ok(());
        };
        let range = sizes::range(&mut self.random, mapping.len());
        let mut bytes = vec![0; range.len()];
        mapping.read(range.start, &mut bytes);
        check(*index, range.start, &bytes)?;
        draw(*index, range.start, &mut bytes);
        mapping.write(range.start, &bytes);
        Ok(())
    }

    fn fork(&mut self) -> Result<()> {
        let mappings = &self.mappings;
        let child = process::fork(|| {
            for (index, mapping) in mappings {
                let mut bytes = vec![0; mapping.len().min(10_000)];
                mapping.read(mapping.len() - bytes.len(), &mut bytes);
                if check(*index, mapping.len() - bytes.len(), &bytes).is_err() {
                    std::process::exit(CORRUPT);
                }
            }
        })?;
        let end = process::wait_for(child)?;
        ensure!(end == End::Status(0), "the child ended: {end:?}");
        Ok(())
    }

    fn resize(&mut self, index: u32, force: bool) -> Result<()> {
        let slot = Slot::open(index)?;
        let size = sizes::size(&mut self.random);
        let done = match force {
            true => slot.resize_by_force(size),
            false => slot.resize(size),
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) if errno(&error) == Some(libc::EBUSY) && !force => Ok(()),
            Err(error) => bail!(error),
        }
    }

    fn through_the_file(&mut self, index: u32) -> Result<()> {
        let slot = Slot::open(index)?;
        let range = sizes::range(&mut self.random, 1 << 20);
        let mut bytes = vec![0; range.len()];
        let read = slot.file().read_at(&mut bytes, range.start as u64)?;
        check(index, range.start, &bytes[..read])?;
        draw(index, range.start, &mut bytes);
        match slot.file().write_at(&bytes, range.start as u64) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(()),
            Err(error) => bail!(error),
        }
    }

    /// Accesses that others may cut off at any time: in a child, which SIGBUS may end.
    fn be_rude(&mut self) -> Result<()> {
        let index = self.random.u32(RUDE);
        let Some((mapping, start)) = map_some(&Slot::open(index)?, &mut self.random)? else {
            return Ok(());
        };
        let child = process::fork(|| {
            let mut bytes = vec![0; mapping.len().min(30_000)];
            mapping.read(0, &mut bytes);
            if check(index, start, &bytes).is_err() {
                std::process::exit(CORRUPT);
            }
            draw(index, start, &mut bytes);
            mapping.write(0, &bytes);
        })?;
        let end = process::wait_for(child)?;
        ensure!(
            matches!(end, End::Status(0) | End::Signal(BUS)),
            "the child ended: {end:?}"
        );
        Ok(())
    }

    fn control(&mut self) -> Result<()> {
        let index = self.random.u32(POLITE.start..RUDE.end);
        self.control.slot(index)?;
        self.control.mappers(index)?;
        match self.random.u64(..8) {
            0 => self.control.wipe(index)?,
            1 => self.control.label(index, "storm")?,
            _ => drop(self.control.all()?),
        }
        Ok(())
    }
}

/// Maps a slot from its beginning, or from some page of a rude one; `None` if it shrank meanwhile.
fn map_some(slot: &Slot, random: &mut Rng) -> Result<Option<(Mapping, usize)>> {
    let size = slot.size()?;
    let first = match RUDE.contains(&slot.index()) {
        true => random.u64(..size.div_ceil(PAGE)) * PAGE,
        false => 0,
    };
    let length = random.u64(1..=size - first);
    match slot.map_range(first, length) {
        Ok(mapping) => Ok(Some((mapping, first as usize))),
        Err(error) if errno(&error) == Some(libc::EINVAL) => Ok(None),
        Err(error) => bail!(error),
    }
}

/// What may be written at an offset of a slot.
fn pattern(slot: u32, offset: usize) -> u8 {
    let mixed = (offset as u32 ^ slot << 24).wrapping_mul(0x9E37_79B1);
    (mixed >> 24) as u8 | 1
}

fn draw(slot: u32, start: usize, bytes: &mut [u8]) {
    for (offset, byte) in (start..).zip(bytes) {
        *byte = pattern(slot, offset);
    }
}

fn check(slot: u32, start: usize, bytes: &[u8]) -> Result<()> {
    for (offset, &byte) in (start..).zip(bytes) {
        ensure!(
            byte == 0 || byte == pattern(slot, offset),
            "slot {slot}: byte {offset} is {byte:#x}"
        );
    }
    Ok(())
}
