// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw system calls: the one place of this crate that needs unsafe code.
#![allow(unsafe_code)]

use std::io;

/// Calls `number` with up to three arguments.
///
/// # Safety
/// The kernel may write to memory that the arguments point to, as the call's document says.
pub(crate) unsafe fn call(number: u32, arguments: [usize; 3]) -> io::Result<usize> {
    let [a, b, c] = arguments;
    // SAFETY: By this function's requirements.
    let result = unsafe { libc::syscall(libc::c_long::from(number), a, b, c) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
