// SPDX-License-Identifier: GPL-2.0
//! Records of `abi`, from and to user memory. All of their bytes are fields, as `zerocopy` checks
//! when the records are declared: nothing of the kernel's stack leaks between them.

use kernel::{
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
