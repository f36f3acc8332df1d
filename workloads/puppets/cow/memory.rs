// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of the steps, and how it is written.

use std::fs::File;

use anyhow::Result;
use rustix::mm::Advice;
use workloads::map::{Map, HUGE_PAGE, PAGE};
use workloads::process::Child;

/// Private memory. If it is warm one page of it was copied, which a child shared.
pub fn private(pages: usize, is_warm: bool) -> Result<Map> {
    let mut map = Map::guarded(pages)?;
    if is_warm {
        fill_first(1, &mut map);
        let child = Child::start(|| {})?;
        fill_first(1, &mut map);
        drop(child);
    }
    Ok(map)
}

/// Written memory that a child shares.
pub fn written_and_forked(pages: usize) -> Result<(Map, Child)> {
    let mut map = Map::guarded(pages)?;
    fill(&mut map);
    let child = Child::start(|| {})?;
    Ok((map, child))
}

pub fn huge(count: usize) -> Result<Map> {
    let mut map = Map::huge(count)?;
    map.advise(Advice::LinuxHugepage)?;
    Ok(map)
}

/// A file of so many pages that are in the page cache.
pub fn file(pages: usize) -> Result<File> {
    let path = format!("/tmp/cow-{}", std::process::id());
    std::fs::write(&path, vec![1; pages * PAGE])?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

pub fn range(map: &Map) -> (usize, usize) {
    (map.address(), map.address() + map.pages() * PAGE)
}

/// Writes to each page without reading it first, which would map the zero page.
pub fn fill(map: &mut Map) {
    fill_first(map.pages(), map);
}

pub fn fill_first(pages: usize, map: &mut Map) {
    map.write_pages(|index, page| {
        if index < pages {
            page[..8].fill(1);
        }
    });
}

/// Writes one byte to each huge page.
pub fn touch_huge(map: &mut Map) {
    touch_part(0, map);
}

/// Writes one byte to a small page of each huge one.
pub fn touch_part(part: usize, map: &mut Map) {
    map.write_pages(|index, page| {
        if index % (HUGE_PAGE / PAGE) == part {
            page[0] = 2;
        }
    });
}
