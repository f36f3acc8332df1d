// SPDX-License-Identifier: GPL-2.0
//! Records of `abi`, from and to user memory. All of their bytes are fields, as `zerocopy` checks
//! when the records are declared: nothing of the kernel's stack leaks between them.

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    uaccess::{UserPtr, UserSlice},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Reads a record.
///
/// # Errors
///
/// [`EFAULT`].
pub fn read<T: FromBytes + IntoBytes>(address: UserPtr) -> Result<T> {
    let mut record = T::new_zeroed();
    let mut from = UserSlice::new(address, size_of::<T>()).reader();
    from.read_slice(record.as_mut_bytes())?;
    Ok(record)
}

/// Writes a record.
///
/// # Errors
///
/// [`EFAULT`]; part of it may be written.
pub fn write<T: IntoBytes + Immutable>(address: UserPtr, record: &T) -> Result {
    let mut to = UserSlice::new(address, size_of::<T>()).writer();
    to.write_slice(record.as_bytes())
}

/// Reads a record of which `size` bytes are there: what is missing is 0.
///
/// # Errors
///
/// [`E2BIG`] if more is there than the record has, and not all of that is 0, or if it is more than a
/// page; [`EFAULT`].
pub fn read_sized<T: FromBytes + IntoBytes>(address: UserPtr, size: usize) -> Result<T> {
    if size > PAGE_SIZE {
        return Err(E2BIG);
    }
    let mut record = T::new_zeroed();
    let known = size.min(size_of::<T>());
    let mut from = UserSlice::new(address, size).reader();
    from.read_slice(record.as_mut_bytes().get_mut(..known).ok_or(E2BIG)?)?;
    while !from.is_empty() {
        if from.read::<u8>()? != 0 {
            return Err(E2BIG);
        }
    }
    Ok(record)
}

/// Writes the first `size` bytes of a record, or all.
///
/// # Errors
///
/// [`EFAULT`]; part of it may be written.
pub fn write_up_to<T: IntoBytes + Immutable>(address: UserPtr, record: &T, size: usize) -> Result {
    let bytes = record.as_bytes();
    let bytes = bytes.get(..size).unwrap_or(bytes);
    let mut to = UserSlice::new(address, bytes.len()).writer();
    to.write_slice(bytes)
}
