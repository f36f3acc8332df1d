// SPDX-License-Identifier: GPL-2.0
//! Device nodes, the memory of the kernel's that they give to processes, and the answers.

pub mod after;
pub mod device;
pub mod mount;
pub mod poll;
pub mod shmem;
pub mod stream;
mod sys;
