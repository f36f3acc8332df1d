// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs with known memory, and what starts them.
//!
//! The programs are this package's binaries: small, static, found in `PATH` inside the
//! guest. Each prints `ready` once its memory is as asked, and ends with its caller.
//! This library is for whoever runs them there: the tests, the benches, the tour.

mod guest;
pub mod map;
pub mod process;
mod running;

pub use guest::{Module, SysSetting};
pub use running::Workload;
