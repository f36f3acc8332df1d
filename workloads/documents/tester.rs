// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's test program: `tester [--spin] [PAGES [GROUPS]]`.
//!
//! Holds GROUPS times PAGES (by default 1 times 10000) read-only pages that are present:
//! those of the first group are full of 0xFF, of the second of 0xFE, and so on. Then it
//! waits to be killed: asleep or, with `--spin`, in an endless loop as the document's own.

use std::io::Write;

use anyhow::{ensure, Context, Result};
use rustix::mm::MprotectFlags;
use workloads::map::Map;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    let spins = arguments.next_if(|argument| argument == "--spin").is_some();
    let mut numbers = arguments.map(|argument| {
        argument
            .parse::<usize>()
            .with_context(|| format!("`{argument}` is not a number"))
    });
    let pages = numbers.next().transpose()?.unwrap_or(10_000);
    let groups = numbers.next().transpose()?.unwrap_or(1);
    ensure!(
        numbers.next().is_none(),
        "usage: tester [--spin] [PAGES [GROUPS]]"
    );
    ensure!(
        pages > 0 && groups <= 256,
        "at least one page, at most 256 groups"
    );

    for fill in (0..=0xFF).rev().take(groups) {
        read_only_pages(pages, fill)?;
    }
    println!("ready");
    std::io::stdout().flush()?;
    loop {
        match spins {
            true => std::hint::spin_loop(),
            false => std::thread::park(),
        }
    }
}

/// The document's three calls.
fn read_only_pages(pages: usize, fill: u8) -> Result<()> {
    let mut map = Map::anonymous(pages, false)?;
    map.write_pages(|_, page| page.fill(fill));
    map.protect(MprotectFlags::READ)
}
