// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that other processes read and write too.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU32;

use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use super::words::{self, WORD};

/// A mapping of a slot for reading. It stays until it is dropped, whether the slot is closed or the
/// module unloaded, and a fork inherits it.
///
/// Others may change the memory at any time, so there is no slice of it: copy it out. If somebody
/// resizes the slot by force below what is mapped here, accesses beyond its new end raise SIGBUS.
///
/// ```
/// use pagelens::kshram::ReadMapping;
///
/// fn first_byte(memory: &ReadMapping) -> u8 {
///     let mut byte = [0];
///     memory.read(0, &mut byte);
///     byte[0]
/// }
/// ```
///
/// What is mapped for reading cannot be written:
///
/// ```compile_fail
/// use pagelens::kshram::ReadMapping;
///
/// fn clear(memory: &ReadMapping) {
///     memory.write(0, &[0]);
/// }
/// ```
///
/// # Invariants
/// The whole pages in which the `length` bytes from `start` on lie are a mapping that this value owns.
/// Safe code accesses its memory by shared references to atomic words of 32 bits alone.
#[derive(Debug)]
pub struct ReadMapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: A mapping belongs to no thread.
unsafe impl Send for ReadMapping {}
// SAFETY: By the invariant all accesses of safe code are atomic and of one size.
unsafe impl Sync for ReadMapping {}

impl ReadMapping {
    /// Maps part of any file that can be shared: a slot ([`super::Slot::map_range_read_only`] is
    /// simpler), or a memfd to compare with.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn new(file: &File, offset: u64, length: u64) -> io::Result<Self> {
        Self::map(file, offset, length, ProtFlags::READ)
    }

    fn map(file: &File, offset: u64, length: u64, protection: ProtFlags) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // SAFETY: Without MAP_FIXED the kernel picks a free range: no memory that anyone refers to
        // is replaced.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Other)?;
        Ok(Self { start, length })
    }

    /// Bytes that were asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never: the kernel refuses empty mappings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The first address.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    /// Copies from the memory. What others write meanwhile may be seen in part.
    ///
    /// # Panics
    /// If the range is not within the mapping.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        self.expect_within(offset, to.len());
        words::read(self.words(), offset, to);
    }

    /// The memory, up to the end of the word in which the last byte lies.
    fn words(&self) -> &[AtomicU32] {
        let start = self.start.as_ptr().cast();
        // SAFETY: By the invariant the words are mapped, readable, and live as long as this value; a
        // page's start is aligned. Any bytes are a word. If the memory is read-only, so is what this
        // type does with the words.
        unsafe { slice::from_raw_parts(start, self.length.div_ceil(WORD)) }
    }

    fn expect_within(&self, offset: usize, length: usize) {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length),
            "{length} bytes at {offset} are not within a mapping of {}",
            self.length
        );
    }
}

impl Drop for ReadMapping {
    fn drop(&mut self) {
        // SAFETY: By the invariant nobody refers to the memory any more. It cannot fail for a range
        // that was mapped as a whole, and would leave it mapped if it did.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A mapping of a slot for reading and writing: a [`ReadMapping`] and more.
///
/// Threads and processes may write to the same bytes at the same time. Then some of each may be what
/// stays; to agree on who writes, use [`Mapping::atomic_u32`], futexes, or locks in the memory.
///
/// # Invariants
/// The mapping is writable.
#[derive(Debug)]
pub struct Mapping(ReadMapping);

impl Mapping {
    /// As [`ReadMapping::new`], for writing too.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn new(file: &File, offset: u64, length: u64) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // INVARIANT: By the protection.
        ReadMapping::map(file, offset, length, protection).map(Self)
    }

    /// The first address.
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.0.start.as_ptr()
    }

    /// Copies into the memory.
    ///
    /// # Panics
    /// If the range is not within the mapping.
    pub fn write(&self, offset: usize, from: &[u8]) {
        self.expect_within(offset, from.len());
        words::write(self.words(), offset, from);
    }

    /// Sets all of it to one byte.
    pub fn fill(&self, byte: u8) {
        words::fill(self.words(), self.len(), byte);
    }

    /// A number in the memory that threads and processes may wait for and change together.
    ///
    /// There is none of 64 bits: a race between accesses of different sizes would be undefined.
    ///
    /// # Panics
    /// If it is not within the mapping, or `offset` is no multiple of 4.
    #[must_use]
    pub fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        self.expect_within(offset, WORD);
        assert!(offset % WORD == 0, "{offset} is no multiple of 4");
        &self.words()[offset / WORD]
    }
}

impl Deref for Mapping {
    type Target = ReadMapping;

    fn deref(&self) -> &ReadMapping {
        &self.0
    }
}
