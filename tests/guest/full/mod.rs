// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests with real programs, which only the full guest has. The lab runs those whose name begins
//! with `full::` there.

mod bpftrace;
mod redis;
