// SPDX-License-Identifier: GPL-2.0
//! Where the kernel keeps the nodes, and who may use them according to that.
//!
//! What a program sees as `/dev` may be anything. Here the nodes are looked up where the kernel made
//! them and where the administrator, or udev, changes their permissions.

use crate::{mount::Mount, sys};
use kernel::{bindings, error::to_result, fs::File, prelude::*};

/// All nodes.
pub struct Registry(Mount);

impl Registry {
    /// Gets access to them.
    ///
    /// # Errors
    ///
    /// As [`Mount::devtmpfs`].
    pub fn new() -> Result<Self> {
        Mount::devtmpfs().map(Self)
    }

    /// Asks whether the current task may open node `index` for writing, which is called `name`, of the
    /// device of which `file` is a node.
    ///
    /// # Errors
    ///
    /// [`EACCES`] if it may not, or if there is no such node any more; [`ENOMEM`].
    pub fn check_writable(&self, file: &File, index: u32, name: &CStr) -> Result {
        // SAFETY: The file is open, so its inode is valid.
        let cdev = unsafe { sys::kx_inode_cdev((*file.as_ptr()).f_inode) };
        // SAFETY: It is NULL, or of the device of an open file. Its number never changes.
        let first = unsafe { cdev.as_ref() }.ok_or(EACCES)?.dev;
        let number: bindings::dev_t = first.checked_add(index).ok_or(EACCES)?;
        // SAFETY: The mount is valid by its invariant; the name is only read.
        let allowed = to_result(unsafe {
            sys::kx_may_write_node(self.0.as_ptr(), name.as_char_ptr(), number)
        });
        allowed.map_err(|error| match error {
            _ if error == ENOENT => EACCES,
            error => error,
        })
    }
}
