// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes its memory without rest until it is killed: `storm KIND`.
//!
//! | kind | does over and over |
//! |---|---|
//! | `fork` | a child that copies its parent's pages by writing, and ends |
//! | `exec` | a program that ends at once |
//! | `exit` | eight children that fill memory and end at the same time |
//! | `mprotect` | takes and gives back the right to write |
//! | `munmap` | maps, fills and unmaps |
//! | `free` | fills read-only memory little by little, and unmaps it all at once |
//! | `rename` | takes a long name, and one of one letter, `s` |
//! | `collapse` | small pages into huge ones and back |
//! | `kernel` | nothing again: one call that stays in the kernel for long, without sleeping; then it ends |

use std::io::Write;
use std::process::Command;

use anyhow::{bail, Context, Result};
use rustix::mm::{Advice, MprotectFlags};
use workloads::map::Map;
use workloads::process;

const PAGES: usize = 256;
const READ_WRITE: MprotectFlags = MprotectFlags::READ.union(MprotectFlags::WRITE);

fn main() -> Result<()> {
    let kind = std::env::args().nth(1).context("usage: storm KIND")?;
    let round: fn(&mut Map) -> Result<()> = match kind.as_str() {
        "none" => return Ok(()),
        "kernel" => {
            workloads::say("ready")?;
            return process::stay_in_kernel();
        }
        "fork" => fork,
        "exec" => exec,
        "exit" => exit,
        "mprotect" => mprotect,
        "munmap" => munmap,
        "free" => free,
        "rename" => rename,
        "collapse" => collapse,
        _ => bail!("unknown kind `{kind}`"),
    };
    let mut map = if kind == "collapse" {
        Map::huge(1)?
    } else {
        Map::anonymous(PAGES, false)?
    };
    map.write_pages(|_, page| page.fill(0xFF));
    println!("ready");
    std::io::stdout().flush()?;
    loop {
        round(&mut map)?;
    }
}

fn fork(map: &mut Map) -> Result<()> {
    process::wait(process::fork(|| map.touch_by_writing())?)
}

fn exec(_: &mut Map) -> Result<()> {
    Command::new("/proc/self/exe").arg("none").status()?;
    Ok(())
}

fn exit(map: &mut Map) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..8 {
        children.push(process::fork(|| {
            map.write_pages(|_, page| page.fill(0x11))
        })?);
    }
    children.into_iter().try_for_each(process::wait)
}

fn mprotect(map: &mut Map) -> Result<()> {
    map.protect(MprotectFlags::READ)?;
    map.touch_by_reading();
    map.protect(READ_WRITE)?;
    map.touch_by_writing();
    Ok(())
}

fn munmap(_: &mut Map) -> Result<()> {
    read_only()?.unmap()
}

fn free(_: &mut Map) -> Result<()> {
    let maps: Result<Vec<Map>> = (0..64).map(|_| read_only()).collect();
    maps?.into_iter().try_for_each(Map::unmap)
}

fn read_only() -> Result<Map> {
    let mut map = Map::anonymous(PAGES, false)?;
    map.write_pages(|_, page| page.fill(0xAA));
    map.protect(MprotectFlags::READ)?;
    Ok(map)
}

fn rename(_: &mut Map) -> Result<()> {
    for name in [c"storm-and-rename", c"s"] {
        rustix::thread::set_name(name)?;
    }
    Ok(())
}

fn collapse(map: &mut Map) -> Result<()> {
    map.advise(Advice::LinuxDontNeed)?; // frees the huge page and its table
    map.advise(Advice::LinuxNoHugepage)?;
    map.write_pages(|_, page| page.fill(0x55));
    map.protect(MprotectFlags::READ)?;
    map.advise(Advice::LinuxHugepage)?;
    // Memory may be too fragmented for a huge page just now: the next round tries again.
    let _ = map.collapse();
    map.protect(READ_WRITE)
}
