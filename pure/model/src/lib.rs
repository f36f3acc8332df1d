// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What the figures mean: commands, formats, decoding and arithmetic.
//!
//! Built twice from the same text: by cargo for user space and tests, and by Kbuild for the
//! kernel modules. Hence `core` alone, no allocation (callers lend the buffers), no input or
//! output, and no panic on any value that comes from outside.
//!
//! Not for: obtaining the figures (the kernel modules and the `pagelens` library do), or records
//! that cross the kernel's boundary (`abi`).
#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]

pub mod area;
pub mod cow;
pub mod fast_counter;
pub mod generation;
pub mod group;
pub mod ids;
pub mod kshram;
pub mod layout;
pub mod ledger;
pub mod lowest;
pub mod members;
pub mod memory_info;
pub mod memuse;
pub mod pf_stat;
pub mod pte;
pub mod quota;
pub mod ram;
pub mod rw_lock;
pub mod snapshot;
pub mod sort;
pub mod table;
pub mod text;
pub mod word;
