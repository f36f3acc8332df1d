// SPDX-License-Identifier: GPL-2.0
//! Device nodes, and the memory of the kernel's that they give to processes.

pub mod after;
pub mod device;
pub mod mount;
pub mod poll;
pub mod shmem;
mod sys;
