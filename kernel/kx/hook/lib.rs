// SPDX-License-Identifier: GPL-2.0
//! Hooks in the kernel's code: at the entry of functions, and at unassigned system calls.

pub mod probe;
mod sys;
pub mod syscall;
