// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that alone changes a slot, and knows all of it.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};
use pagelens::kshram::{Control, Mapping, Slot};
use workloads::process::{self, End};
use workloads::{errno, Rng};

use crate::sizes;

const PAGE: u64 = workloads::map::PAGE as u64;

struct Owner {
    slot: Slot,
    control: Control,
    /// What the slot must hold.
    model: Vec<u8>,
    /// Whole mappings, with their room up to the end of the last page.
    mappings: Vec<Mapping>,
    random: Rng,
}

pub fn run(index: u32, random: Rng, end: Instant) -> Result<u64> {
    let slot = Slot::open(index)?;
    let mut model = vec![0; slot.size()? as usize];
    slot.file().read_exact_at(&mut model, 0)?; // what an earlier storm left
    let mut owner = Owner {
        slot,
        control: Control::open()?,
        model,
        mappings: Vec::new(),
        random,
    };
    let mut operations = 0;
    while Instant::now() < end {
        let size = owner.model.len();
        let last = owner.random.u64(..12);
        owner
            .step(last)
            .with_context(|| format!("slot {index} of {size} bytes, step {last}"))?;
        operations += 1;
    }
    owner.compare_all()?;
    Ok(operations)
}

impl Owner {
    fn step(&mut self, step: u64) -> Result<()> {
        match step {
            0 => self.resize(),
            1 => {
                self.mappings.clear();
                self.resize()
            }
            2 => self.map(),
            3 => self.write_file(),
            4 => self.read_file(),
            5 | 6 => self.write_mapping(),
            7 => self.read_mapping(),
            8 => self.fork(),
            9 => self.look(),
            10 => match self.random.u64(..10) {
                0 => self.wipe(),
                1 => self.compare_all(),
                _ => self.scribble_behind_the_end(),
            },
            _ => self.reopen(),
        }
    }

    fn resize(&mut self) -> Result<()> {
        let size = sizes::size(&mut self.random);
        match self.slot.resize(size) {
            Ok(()) => self.model.resize(size as usize, 0),
            // Mapped, by us or by somebody who only looks.
            Err(error)
                if errno(&error) == Some(libc::EBUSY) && (size as usize) < self.model.len() => {}
            Err(error) => bail!(error),
        }
        ensure!(self.slot.size()? == self.model.len() as u64, "another size");
        let end = (self.model.len() as u64).next_multiple_of(PAGE) as usize;
        ensure!(
            self.mappings.iter().all(|mapping| mapping.len() <= end),
            "it became smaller than what is mapped"
        );
        Ok(())
    }

    fn map(&mut self) -> Result<()> {
        if self.mappings.len() == 4 {
            let victim = self.random.usize(..4);
            self.mappings.swap_remove(victim);
        }
        let end = (self.model.len() as u64).next_multiple_of(PAGE);
        self.mappings.push(self.slot.map_range(0, end)?);
        let too_much = self.slot.map_range(0, end + PAGE);
        ensure!(too_much.is_err(), "more than the slot has was mapped");
        Ok(())
    }

    /// A mapping and a range within it and the slot.
    fn pick(&mut self) -> Result<(usize, std::ops::Range<usize>)> {
        if self.mappings.is_empty() {
            self.map()?;
        }
        let which = self.random.usize(..self.mappings.len());
        let end = self.mappings[which].len().min(self.model.len());
        Ok((which, sizes::range(&mut self.random, end)))
    }

    /// Fills a range of the model with something new.
    fn invent(&mut self, range: std::ops::Range<usize>) {
        let byte = self.random.u8(..);
        for (offset, place) in self.model[range].iter_mut().enumerate() {
            *place = byte ^ offset as u8;
        }
    }

    fn write_mapping(&mut self) -> Result<()> {
        let (which, range) = self.pick()?;
        self.invent(range.clone());
        self.mappings[which].write(range.start, &self.model[range]);
        Ok(())
    }

    fn read_mapping(&mut self) -> Result<()> {
        let (which, range) = self.pick()?;
        let mut seen = vec![0; range.len()];
        self.mappings[which].read(range.start, &mut seen);
        self.compare(&seen, range, "mapping")
    }

    fn write_file(&mut self) -> Result<()> {
        let range = sizes::range(&mut self.random, self.model.len());
        self.invent(range.clone());
        let mut bytes = self.model[range.clone()].to_vec();
        if range.end == self.model.len() {
            bytes.extend([0xEE; 100]); // what does not fit
        }
        let written = self.slot.file().write_at(&bytes, range.start as u64)?;
        ensure!(written == range.len(), "wrote {written} of {}", range.len());
        Ok(())
    }

    fn read_file(&mut self) -> Result<()> {
        let range = sizes::range(&mut self.random, self.model.len());
        let mut seen = vec![0; range.len() + 100];
        let read = self.slot.file().read_at(&mut seen, range.start as u64)?;
        let expected = seen.len().min(self.model.len() - range.start);
        ensure!(read == expected, "read {read}, not {expected}");
        self.compare(&seen[..range.len()], range, "file")
    }

    fn fork(&mut self) -> Result<()> {
        let (which, range) = self.pick()?;
        let before = self.model.clone();
        self.invent(range.clone());
        let (mapping, model) = (&self.mappings[which], &self.model);
        let child = process::fork(|| {
            let mut seen = vec![0; range.len()];
            mapping.read(range.start, &mut seen);
            if seen != before[range.clone()] {
                std::process::exit(1);
            }
            mapping.write(range.start, &model[range.clone()]);
        })?;
        let end = process::wait_for(child)?;
        ensure!(end == End::Status(0), "the child ended: {end:?}");
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let index = self.slot.index();
        let slot = self.control.slot(index)?;
        ensure!(slot.size == self.model.len() as u64, "described otherwise");
        ensure!(slot.opens >= 1, "nobody has it open");
        ensure!(
            slot.mappings as usize >= self.mappings.len(),
            "fewer mappings than ours"
        );
        let is_listed = self.control.mappers(index)?.contains(&std::process::id());
        ensure!(is_listed || self.mappings.is_empty(), "we are not listed");
        Ok(self.control.label(index, "owned")?)
    }

    fn wipe(&mut self) -> Result<()> {
        self.control.wipe(self.slot.index())?;
        self.model.fill(0);
        Ok(())
    }

    /// What lies behind the size in the last page must not show up when the slot grows.
    fn scribble_behind_the_end(&mut self) -> Result<()> {
        let size = self.model.len();
        if let Some(mapping) = self.mappings.iter().find(|mapping| mapping.len() > size) {
            let tail = mapping.len() - size;
            if (tail as u64) < PAGE {
                mapping.write(size, &vec![0xDD; tail]);
            }
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        self.slot = Slot::open(self.slot.index())?;
        Ok(())
    }

    fn compare_all(&mut self) -> Result<()> {
        let mut seen = vec![0; self.model.len()];
        self.slot.file().read_exact_at(&mut seen, 0)?;
        self.compare(&seen, 0..seen.len(), "whole file")
    }

    fn compare(&self, seen: &[u8], range: std::ops::Range<usize>, what: &str) -> Result<()> {
        let expected = &self.model[range.clone()];
        match seen.iter().zip(expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => bail!(
                "{what}: byte {} is {:#x}, not {:#x}",
                range.start + at,
                seen[at],
                expected[at]
            ),
        }
    }
}
