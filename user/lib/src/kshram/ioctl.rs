// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ioctls of `abi::kshram`.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr;

use rustix::ioctl::{ioctl, Ioctl, IoctlOutput, Opcode};
use zerocopy::{FromBytes, IntoBytes};

/// A command with a number or nothing as its argument.
struct Number {
    command: u32,
    argument: u64,
}

// SAFETY: Commands made by `call` take no pointer, so the kernel accesses no memory of ours.
unsafe impl Ioctl for Number {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        self.command
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::without_provenance_mut(self.argument as usize)
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        // A failure is negative and does not come here.
        Ok(output.unsigned_abs())
    }
}

/// Runs a command of `abi::kshram` whose argument is a number, and returns its answer.
pub(super) fn call(file: &File, command: u32, argument: u64) -> io::Result<u32> {
    assert!(command >> 16 == 0, "the command takes a record");
    let number = Number { command, argument };
    // SAFETY: The command's number says that it takes no record.
    Ok(unsafe { ioctl(file, number)? })
}

/// A command with a record.
struct Record<'a, T> {
    command: u32,
    record: &'a mut T,
}

// SAFETY: The command's number says that its record has the size of `T`, which `exchange` checks.
// Any bytes are a valid `T`.
unsafe impl<T: FromBytes + IntoBytes> Ioctl for Record<'_, T> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.command
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::from_mut(self.record).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Runs a command of `abi::kshram` whose argument is `record`. An address in the record is one of
/// memory that the kernel may write to meanwhile.
pub(super) fn exchange<T: FromBytes + IntoBytes>(
    file: &File,
    command: u32,
    record: &mut T,
) -> io::Result<()> {
    let size = (command >> 16 & 0x3FFF) as usize;
    assert_eq!(size, size_of::<T>(), "the command takes another record");
    let record = Record { command, record };
    // SAFETY: Checked just above.
    unsafe { ioctl(file, record) }.map_err(io::Error::from)
}
