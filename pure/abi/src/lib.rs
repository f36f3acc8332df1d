// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Numbers and records that the kernel modules and user programs share.
//!
//! Built twice from the same text: by cargo for user space and by Kbuild for the modules. What
//! stands here crosses the boundary between them, so every record is `#[repr(C)]`, has its size
//! asserted, and never changes its meaning.
//!
//! Not for: what the figures mean (`model`), or how they are obtained.
#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]

pub mod ioctl;
pub mod kshram;
pub mod memuse;
pub mod pagelens;
pub mod pf_stat;
