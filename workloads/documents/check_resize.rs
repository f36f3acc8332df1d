// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's `check_resize`: gives each slot another size, checks it, and clears the slot.

use anyhow::{ensure, Result};
use pagelens::kshram::{self, Slot};

fn main() -> Result<()> {
    let count = Slot::open(0)?.slots()?;
    println!("{count} slots");
    for index in 0..count {
        let slot = Slot::open(index)?;
        let old = slot.size()?;
        // Different for each slot, some of them no whole pages.
        let new = u64::from(index + 2) * 4096 + u64::from(index % 2) * 100;
        slot.resize(new)?;
        ensure!(slot.size()? == new, "kshram{index} has another size");
        let listed = kshram::sizes()?;
        ensure!(
            listed.get(index as usize) == Some(&new),
            "{} does not show it: {listed:?}",
            kshram::LIST
        );
        let memory = slot.map()?;
        memory.fill(0);
        let mut last = [1];
        memory.read(memory.len() - 1, &mut last);
        ensure!(last == [0], "kshram{index} was not cleared");
        println!("kshram{index}: {old} -> {new}");
    }
    Ok(())
}
