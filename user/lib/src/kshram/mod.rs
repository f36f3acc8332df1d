// SPDX-License-Identifier: MIT OR Apache-2.0
//! Named shared memory that belongs to the kernel: the devices of module `kshram`.
//!
//! A [`Slot`] is a descriptor of one of them; its [`Mapping`]s outlive it. [`Control`] looks at
//! all slots and does what is not a matter of their contents. Sizes are bytes.

mod control;
#[allow(unsafe_code)] // system calls that take any address
mod ioctl;
#[allow(unsafe_code)] // memory that other processes write to
mod mapping;
#[allow(unsafe_code)] // the C library's functions
mod robust;
mod words;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;

use model::kshram::Line;

use crate::error::{Error, Result};

pub use control::{Control, Description, Info, Sizer};
pub use mapping::{Mapping, ReadMapping};
pub use robust::{Held, RobustMutex};

/// The file that lists all slots and their sizes.
pub const LIST: &str = "/proc/kshram";

/// A descriptor of a slot. It reads, writes and seeks like a file: see [`Slot::file`].
#[derive(Debug)]
pub struct Slot {
    index: u32,
    file: File,
}

impl Slot {
    /// Opens slot `index` for reading and writing.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open(index: u32) -> Result<Self> {
        Self::open_with(index, OpenOptions::new().read(true).write(true))
    }

    /// Opens slot `index` for reading: it can neither be written, nor resized, nor mapped for
    /// writing through this descriptor.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open_read_only(index: u32) -> Result<Self> {
        Self::open_with(index, OpenOptions::new().read(true))
    }

    fn open_with(index: u32, options: &OpenOptions) -> Result<Self> {
        let path = PathBuf::from(format!("/dev/kshram{index}"));
        match options.open(&path) {
            Ok(file) => Ok(Self { index, file }),
            Err(source) => Err(Error::Open { path, source }),
        }
    }

    /// Which slot it is.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The descriptor itself.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How many slots there are.
    ///
    /// # Errors
    /// [`Error::Slot`].
    pub fn slots(&self) -> Result<u32> {
        let slots = ioctl::call(&self.file, abi::kshram::GETSLOTS, 0);
        slots.map_err(|source| self.error("count the slots of", source))
    }

    /// Its size.
    ///
    /// # Errors
    /// [`Error::Slot`].
    pub fn size(&self) -> Result<u64> {
        let size = ioctl::call(&self.file, abi::kshram::GETSIZE, 0);
        let size = size.map_err(|source| self.error("ask for the size of", source))?;
        Ok(size.into())
    }

    /// Changes the size. What the old and the new size have in common stays; the rest is zero.
    ///
    /// # Errors
    /// [`Error::Slot`] with `EINVAL` for 0; `ENOSPC` beyond the module's `max_bytes` or half of the
    /// machine's memory; `ENOMEM`; `EBUSY` if somebody maps more than `size`; `EPERM` if the size
    /// is sealed; `EBADF` through a read-only descriptor.
    pub fn resize(&self, size: u64) -> Result<()> {
        self.set_size(abi::kshram::SETSIZE, size)
    }

    /// As [`Slot::resize`], but whoever maps more than `size` gets SIGBUS there.
    ///
    /// # Errors
    /// As [`Slot::resize`], without `EBUSY`.
    pub fn resize_by_force(&self, size: u64) -> Result<()> {
        self.set_size(abi::kshram::FORCE_SHRINK, size)
    }

    fn set_size(&self, command: u32, size: u64) -> Result<()> {
        match ioctl::call(&self.file, command, size) {
            Ok(_) => Ok(()),
            Err(source) => Err(self.error("resize", source)),
        }
    }

    /// Maps all of it for reading and writing.
    ///
    /// # Errors
    /// [`Error::Slot`].
    pub fn map(&self) -> Result<Mapping> {
        self.map_range(0, self.size()?)
    }

    /// Maps `length` bytes from `offset` on, a multiple of the page size, for reading and writing.
    ///
    /// # Errors
    /// [`Error::Slot`] with `EINVAL` if the slot has not that many pages, or `EACCES` through a
    /// read-only descriptor.
    pub fn map_range(&self, offset: u64, length: u64) -> Result<Mapping> {
        Mapping::new(&self.file, offset, length).map_err(|source| self.error("map", source))
    }

    /// As [`Slot::map_range`], for reading alone.
    ///
    /// # Errors
    /// As [`Slot::map_range`], without `EACCES`.
    pub fn map_range_read_only(&self, offset: u64, length: u64) -> Result<ReadMapping> {
        ReadMapping::new(&self.file, offset, length).map_err(|source| self.error("map", source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Slot {
            action,
            index: self.index,
            source,
        }
    }
}

/// The sizes of all slots, as `/proc/kshram` lists them.
///
/// # Errors
/// [`Error::Open`], or [`Error::Answer`] if the file has another form than documented.
pub fn sizes() -> Result<Vec<u64>> {
    let text = fs::read_to_string(LIST).map_err(|source| Error::Open {
        path: LIST.into(),
        source,
    })?;
    let parse = |(index, line): (usize, &str)| match Line::parse(line) {
        Some(parsed) if parsed.index as usize == index => Ok(parsed.size),
        _ => Err(Error::Answer {
            line: line.to_owned(),
            why: "expected `INDEX: SIZE`, in order",
        }),
    };
    text.lines().enumerate().map(parse).collect()
}
