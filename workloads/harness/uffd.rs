// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that a userfaultfd protects against writes, or that it leaves without pages.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};

use anyhow::{ensure, Context, Result};
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use crate::map::{Map, PAGE};

// include/uapi/linux/userfaultfd.h
const UFFDIO_API: u64 = 0xC018_AA3F;
const UFFDIO_REGISTER: u64 = 0xC020_AA00;
const UFFDIO_ZEROPAGE: u64 = 0xC020_AA04;
const UFFDIO_WRITEPROTECT: u64 = 0xC018_AA06;
const UFFD_API: u64 = 0xAA;
const FEATURE_PAGEFAULT_FLAG_WP: u64 = 1;
const MODE_MISSING: u64 = 1;
const MODE_WP: u64 = 1 << 1;
const EVENT_PAGEFAULT: u8 = 0x12;
/// Bytes of `struct uffd_msg`, and where its address is.
const MESSAGE: usize = 32;
const MESSAGE_ADDRESS: usize = 16;

/// A userfaultfd that watches one mapping. When it is dropped, whoever waits goes on.
#[derive(Debug)]
struct Watch(File);

impl Watch {
    fn new(map: &Map, features: u64, mode: u64) -> Result<Self> {
        // SAFETY: Takes flags only; the result is a new descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        ensure!(fd >= 0, "userfaultfd: {}", io::Error::last_os_error());
        // SAFETY: The descriptor was just opened and belongs to nobody else.
        let this = Self(unsafe { File::from_raw_fd(i32::try_from(fd)?) });
        let (start, length) = (map.address() as u64, (map.pages() * PAGE) as u64);
        this.ioctl(UFFDIO_API, &mut [UFFD_API, features, 0])?;
        this.ioctl(UFFDIO_REGISTER, &mut [start, length, mode, 0])?;
        Ok(this)
    }

    /// Waits for the next fault, and returns the address of its page.
    fn fault(&self) -> Result<u64> {
        let mut message = [0; MESSAGE];
        (&self.0).read_exact(&mut message)?;
        ensure!(message[0] == EVENT_PAGEFAULT, "event {}", message[0]);
        let address = message[MESSAGE_ADDRESS..MESSAGE_ADDRESS + 8].try_into()?;
        Ok(u64::from_ne_bytes(address) & !(PAGE as u64 - 1))
    }

    fn ioctl(&self, request: u64, argument: &mut [u64]) -> Result<()> {
        // SAFETY: The argument is as long as the request's number says, and changes no memory
        // but itself.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument.as_mut_ptr()) };
        ensure!(done == 0, "{request:#x}: {}", io::Error::last_os_error());
        Ok(())
    }
}

/// A range that is protected; each first write to a page waits until it is let through.
#[derive(Debug)]
pub struct WriteProtected {
    watch: Watch,
    pages: usize,
}

impl WriteProtected {
    /// Protects a mapping.
    ///
    /// # Errors
    /// If the kernel lacks userfaultfd or refuses it.
    pub fn new(map: &Map) -> Result<Self> {
        let watch = Watch::new(map, FEATURE_PAGEFAULT_FLAG_WP, MODE_WP)?;
        let (start, length) = (map.address() as u64, (map.pages() * PAGE) as u64);
        watch.ioctl(UFFDIO_WRITEPROTECT, &mut [start, length, 1])?;
        let pages = map.pages();
        Ok(Self { watch, pages })
    }

    /// Lets each write of `body` through, one page at a time; all pages must be written.
    ///
    /// # Errors
    /// If the kernel says something unexpected.
    pub fn while_written(&self, body: impl FnOnce()) -> Result<()> {
        std::thread::scope(|scope| {
            let server = scope.spawn(|| (0..self.pages).try_for_each(|_| self.let_through()));
            body();
            server.join().ok().context("the server panicked")?
        })
    }

    fn let_through(&self) -> Result<()> {
        self.release(self.wait()?)
    }

    /// Waits until somebody writes, who is then held, and says to which page.
    ///
    /// # Errors
    /// If the kernel says something unexpected.
    pub fn wait(&self) -> Result<u64> {
        self.watch.fault()
    }

    /// Lets the writers to a page go on.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn release(&self, page: u64) -> Result<()> {
        self.watch
            .ioctl(UFFDIO_WRITEPROTECT, &mut [page, PAGE as u64, 0])
    }
}

/// A range without pages: whoever touches one waits until it is provided, or this is dropped.
#[derive(Debug)]
pub struct Missing {
    watch: Watch,
}

impl Missing {
    /// Takes a mapping whose pages were never touched.
    ///
    /// # Errors
    /// If the kernel lacks userfaultfd or refuses it.
    pub fn new(map: &Map) -> Result<Self> {
        let watch = Watch::new(map, 0, MODE_MISSING)?;
        Ok(Self { watch })
    }

    /// Waits until somebody waits for a page; its address.
    ///
    /// # Errors
    /// If nobody does within a minute.
    pub fn wanted(&self) -> Result<u64> {
        let mut ready = [PollFd::new(&self.watch.0, PollFlags::IN)];
        let minute = Timespec {
            tv_sec: 60,
            tv_nsec: 0,
        };
        ensure!(poll(&mut ready, Some(&minute))? == 1, "nobody wants a page");
        self.watch.fault()
    }

    /// Gives a page of zeros.
    ///
    /// # Errors
    /// If it is there already.
    pub fn provide(&self, page: u64) -> Result<()> {
        self.watch
            .ioctl(UFFDIO_ZEROPAGE, &mut [page, PAGE as u64, 0, 0])
    }
}
