// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps that leave no child.

use std::time::Duration;

use anyhow::{bail, ensure, Result};
use rustix::mm::{Advice, MprotectFlags};
use workloads::map::Map;
use workloads::process::Child;
use workloads::uffd::WriteProtected;
use workloads::Ksm;

use crate::memory::{file, fill, huge, private, touch_huge, touch_part};

/// Does one, and returns the memory in which the faults happened.
pub fn alone(kind: &str, count: usize, is_warm: bool) -> Result<Map> {
    let mut map = prepared(kind, count, is_warm)?;
    match kind {
        "zero" | "file-read" | "file-first" | "shared" => fill(&mut map),
        "huge-zero" => touch_huge(&mut map),
        "soft" | "shared-soft" => {
            std::fs::write("/proc/self/clear_refs", "4")?;
            fill(&mut map);
        }
        "protect" => {
            map.protect(MprotectFlags::READ)?;
            map.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
            fill(&mut map);
        }
        "uffd" => WriteProtected::new(&map)?.while_written(|| fill(&mut map))?,
        "ksm" => unmerge(&mut map)?,
        _ => shared_for_a_while(kind, count, &mut map)?,
    }
    Ok(map)
}

/// Memory of the step's kind, touched as it is before the step's own faults.
fn prepared(kind: &str, count: usize, is_warm: bool) -> Result<Map> {
    let mut map = match kind {
        "file-read" | "file-first" => Map::private_file(&file(count)?)?,
        "shared" | "shared-soft" => Map::anonymous(count, true)?,
        "huge-parent" | "huge-zero" | "huge-parts" | "swapped" => huge(count)?,
        _ => private(count, is_warm)?,
    };
    match kind {
        "zero" | "file-read" | "huge-zero" | "shared" => map.touch_by_reading(),
        "file-first" => {}
        "ksm" => map.write_pages(|_, page| page.fill(0x5A)),
        _ => fill(&mut map),
    }
    Ok(map)
}

/// The steps in which a child shares the memory and ends before the last write.
fn shared_for_a_while(kind: &str, count: usize, map: &mut Map) -> Result<()> {
    match kind {
        "parent-writes" => {
            drop(Child::start(|| {})?);
            fill(map);
        }
        "huge-parent" => {
            drop(Child::start(|| {})?);
            touch_huge(map);
        }
        "huge-parts" => {
            let child = Child::start(|| {})?;
            // Not the first one, which would be the head of what is left.
            touch_part(1, map);
            drop(child);
            fill(map);
        }
        "swapped" => {
            map.advise(Advice::LinuxPageOut)?;
            let child = Child::start(|| {})?;
            map.touch_by_reading();
            drop(child);
            fill(map);
        }
        "pinned" => {
            let child = Child::start(|| {})?;
            map.read_pinned(count / 2)?;
            drop(child);
            fill(map);
        }
        _ => bail!("unknown step `{kind}`"),
    }
    Ok(())
}

fn unmerge(map: &mut Map) -> Result<()> {
    map.advise(Advice::LinuxMergeable)?;
    let ksm = Ksm::run()?;
    let first = ksm.scans()?;
    while ksm.scans()? < first + 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    ensure!(ksm.merged()?.0 > 0, "KSM merged nothing");
    map.advise(Advice::LinuxUnmergeable)
}
