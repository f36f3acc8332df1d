// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that other processes read and write too.

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

/// A mapping of a slot. It stays until it is dropped, whether the slot is closed or the module
/// unloaded, and a fork inherits it.
///
/// Other processes may change the memory at any time, so there is no slice of it: copy in and out,
/// or use atomics. If somebody resizes the slot by force below what is mapped here, accesses beyond
/// its new end raise SIGBUS.
///
/// # Invariants
/// `start .. start + length` is a mapping that this value owns; nothing but raw pointers and atomics
/// refer to its memory.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: The memory is accessed by atomics and by copies whose races the documentation leaves to
// the caller, as with any memory that other processes share.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps part of any file that can be shared: a slot ([`super::Slot::map`] is simpler), or a
    /// memfd to compare with.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn new(file: &File, offset: u64, length: u64, is_writable: bool) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let protection = match is_writable {
            true => ProtFlags::READ | ProtFlags::WRITE,
            false => ProtFlags::READ,
        };
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
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Copies from the memory. What others write meanwhile may be seen in part.
    ///
    /// # Panics
    /// If the range is not within the mapping.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        let from = self.at(offset, to.len());
        // SAFETY: `at` checked the range, and `to` is memory of its own.
        unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    /// Copies into the memory, which must be mapped for writing.
    ///
    /// # Panics
    /// If the range is not within the mapping.
    pub fn write(&self, offset: usize, from: &[u8]) {
        let to = self.at(offset, from.len());
        // SAFETY: `at` checked the range, and `from` is memory of its own.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }

    /// Sets all of it, which must be mapped for writing, to one byte.
    pub fn fill(&self, byte: u8) {
        // SAFETY: By the invariant the range is a mapping of ours.
        unsafe { ptr::write_bytes(self.start.as_ptr(), byte, self.length) };
    }

    /// A number in the memory that processes may wait for and change together.
    ///
    /// # Panics
    /// If it is not within the mapping, or `offset` is no multiple of 4.
    #[must_use]
    pub fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        let at = self.at(offset, size_of::<AtomicU32>()).cast::<u32>();
        assert!(at.is_aligned(), "{offset} is no multiple of 4");
        // SAFETY: It is within the mapping and aligned, and others access it by atomics too, or by
        // copies that the documentation leaves to the caller.
        unsafe { AtomicU32::from_ptr(at) }
    }

    /// As [`Mapping::atomic_u32`], at a multiple of 8.
    ///
    /// # Panics
    /// As [`Mapping::atomic_u32`].
    #[must_use]
    pub fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        let at = self.at(offset, size_of::<AtomicU64>()).cast::<u64>();
        assert!(at.is_aligned(), "{offset} is no multiple of 8");
        // SAFETY: As in `atomic_u32`.
        unsafe { AtomicU64::from_ptr(at) }
    }

    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length),
            "{length} bytes at {offset} are not within a mapping of {}",
            self.length
        );
        // SAFETY: Checked just above.
        unsafe { self.start.as_ptr().add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the invariant nobody refers to the memory any more. It cannot fail for a range
        // that was mapped as a whole, and would leave it mapped if it did.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
