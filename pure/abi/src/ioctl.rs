// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! How an ioctl number is made: `include/uapi/asm-generic/ioctl.h`, for records whose size fits.

const NONE: u32 = 0;
const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IO`: the argument is a number or nothing.
pub const fn none(kind: u8, number: u8) -> u32 {
    make(NONE, kind, number, 0)
}

/// `_IOR`: the kernel fills in a record.
pub const fn read<T>(kind: u8, number: u8) -> u32 {
    make(READ, kind, number, size_of_record::<T>())
}

/// `_IOW`: the kernel reads a record.
pub const fn write<T>(kind: u8, number: u8) -> u32 {
    make(WRITE, kind, number, size_of_record::<T>())
}

/// `_IOWR`: the kernel reads a record and fills in the rest of it.
pub const fn read_write<T>(kind: u8, number: u8) -> u32 {
    make(READ | WRITE, kind, number, size_of_record::<T>())
}

const fn size_of_record<T>() -> u32 {
    let size = core::mem::size_of::<T>();
    assert!(size < 1 << 14, "an ioctl number has 14 bits for the size");
    size as u32
}

const fn make(direction: u32, kind: u8, number: u8, size: u32) -> u32 {
    direction << 30 | size << 16 | (kind as u32) << 8 | number as u32
}
