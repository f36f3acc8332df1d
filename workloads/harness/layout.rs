// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking `vm_layout`.

use pagelens::layout::{Question, Report};

/// Where the lab's guest has the module.
pub const VM_LAYOUT: &str = "/modules/vm_layout.ko";

/// What the module says of a process.
///
/// # Errors
/// As [`Question::ask`].
pub fn layout_of(pid: u32) -> pagelens::Result<Report> {
    Question::of(pid).ask(VM_LAYOUT)
}
