// SPDX-License-Identifier: GPL-2.0
//! What every other room builds on: memory, locks, the log, the scheduler.
//!
//! # Rules of the house, for all rooms of `kx`
//!
//! - They hold what the `kernel` crate lacks, as safe types: mechanism only. What the figures mean
//!   stands in `model`, and what a module promises its users stands in the module.
//! - All `unsafe` of the project lives here, each block with the invariant that makes it sound.
//! - A held lock or reference is a value; dropping it releases it.
//! - `sys` declares what the kernel exports but `bindings` does not name; `shim.c` wraps what is
//!   an inline function or a macro in C. Neither holds policy.
//! - No globals: every module links a copy of its own of each room that it uses.
//!
//! Who may use whom stands in `shared.kbuild`.

pub mod charged;
pub mod chunked;
pub mod in_use;
pub mod log;
pub mod rawlock;
pub mod record;
pub mod rw_lock;
pub mod sched;
mod sys;
