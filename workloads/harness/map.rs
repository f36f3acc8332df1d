// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mappings of the calling process with known contents.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

use anyhow::{ensure, Result};
use rustix::mm::{
    madvise, mmap, mmap_anonymous, mprotect, munmap, Advice, MapFlags, MprotectFlags, ProtFlags,
};

/// Bytes in a page.
pub const PAGE: usize = 4096;
/// Bytes that one entry of the second-lowest page table maps.
pub const HUGE_PAGE: usize = 2 << 20;

/// A mapping that this process owns. It stays until the process ends, or [`Map::unmap`].
///
/// # Invariants
/// `start .. start + length` is a mapping of this process, page-aligned, made by this
/// type and handed out to nobody else; nothing but its methods refers to the memory.
#[derive(Debug)]
pub struct Map {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: By the invariant the mapping belongs to this value alone, and every method that
// changes it takes `&mut self`.
unsafe impl Send for Map {}

impl Map {
    /// Anonymous memory that is readable and writable and not yet touched.
    ///
    /// # Errors
    /// If the kernel has no room for it.
    pub fn anonymous(pages: usize, is_shared: bool) -> Result<Self> {
        let length = pages * PAGE;
        let flags = if is_shared {
            MapFlags::SHARED
        } else {
            MapFlags::PRIVATE
        };
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: Without MAP_FIXED the kernel picks a free range: no memory that anyone
        // refers to is replaced.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, protection, flags)? };
        Self::new(start.cast(), length)
    }

    /// Private anonymous memory between two pages without permissions: its area is merged with no
    /// neighbour's, and what happens in the area happened in this memory.
    ///
    /// # Errors
    /// As [`Map::anonymous`].
    pub fn guarded(pages: usize) -> Result<Self> {
        let whole = Self::anonymous(pages + 2, false)?;
        let length = pages * PAGE;
        // SAFETY: The mapping is two pages longer than `length`: both are within it.
        let (start, last) = unsafe { (whole.start.add(PAGE), whole.start.add(PAGE + length)) };
        for guard in [whole.start, last] {
            // SAFETY: A page of the mapping, which nobody refers to yet.
            unsafe { mprotect(guard.as_ptr().cast(), PAGE, MprotectFlags::empty())? };
        }
        Ok(Self { start, length })
    }

    /// The same as private anonymous memory, the old way: of `/dev/zero`. Each page is written.
    ///
    /// # Errors
    /// As [`Map::anonymous`].
    pub fn zero_device(pages: usize) -> Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/zero")?;
        let (length, flags) = (pages * PAGE, MapFlags::PRIVATE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: As in `anonymous`.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, flags, &device, 0)? };
        let mut map = Self::new(start.cast(), length)?;
        map.touch_by_writing();
        Ok(map)
    }

    /// Private anonymous memory that begins and ends at multiples of [`HUGE_PAGE`].
    ///
    /// # Errors
    /// As [`Map::anonymous`].
    pub fn huge(count: usize) -> Result<Self> {
        let map = Self::anonymous((count + 1) * (HUGE_PAGE / PAGE), false)?;
        let skip = map.start.align_offset(HUGE_PAGE);
        ensure!(skip < HUGE_PAGE, "the mapping cannot be aligned");
        let length = count * HUGE_PAGE;
        // SAFETY: `skip` is less than HUGE_PAGE and the mapping is one HUGE_PAGE longer
        // than `length`: the result is within it.
        let start = unsafe { map.start.add(skip) };
        Ok(Self { start, length })
    }

    /// Private memory of `count` huge pages from the kernel's pool.
    ///
    /// # Errors
    /// If the pool (`/proc/sys/vm/nr_hugepages`) has not so many.
    pub fn hugetlb(count: usize) -> Result<Self> {
        let length = count * HUGE_PAGE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::HUGETLB;
        // SAFETY: As in `anonymous`.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, protection, flags)? };
        Self::new(start.cast(), length)
    }

    /// A private, read-only mapping of a whole file.
    ///
    /// # Errors
    /// If the file is empty or cannot be mapped.
    pub fn file(file: &File) -> Result<Self> {
        let length = (file.metadata()?.len() as usize).next_multiple_of(PAGE);
        // SAFETY: As in `anonymous`.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                file,
                0,
            )?
        };
        Self::new(start.cast(), length)
    }

    /// A shared, writable mapping of a whole file that is open for both.
    ///
    /// # Errors
    /// If the file is empty or cannot be mapped.
    pub fn shared_file(file: &File) -> Result<Self> {
        Self::shared(file, (file.metadata()?.len() as usize).div_ceil(PAGE))
    }

    /// A shared, writable mapping of the first pages of a file or device that is open for both.
    ///
    /// # Errors
    /// If it cannot be mapped.
    pub fn shared(file: &File, pages: usize) -> Result<Self> {
        let length = pages * PAGE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: As in `anonymous`.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                protection,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        Self::new(start.cast(), length)
    }

    fn new(start: *mut u8, length: usize) -> Result<Self> {
        let start = NonNull::new(start);
        ensure!(start.is_some(), "the kernel mapped address 0");
        Ok(Self {
            start: start.unwrap_or(NonNull::dangling()),
            length,
        })
    }

    /// Its pages.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.length / PAGE
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> usize {
        self.start.as_ptr() as usize
    }

    /// Calls `write` with each page of a writable mapping.
    pub fn write_pages(&mut self, mut write: impl FnMut(usize, &mut [u8])) {
        for index in 0..self.pages() {
            // SAFETY: The page is within the mapping, and by the invariant and `&mut self`
            // nobody else refers to it.
            let page = unsafe {
                std::slice::from_raw_parts_mut(self.start.as_ptr().add(index * PAGE), PAGE)
            };
            write(index, page);
        }
    }

    /// Has the kernel read the last `pages` pages as it reads another process's memory: it pins them,
    /// and gives this process its own ones for that.
    ///
    /// # Errors
    /// If the kernel does not.
    pub fn read_pinned(&self, pages: usize) -> Result<()> {
        let length = pages * PAGE;
        ensure!(length <= self.length, "the mapping is shorter");
        let mut copy = vec![0_u8; length];
        let to = libc::iovec {
            iov_base: copy.as_mut_ptr().cast(),
            iov_len: length,
        };
        let from = libc::iovec {
            // SAFETY: Within the mapping, as its length shows.
            iov_base: unsafe { self.start.as_ptr().add(self.length - length) }.cast(),
            iov_len: length,
        };
        // SAFETY: Both ranges are readable or writable memory of this process, and the first is
        // nobody else's.
        let read = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
        ensure!(
            usize::try_from(read) == Ok(length),
            "read {read} of {length} bytes"
        );
        Ok(())
    }

    /// A private mapping of a whole file that can be written to without changing the file.
    ///
    /// # Errors
    /// As [`Map::file`].
    pub fn private_file(file: &File) -> Result<Self> {
        let mut map = Self::file(file)?;
        map.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
        Ok(map)
    }

    /// A writable mapping in so many parts of nearly equal length, each whole pages.
    pub fn parts(&mut self, count: usize) -> impl Iterator<Item = &mut [u8]> {
        let length = self.pages().div_ceil(count.max(1)).max(1) * PAGE;
        // SAFETY: The mapping is readable and writable, and by the invariant and `&mut self`
        // nobody else refers to it.
        let whole = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) };
        whole.chunks_mut(length)
    }

    /// Writes each page's first byte back to it, as a write the compiler keeps.
    pub fn touch_by_writing(&mut self) {
        for index in 0..self.pages() {
            // SAFETY: The address is within the mapping, and nobody else refers to it.
            unsafe {
                let byte = self.start.as_ptr().add(index * PAGE);
                byte.write_volatile(byte.read_volatile());
            }
        }
    }

    /// Reads a byte of each page of a readable mapping.
    pub fn touch_by_reading(&self) {
        for index in 0..self.pages() {
            // SAFETY: The address is within the mapping.
            unsafe { self.start.as_ptr().add(index * PAGE).read_volatile() };
        }
    }

    /// Writes what `offset` and the end of the mapping have between them to a file, in one call of
    /// `pwrite`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn write_to(&self, file: &File, offset: usize, at: u64) -> io::Result<usize> {
        let (fd, from) = (file.as_raw_fd(), self.address() + offset);
        let length = self.length.saturating_sub(offset);
        // SAFETY: The kernel checks the address, and only reads.
        let done = unsafe { libc::pwrite(fd, from as *const _, length, at as i64) };
        usize::try_from(done).map_err(|_| io::Error::last_os_error())
    }

    /// Fills the mapping with what a descriptor gives, in one call of `read`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn read_from(&mut self, file: &File) -> io::Result<usize> {
        let (fd, to) = (file.as_raw_fd(), self.start.as_ptr().cast());
        // SAFETY: By the invariant and `&mut self` nobody refers to the memory.
        let done = unsafe { libc::read(fd, to, self.length) };
        usize::try_from(done).map_err(|_| io::Error::last_os_error())
    }

    /// `mprotect`. The caller sees to it that what it does next is allowed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn protect(&mut self, protection: MprotectFlags) -> Result<()> {
        // SAFETY: By the invariant nobody refers to the memory whose protection changes.
        unsafe { mprotect(self.start.as_ptr().cast(), self.length, protection)? };
        Ok(())
    }

    /// Takes all permissions from a page.
    ///
    /// # Errors
    /// If the kernel refuses, or the mapping has no such page.
    pub fn forbid_page(&mut self, index: usize) -> Result<()> {
        ensure!(index < self.pages(), "the mapping is shorter");
        // SAFETY: The page is within the mapping; for the rest as in `protect`.
        unsafe {
            let page = self.start.as_ptr().add(index * PAGE);
            mprotect(page.cast(), PAGE, MprotectFlags::empty())?;
        }
        Ok(())
    }

    /// `mprotect` of the first page, the third, the fifth, …
    ///
    /// # Errors
    /// If the kernel refuses, for example because there are too many mappings.
    pub fn protect_every_other(&mut self, protection: MprotectFlags) -> Result<()> {
        for index in (0..self.pages()).step_by(2) {
            // SAFETY: The page is within the mapping; for the rest as in `protect`.
            unsafe {
                let page = self.start.as_ptr().add(index * PAGE);
                mprotect(page.cast(), PAGE, protection)?;
            }
        }
        Ok(())
    }

    /// `mprotect` of one page.
    ///
    /// # Errors
    /// If the kernel refuses, or there is no such page.
    pub fn protect_page(&mut self, index: usize, protection: MprotectFlags) -> Result<()> {
        ensure!(index < self.pages(), "the mapping is shorter");
        // SAFETY: The page is within the mapping; for the rest as in `protect`.
        unsafe {
            mprotect(
                self.start.as_ptr().add(index * PAGE).cast(),
                PAGE,
                protection,
            )?
        };
        Ok(())
    }

    /// Writes to one page of a mapping, which must be writable.
    pub fn write_page(&mut self, index: usize) {
        assert!(index < self.pages(), "the mapping is shorter");
        // SAFETY: The address is within the mapping, and nobody else refers to it.
        unsafe { self.start.as_ptr().add(index * PAGE).write_volatile(1) };
    }

    /// `madvise`. Contents may be lost, as the advice has it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn advise(&mut self, advice: Advice) -> Result<()> {
        // SAFETY: By the invariant nobody refers to the memory, whatever the advice does.
        unsafe { madvise(self.start.as_ptr().cast(), self.length, advice)? };
        Ok(())
    }

    /// Makes the kernel replace small pages by huge ones now.
    ///
    /// # Errors
    /// If it cannot, for example because pages are missing or shared.
    pub fn collapse(&mut self) -> Result<()> {
        let start = self.start.as_ptr().cast();
        // SAFETY: As in `advise`.
        let done = unsafe { libc::madvise(start, self.length, libc::MADV_COLLAPSE) };
        ensure!(done == 0, std::io::Error::last_os_error());
        Ok(())
    }

    /// Gives the memory back.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn unmap(self) -> Result<()> {
        // SAFETY: By the invariant nobody refers to the memory.
        unsafe { munmap(self.start.as_ptr().cast(), self.length)? };
        Ok(())
    }
}
