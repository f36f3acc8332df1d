// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file whose file system answers everything but reads.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::thread;

use anyhow::{ensure, Result};

use crate::map::PAGE;

/// As `MuteFile::PATH`.
const PATH: &CStr = c"/tmp/mute";

// include/uapi/linux/fuse.h
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const IN_HEADER: usize = 40;
const ATTR_OUT: usize = 104;
const OPEN_OUT: usize = 16;
const INIT_OUT: usize = 64;
/// More than the kernel ever sends at once here.
const REQUEST: usize = 1 << 20;

const FILE_MODE: u32 = libc::S_IFREG | 0o644;

/// The file. When the value is dropped, those who wait for the file system get an error.
#[derive(Debug)]
pub struct MuteFile(());

impl MuteFile {
    /// Where it is.
    pub const PATH: &str = "/tmp/mute";

    /// Makes it: a page long, and the only one of its file system.
    ///
    /// # Errors
    /// If this kernel has no FUSE.
    pub fn mount() -> Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse")?;
        File::create(Self::PATH)?;
        let options = format!(
            "fd={},rootmode={FILE_MODE:o},user_id=0,group_id=0",
            device.as_raw_fd()
        );
        let options = CString::new(options)?;
        let (source, kind) = (c"mute".as_ptr(), c"fuse".as_ptr());
        // SAFETY: All four are strings.
        let done = unsafe { libc::mount(source, PATH.as_ptr(), kind, 0, options.as_ptr().cast()) };
        ensure!(done == 0, "mounting: {}", io::Error::last_os_error());
        thread::spawn(|| serve(device));
        Ok(Self(()))
    }
}

impl Drop for MuteFile {
    fn drop(&mut self) {
        let flags = libc::MNT_FORCE | libc::MNT_DETACH;
        // SAFETY: A string.
        unsafe { libc::umount2(PATH.as_ptr(), flags) };
    }
}

/// Until the file system is gone.
fn serve(mut device: File) {
    let mut request = vec![0; REQUEST];
    while device.read(&mut request).is_ok_and(|len| len >= IN_HEADER) {
        let operation = u32::from_ne_bytes([request[4], request[5], request[6], request[7]]);
        let mut answer = Vec::new();
        let error = match operation {
            FORGET | BATCH_FORGET | INTERRUPT | READ => continue,
            INIT => {
                answer = words(&[7, 31, 0, 0, 0, PAGE as u32, 1]);
                answer.resize(INIT_OUT, 0);
                0
            }
            GETATTR => {
                answer = attributes();
                0
            }
            OPEN => {
                answer.resize(OPEN_OUT, 0);
                0
            }
            _ => -libc::ENOSYS,
        };
        let length = 16 + answer.len() as u32;
        let mut reply = words(&[length, error as u32]);
        reply.extend_from_slice(&request[8..16]);
        reply.extend_from_slice(&answer);
        let _ = device.write_all(&reply);
    }
}

/// Valid for ever: a regular file of a page, with the number 1.
fn attributes() -> Vec<u8> {
    let mut all = vec![0; ATTR_OUT];
    let mut put = |at: usize, word: u32| all[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    put(0, u32::MAX);
    put(16, 1);
    put(24, PAGE as u32);
    put(76, FILE_MODE);
    put(80, 1);
    put(96, PAGE as u32);
    all
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
