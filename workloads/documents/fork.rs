// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's program under test: `fork`.
//!
//! A global, some heap and some mapped memory are written before a fork and after it, by the
//! child and by the parent. At the end it prints its own `/proc/self/maps`, so that whoever asks
//! for its areas can compare.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use workloads::map::Map;
use workloads::process;

const PAGES: usize = 8;

static GLOBAL: AtomicU64 = AtomicU64::new(1);

fn main() -> Result<()> {
    // From here on nothing may change the areas: buffers are made now.
    let mut maps = vec![0; 1 << 16];
    let mut heap = vec![1_u8; 4 * workloads::map::PAGE];
    let mut map = Map::anonymous(PAGES, false)?;
    map.write_pages(|_, page| page.fill(1));
    let mut write_all = || {
        GLOBAL.fetch_add(1, Ordering::Relaxed);
        black_box(&mut heap).fill(2);
        map.touch_by_writing();
    };
    let child = process::fork(&mut write_all)?;
    write_all();
    process::wait(child)?;

    let mut length = 0;
    let mut file = File::open("/proc/self/maps")?;
    loop {
        match file.read(&mut maps[length..])? {
            0 => break,
            count => length += count,
        }
    }
    rustix::io::write(std::io::stdout(), &maps[..length])?;
    // The runtime would unmap its signal stack first.
    process::end_at_once()
}
