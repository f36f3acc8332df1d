// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ioctls of `abi::pagelens`.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::ptr;

use abi::pagelens::ram::{Ram, RAM};
use abi::pagelens::{self, SNAPSHOT, VERSION};
use rustix::ioctl::{ioctl, Ioctl, IoctlOutput, Opcode};

/// A command with a record that begins with its size.
struct Sized<'a, T> {
    command: u32,
    record: &'a mut T,
}

// SAFETY: Made by the functions below only, each with the record of its command, whose first field is
// its size; the kernel accesses no more. Any bytes are a valid record.
unsafe impl<T> Ioctl for Sized<'_, T> {
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.command
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::from_mut(self.record).cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(output)
    }
}

/// What the module can do.
pub(super) fn version(device: &File) -> io::Result<pagelens::Version> {
    let mut version = pagelens::Version {
        size: size_of::<pagelens::Version>() as u32,
        ..pagelens::Version::default()
    };
    let record = &mut version;
    let command = VERSION;
    // SAFETY: The command's record, with its size.
    unsafe { ioctl(device, Sized { command, record }) }?;
    Ok(version)
}

/// A descriptor of the answer. `pids` are the ids to which `question` has the address.
pub(super) fn snapshot(
    device: &File,
    mut question: pagelens::Snapshot,
    pids: &[u32],
) -> io::Result<OwnedFd> {
    question.size = size_of::<pagelens::Snapshot>() as u32;
    question.pids = if pids.is_empty() {
        0
    } else {
        pids.as_ptr().expose_provenance() as u64
    };
    question.count = u32::try_from(pids.len()).unwrap_or(u32::MAX);
    let record = &mut question;
    let command = SNAPSHOT;
    // SAFETY: The command's record, with its size; the ids are there during the call and are read only.
    let fd = unsafe { ioctl(device, Sized { command, record }) }?;
    // SAFETY: A descriptor that the kernel has just made for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of a RAM map.
pub(super) fn ram(device: &File, mut question: Ram) -> io::Result<OwnedFd> {
    question.size = size_of::<Ram>() as u32;
    let record = &mut question;
    let command = RAM;
    // SAFETY: The command's record, with its size.
    let fd = unsafe { ioctl(device, Sized { command, record }) }?;
    // SAFETY: A descriptor that the kernel has just made for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
