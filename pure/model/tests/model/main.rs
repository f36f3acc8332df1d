// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What the figures mean, tried with values of all kinds. Small enough for Miri.

mod group;
mod ids;
mod lowest;
mod memory_info;
mod memuse;
mod pf_stat;
mod pte;
mod ram;
mod sort;
mod support;
