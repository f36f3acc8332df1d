// SPDX-License-Identifier: GPL-2.0
//! Things to do when the current system call is over.
//!
//! Some facts become true only after a callback of ours returned: a mapping, for example, can be
//! found by others only when `mmap` has entered it everywhere. [`after_call`] drops a value at that
//! time. It leans on how the kernel closes files: the last reference to a file that is given up
//! within a system call is taken care of when the task is about to leave the kernel. So the value is
//! put into a file that nobody else knows and that is given up at once. The file names this module
//! as its owner, which keeps the module loaded until the value is dropped.

use crate::sys;
use core::marker::PhantomData;
use kernel::{bindings, error::from_err_ptr, prelude::*, types::ForeignOwnable};

/// Drops `value` when the current task has left its system call, or soon after its end.
///
/// # Errors
///
/// [`ENOMEM`] or [`ENFILE`]; `value` is dropped at once then.
pub fn after_call<T: Send + 'static>(value: KBox<T>) -> Result {
    let value = value.into_foreign();
    // SAFETY: The name and the operations outlive the file, and `value` stays until `release`.
    let file = from_err_ptr(unsafe {
        sys::anon_inode_getfile(c"[after_call]".as_char_ptr(), Calls::<T>::OPS, value, 0)
    });
    match file {
        Ok(file) => {
            // SAFETY: The reference is the one that was just made.
            unsafe { bindings::fput(file) };
            Ok(())
        }
        Err(error) => {
            // SAFETY: It came out of `into_foreign` above, and no file has it.
            drop(unsafe { KBox::<T>::from_foreign(value) });
            Err(error)
        }
    }
}

struct Calls<T>(PhantomData<T>);

impl<T: Send + 'static> Calls<T> {
    const OPS: &'static bindings::file_operations = &bindings::file_operations {
        owner: (&raw const bindings::__this_module).cast_mut(),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `file` is one of [`after_call`]'s and is released by the kernel.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `after_call` put the value there, and a file is released once.
        drop(unsafe { KBox::<T>::from_foreign((*file).private_data) });
        0
    }
}
