// SPDX-License-Identifier: MIT OR Apache-2.0
//! What starts programs with known memory and looks after them, and what these are made of.
//!
//! The programs are this package's binaries: small, static, found in `PATH` inside the
//! guest. Each prints `ready` once its memory is as asked, and ends with its caller. Those in
//! `documents/` are asked for by the documents, those in `puppets/` do what a test wants.
//! This library is for whoever runs them there (the tests, the benches, the tour), and for them.

mod errno;
mod ksm;
mod layout;
pub mod map;
pub mod memuse;
pub mod message;
pub mod module;
pub mod mute;
pub mod process;
mod random;
mod running;
mod setting;
mod steps;
pub mod taskstats;
pub mod uffd;

pub use errno::errno;
pub use ksm::Ksm;
pub use layout::{layout_of, VM_LAYOUT};
pub use module::Module;
pub use pagelens::KernelLog;
pub use random::{random, Rng};
pub use running::{Running, Workload};
pub use setting::SysSetting;
pub use steps::follow_steps;

/// Prints a line at once: whoever runs the program waits for it.
///
/// # Errors
/// If nobody reads it any more.
pub fn say(line: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
