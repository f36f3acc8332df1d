// SPDX-License-Identifier: GPL-2.0
//! Sums of many things in little memory: what there is no room for is told as it is, in parts.

use abi::pagelens::{
    ram::{RamFile, RamGroup, RamZone, KIND_RAM_FILE, KIND_RAM_GROUP, KIND_RAM_ZONE},
    Header,
};
use core::marker::PhantomData;
use kernel::prelude::*;
use kx_base::charged::Words;
use kx_dev::stream::Buffer;
use model::ram::{put, take, Part, Put};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A part that is told as a record.
pub(crate) trait Told: Part + FromBytes + IntoBytes + Immutable + KnownLayout {
    /// `KIND_…`.
    const KIND: u16;

    fn header(&mut self) -> &mut Header;

    /// Tells it. Its flags are its own.
    fn tell(mut self, out: &mut Buffer) -> Result {
        let header = self.header();
        (header.len, header.kind) = (size_of::<Self>() as u32, Self::KIND);
        out.push(&self)
    }
}

impl Told for RamZone {
    const KIND: u16 = KIND_RAM_ZONE;

    fn header(&mut self) -> &mut Header {
        &mut self.header
    }
}

impl Told for RamGroup {
    const KIND: u16 = KIND_RAM_GROUP;

    fn header(&mut self) -> &mut Header {
        &mut self.header
    }
}

impl Told for RamFile {
    const KIND: u16 = KIND_RAM_FILE;

    fn header(&mut self) -> &mut Header {
        &mut self.header
    }
}

/// A table of parts.
pub(crate) struct Parts<P> {
    /// Room for them, if there is to be any.
    words: Option<Words>,
    /// How many of them were told at the end.
    told: usize,
    of: PhantomData<P>,
}

impl<P: Told> Parts<P> {
    /// Room for `len` of them, a power of two or 0.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(crate) fn new(len: usize) -> Result<Self> {
        const { assert!(size_of::<P>() % size_of::<u64>() == 0) };
        let words = len.saturating_mul(size_of::<P>() / size_of::<u64>());
        Ok(Self {
            words: match words {
                0 => None,
                words => Some(Words::zeroed(words)?),
            },
            told: 0,
            of: PhantomData,
        })
    }

    fn table(&mut self) -> &mut [P] {
        let bytes = match &mut self.words {
            Some(words) => words.as_mut_bytes(),
            None => &mut [],
        };
        <[P]>::mut_from_bytes(bytes).unwrap_or(&mut [])
    }

    /// Adds a part, and tells the one that had to give way, if there was one.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if there is no room in `out` for one.
    pub(crate) fn put(&mut self, part: &P, out: &mut Buffer) -> Result<Put<P>> {
        let put = put(self.table(), part);
        if let Put::InsteadOf(before) = put {
            before.tell(out)?;
        }
        Ok(put)
    }

    /// Tells what is there, as far as there is room; whether that was all.
    ///
    /// # Errors
    ///
    /// None: the room is looked at first.
    pub(crate) fn tell(&mut self, out: &mut Buffer) -> Result<bool> {
        while out.room() >= size_of::<P>() {
            let mut told = self.told;
            let part = take(self.table(), &mut told);
            self.told = told;
            match part {
                Some(part) => part.tell(out)?,
                None => return Ok(true),
            }
        }
        Ok(false)
    }
}
