// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's `check_msg`: shows the message in `/dev/kshram0` and leaves another.
//!
//! `check_msg [MESSAGE]`; without one, it makes one up.

use anyhow::{ensure, Result};
use pagelens::kshram::Slot;
use workloads::message;

fn main() -> Result<()> {
    let new = std::env::args().nth(1).map_or_else(message::random, Ok)?;
    let memory = Slot::open(0)?.map()?; // the descriptor is closed, the mapping stays
    println!("message: {}", message::read(&memory));
    message::write(&memory, &new)?;
    ensure!(message::read(&memory) == new, "it did not stay");
    println!("now: {new}");
    Ok(())
}
