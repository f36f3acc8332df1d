// SPDX-License-Identifier: GPL-2.0
//! What the `kernel` crate lacks, as safe types.
//!
//! This crate holds mechanism only: how to find processes, pin and walk address spaces, read
//! frames, serve files, take parameters. What the figures mean stands in `model`, and what a
//! module promises its users stands in the module.
//!
//! # Rules of the house
//!
//! - All `unsafe` of the project lives here, each block with the invariant that makes it sound.
//! - A held lock or reference is a value; dropping it releases it.
//! - `sys` declares what the kernel exports but `bindings` does not name; `shim.c` wraps what is
//!   an inline function or a macro in C. Neither holds policy. The other `shim_*.c` are like it, but
//!   for `kx_count_copy`, which also counts what it recognises: see [`till`].
//! - No globals: every module links a copy of its own.

pub mod after;
pub mod charged;
pub mod chunked;
pub mod cow;
pub mod device;
pub mod frame;
pub mod gate;
mod in_use;
pub mod layout;
mod lockless;
pub mod log;
pub mod mm;
pub mod mmset;
pub mod mount;
pub mod param;
pub mod poll;
mod probe;
pub mod procfile;
pub mod rawlock;
pub mod record;
pub mod sched;
pub mod shmem;
mod sys;
pub mod syscall;
pub mod table;
pub mod target;
pub mod task;
mod threads;
pub mod till;
pub mod walk;
pub mod watch;
