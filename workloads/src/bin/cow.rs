// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes exactly known copy-on-write faults: `cow`, then steps on standard input, one a line.
//!
//! It prints `ready`; each step is answered by `ok START END CHILD`: the addresses in which the
//! faults happened and the pid of a child that still lives, or 0. Children live until the next
//! step. It ends at the end of its input. N counts small pages, or huge ones where it says so.
//!
//! | step | faults |
//! |---|---|
//! | `child-writes N` | memory written, fork, the child writes: N copies |
//! | `parent-writes N` | memory written, fork, the child ends, then writes: N take-overs |
//! | `zero N` | read, then written: N fillings |
//! | `file-read N` | private file, read, then written: N copies |
//! | `file-first N` | private file, written at once: N first writes |
//! | `shared N` | shared memory, read, then written: none |
//! | `shared-soft N` | the same, written after soft-dirty was cleared: none |
//! | `soft N` | private memory, written after soft-dirty was cleared: none |
//! | `protect N` | private memory, made read-only and writable again, written: none |
//! | `uffd N` | private memory, written while a userfaultfd protects it: none |
//! | `ksm N` | equal memory, merged, then unmerged: none |
//! | `huge N` | N huge pages, fork, the child writes a byte of each: N splits, N copies |
//! | `huge-parent N` | N huge pages, fork, the child ends, then writes: N take-overs |
//! | `huge-zero N` | N huge pages, read, then written: N fillings |
//! | `hold N` | memory written, fork, nobody writes: none |
//! | `write` | writes to the memory of the last `hold` |
//! | `grow N` | as `child-writes`, but then unmaps the memory |
//! | `threads N T R` | R times: fork, T threads write N pages together: N times R copies |
//! | `time N R` | R times: fork, write N pages; END is the least time of a round's writes in ns |
//! | `areas N` | makes N areas that cannot be merged: none |

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::mm::{Advice, MprotectFlags};
use workloads::map::{Map, HUGE_PAGE, PAGE};
use workloads::process::Child;
use workloads::uffd::WriteProtected;
use workloads::Ksm;

fn main() -> Result<()> {
    let mut cow = Cow::default();
    workloads::follow_steps(|step| {
        let (start, end) = cow.step(step)?;
        let child = cow.child.as_ref().map_or(0, Child::pid);
        Ok(Some(format!("{start} {end} {child}")))
    })
}

#[derive(Default)]
struct Cow {
    maps: Vec<Map>,
    child: Option<Child>,
}

impl Cow {
    fn step(&mut self, step: &str) -> Result<(usize, usize)> {
        let words: Vec<&str> = step.split(' ').collect();
        let number = |at: usize| -> Result<usize> {
            let word = words
                .get(at)
                .with_context(|| format!("`{step}` is short"))?;
            Ok(word.parse()?)
        };
        if words[0] == "write" {
            let map = self.maps.last_mut().context("nothing is held")?;
            fill(map);
            return Ok(range(map));
        }
        self.child = None;
        let map = match words[0] {
            "threads" => threads(number(1)?, number(2)?, number(3)?)?,
            "areas" => return self.areas(number(1)?),
            "time" => return Ok((0, time(number(1)?, number(2)?)?)),
            "grow" => {
                let (mut map, child) = written_and_forked(number(1)?)?;
                fill(&mut map);
                drop(child);
                let range = range(&map);
                map.unmap()?;
                return Ok(range);
            }
            "child-writes" => self.child_writes(Map::guarded(number(1)?)?)?,
            "huge" => self.child_writes_huge(number(1)?)?,
            "hold" => {
                let (map, child) = written_and_forked(number(1)?)?;
                self.child = Some(child);
                map
            }
            kind => alone(kind, number(1)?)?,
        };
        let range = range(&map);
        self.maps.push(map);
        Ok(range)
    }

    fn child_writes(&mut self, mut map: Map) -> Result<Map> {
        fill(&mut map);
        self.child = Some(Child::start(|| fill(&mut map))?);
        Ok(map)
    }

    fn child_writes_huge(&mut self, count: usize) -> Result<Map> {
        let mut map = huge(count)?;
        fill(&mut map);
        self.child = Some(Child::start(|| touch_huge(&mut map))?);
        Ok(map)
    }

    fn areas(&mut self, count: usize) -> Result<(usize, usize)> {
        // Every other page is made read-only, so that no two neighbours can be merged.
        for index in 0..count {
            let mut map = Map::anonymous(1, false)?;
            if index % 2 == 0 {
                map.protect(MprotectFlags::READ)?;
            }
            self.maps.push(map);
        }
        Ok((0, 0))
    }
}

fn range(map: &Map) -> (usize, usize) {
    (map.address(), map.address() + map.pages() * PAGE)
}

/// Written memory that a child shares.
fn written_and_forked(pages: usize) -> Result<(Map, Child)> {
    let mut map = Map::guarded(pages)?;
    fill(&mut map);
    let child = Child::start(|| {})?;
    Ok((map, child))
}

fn huge(count: usize) -> Result<Map> {
    let mut map = Map::huge(count)?;
    map.advise(Advice::LinuxHugepage)?;
    Ok(map)
}

/// Writes to each page without reading it first, which would map the zero page.
fn fill(map: &mut Map) {
    map.write_pages(|_, page| page[..8].fill(1));
}

/// Writes one byte to each huge page.
fn touch_huge(map: &mut Map) {
    map.write_pages(|index, page| {
        if index % (HUGE_PAGE / PAGE) == 0 {
            page[0] = 2;
        }
    });
}

/// The steps that leave no child.
fn alone(kind: &str, count: usize) -> Result<Map> {
    let mut map = match kind {
        "file-read" | "file-first" => Map::private_file(&file(count)?)?,
        "shared" | "shared-soft" => Map::anonymous(count, true)?,
        "huge-parent" | "huge-zero" => huge(count)?,
        _ => Map::guarded(count)?,
    };
    match kind {
        "zero" | "file-read" | "huge-zero" | "shared" => map.touch_by_reading(),
        "file-first" => {}
        "ksm" => map.write_pages(|_, page| page.fill(0x5A)),
        _ => fill(&mut map),
    }
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
        "parent-writes" => {
            drop(Child::start(|| {})?);
            fill(&mut map);
        }
        "huge-parent" => {
            drop(Child::start(|| {})?);
            touch_huge(&mut map);
        }
        "uffd" => WriteProtected::new(&map)?.while_written(|| fill(&mut map))?,
        "ksm" => unmerge(&mut map)?,
        _ => bail!("unknown step `{kind}`"),
    }
    Ok(map)
}

/// A file of so many pages that are in the page cache.
fn file(pages: usize) -> Result<File> {
    let path = format!("/tmp/cow-{}", std::process::id());
    std::fs::write(&path, vec![1; pages * PAGE])?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn unmerge(map: &mut Map) -> Result<()> {
    map.advise(Advice::LinuxMergeable)?;
    let ksm = Ksm::run()?;
    let first = ksm.scans()?;
    while ksm.scans()? < first + 3 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    ensure!(ksm.merged()?.0 > 0, "KSM merged nothing");
    map.advise(Advice::LinuxUnmergeable)
}

/// How long the forced copies of a round take at least, in nanoseconds.
fn time(pages: usize, rounds: usize) -> Result<usize> {
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

fn threads(pages: usize, threads: usize, rounds: usize) -> Result<Map> {
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
