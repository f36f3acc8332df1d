// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes to pages that a child shares, in rounds: by one thread or several, to one area or many.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::mm::{Advice, MprotectFlags};
use workloads::map::{Map, PAGE};
use workloads::process::Child;

use crate::memory::fill;

/// How long the forced copies of a round take at least, in nanoseconds.
pub fn time(pages: usize, rounds: usize) -> Result<usize> {
    let mut map = Map::guarded(pages)?;
    map.advise(Advice::LinuxNoHugepage)?;
    fill(&mut map);
    let mut least = Duration::MAX;
    for _ in 0..rounds {
        let child = Child::start(|| {})?;
        let start = Instant::now();
        fill(&mut map);
        least = least.min(start.elapsed());
        drop(child);
    }
    map.unmap()?;
    Ok(usize::try_from(least.as_nanos())?)
}

pub fn threads(pages: usize, threads: usize, rounds: usize) -> Result<Map> {
    let mut map = Map::guarded(pages)?;
    fill(&mut map);
    for _ in 0..rounds {
        let child = Child::start(|| {})?;
        std::thread::scope(|scope| {
            for part in map.parts(threads) {
                scope.spawn(move || {
                    for page in part.chunks_mut(PAGE) {
                        page[0] = page[0].wrapping_add(1);
                    }
                });
            }
        });
        drop(child);
    }
    Ok(map)
}

/// Each thread writes its part of each area.
pub fn teams(areas: usize, pages: usize, threads: usize, rounds: usize) -> Result<usize> {
    let maps = (0..areas).map(|_| Map::guarded(pages));
    let mut maps: Vec<Map> = maps.collect::<Result<_>>()?;
    maps.iter_mut().for_each(fill);
    let mut least = Duration::MAX;
    for _ in 0..rounds {
        let child = Child::start(|| {})?;
        let mut shares: Vec<Vec<&mut [u8]>> = (0..threads).map(|_| Vec::new()).collect();
        for map in &mut maps {
            for (share, part) in shares.iter_mut().zip(map.parts(threads)) {
                share.push(part);
            }
        }
        let start = Instant::now();
        std::thread::scope(|scope| {
            for share in shares {
                scope.spawn(move || write_by_turns(share));
            }
        });
        least = least.min(start.elapsed());
        drop(child);
    }
    maps.into_iter().try_for_each(Map::unmap)?;
    Ok(usize::try_from(least.as_nanos())?)
}

/// Writes a page of each part, then the next one of each.
fn write_by_turns(mut parts: Vec<&mut [u8]>) {
    let pages = parts.first().map_or(0, |part| part.len() / PAGE);
    for page in 0..pages {
        for part in &mut parts {
            if let Some(byte) = part.get_mut(page * PAGE) {
                *byte = byte.wrapping_add(1);
            }
        }
    }
}

pub fn scattered(areas: usize, rounds: usize) -> Result<Map> {
    let mut map = Map::guarded(2 * areas)?;
    map.protect_every_other(MprotectFlags::READ)?;
    let mut write = || {
        map.write_pages(|index, page| {
            if index % 2 == 1 {
                page[0] = 1;
            }
        });
    };
    write();
    for _ in 0..rounds {
        let child = Child::start(|| {})?;
        write();
        drop(child);
    }
    Ok(map)
}

pub fn down(pages: usize) -> Result<Map> {
    let mut map = Map::guarded(pages)?;
    map.protect(MprotectFlags::empty())?;
    for page in (0..pages).rev() {
        map.protect_page(page, MprotectFlags::READ | MprotectFlags::WRITE)?;
        map.write_page(page);
        let child = Child::start(|| {})?;
        map.write_page(page);
        drop(child);
    }
    Ok(map)
}
