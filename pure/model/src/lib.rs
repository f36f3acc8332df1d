// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Placeholder crate documentation.
#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]
