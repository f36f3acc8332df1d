// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes exactly known copy-on-write faults: `cow`, then steps on standard input, one a line. With
//! `cow --leave NAME` its first thread ends, and another one, of this name, does the steps.
//!
//! It prints `ready`; each step is answered by `ok START END CHILD`: the addresses in which the
//! faults happened and the pid of a child that still lives, or 0. Children live until the next
//! step. It ends at the end of its input. N counts small pages, or huge ones where it says so.
//!
//! | step | faults |
//! |---|---|
//! | `child-writes N` | memory written, fork, the child writes: N copies |
//! | `read-into N` | memory written, fork, then filled by one call of `pread`: N copies, by the kernel |
//! | `parent-writes N` | memory written, fork, the child ends, then writes: N take-overs |
//! | `zero N` | read, then written: N fillings |
//! | `file-read N` | private file, read, then written: N copies |
//! | `file-first N` | private file, written at once: N first writes |
//! | `shared N` | shared memory, read, then written: none |
//! | `shared-soft N` | the same, written after soft-dirty was cleared: none |
//! | `soft N` | private memory, written after soft-dirty was cleared: none |
//! | `protect N` | private memory, made read-only and writable again, written: none |
//! | `uffd N` | private memory, written while a userfaultfd protects it: none |
//! | `uffd-forked N` | memory written, fork, then as `uffd`: N copies |
//! | `ksm N` | equal memory, merged, then unmerged: none |
//! | `huge N` | N huge pages, fork, the child writes a byte of each: N splits, N copies |
//! | `huge-parent N` | N huge pages, fork, the child ends, then writes: N take-overs |
//! | `huge-zero N` | N huge pages, read, then written: N fillings |
//! | `hold N` | memory written, fork, nobody writes: none |
//! | `huge-parts N` | N huge pages, fork, writes a small page of each, the child ends, writes all: N splits, N copies, else take-overs |
//! | `swapped N` | 2 MiB N times, sent to swap, fork, read by the parent, the child ends, then writes: 512 N take-overs |
//! | `pinned N` | memory written, fork, half of it pinned to be read, the child ends, then writes: N/2 take-overs |
//! | `write N` | writes to the first N pages of the last `hold` |
//! | `rename NAME` | takes another name: none |
//! | `grow N` | as `child-writes`, but then unmaps the memory |
//! | `threads N T R` | R times: fork, T threads write N pages together: N times R copies |
//! | `scattered N R` | N areas of a page, with others between; R times: fork, write to them: R copies in each |
//! | `teams A N T R` | A areas of N pages; R times: fork, T threads write them together; END is the least time of a round's writes in ns |
//! | `time N R` | R times: fork, write N pages; END is the least time of a round's writes in ns |
//! | `crowd N P` | P pages written, N forks, each child writes them and stays: N times P copies |
//! | `islands N R` | N areas of a page, each mapped by itself; then as `again R` |
//! | `again R` | R times: fork, write to the islands: R copies in each |
//! | `sink N` | unmaps the last N islands: none |
//! | `down N` | N times: the area grows by the page below; fork, write to that page: N copies |
//! | `areas N` | makes N areas that cannot be merged: none |
//! | `map FILE` | maps a page of the file and leaves it alone: none |
//! | `warm STEP` | for private memory: as STEP, but one page of it was copied before |

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::mm::{Advice, MprotectFlags};
use workloads::map::{Map, HUGE_PAGE, PAGE};
use workloads::process::{self, on_one_cpu, Child};
use workloads::uffd::WriteProtected;
use workloads::Ksm;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("--leave") {
        return follow_steps();
    }
    let name = arguments.next().context("--leave wants a name")?;
    std::thread::Builder::new().name(name).spawn(|| {
        let result = first_thread_ended().and_then(|()| follow_steps());
        std::process::exit(i32::from(result.is_err()));
    })?;
    process::end_this_thread()
}

fn follow_steps() -> Result<()> {
    let mut cow = Cow::default();
    workloads::follow_steps(|step| {
        let (start, end) = cow.step(step)?;
        let child = cow.children.first().map_or(0, Child::pid);
        Ok(Some(format!("{start} {end} {child}")))
    })
}

fn first_thread_ended() -> Result<()> {
    while process::state(std::process::id())? != 'Z' {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[derive(Default)]
struct Cow {
    maps: Vec<Map>,
    children: Vec<Child>,
    islands: Vec<Map>,
}

impl Cow {
    fn step(&mut self, step: &str) -> Result<(usize, usize)> {
        let mut words: Vec<&str> = step.split(' ').collect();
        let is_warm = words[0] == "warm";
        if is_warm {
            words.remove(0);
        }
        let number = |at: usize| -> Result<usize> {
            let word = words
                .get(at)
                .with_context(|| format!("`{step}` is short"))?;
            Ok(word.parse()?)
        };
        if words[0] == "write" {
            let map = self.maps.last_mut().context("nothing is held")?;
            fill_first(number(1)?, map);
            return Ok(range(map));
        }
        if words[0] == "rename" {
            std::fs::write("/proc/self/comm", words[1])?;
            return Ok((0, 0));
        }
        self.children.clear();
        let map = match words[0] {
            "threads" => threads(number(1)?, number(2)?, number(3)?)?,
            "scattered" => scattered(number(1)?, number(2)?)?,
            "areas" => return self.areas(number(1)?),
            "islands" => return self.islands(number(1)?, number(2)?),
            "again" => return self.write_islands(number(1)?),
            "sink" => return self.sink(number(1)?),
            "down" => down(number(1)?)?,
            "map" => Map::private_file(&File::open(words[1])?)?,
            "teams" => {
                let time = teams(number(1)?, number(2)?, number(3)?, number(4)?)?;
                return Ok((0, time));
            }
            "time" => return Ok((0, time(number(1)?, number(2)?)?)),
            "grow" => {
                let (mut map, child) = written_and_forked(number(1)?)?;
                fill(&mut map);
                drop(child);
                let range = range(&map);
                map.unmap()?;
                return Ok(range);
            }
            "child-writes" => self.child_writes(private(number(1)?, is_warm)?)?,
            "crowd" => self.crowd(number(1)?, number(2)?)?,
            "huge" => self.child_writes_huge(number(1)?)?,
            "read-into" => self.read_into(private(number(1)?, is_warm)?)?,
            "uffd-forked" => {
                let mut map = private(number(1)?, is_warm)?;
                fill(&mut map);
                self.children.push(Child::start(|| {})?);
                WriteProtected::new(&map)?.while_written(|| fill(&mut map))?;
                map
            }
            "hold" => {
                let (map, child) = written_and_forked(number(1)?)?;
                self.children.push(child);
                map
            }
            // A page that waits in another CPU's batch is copied, though nobody else has it.
            kind => on_one_cpu(|| alone(kind, number(1)?, is_warm))??,
        };
        let range = range(&map);
        self.maps.push(map);
        Ok(range)
    }

    fn child_writes(&mut self, mut map: Map) -> Result<Map> {
        fill(&mut map);
        self.children.push(Child::start(|| fill(&mut map))?);
        Ok(map)
    }

    fn read_into(&mut self, mut map: Map) -> Result<Map> {
        fill(&mut map);
        self.children.push(Child::start(|| {})?);
        let read = map.read_from(&file(map.pages())?)?;
        ensure!(read == map.pages() * PAGE, "only {read} bytes were read");
        Ok(map)
    }

    fn crowd(&mut self, children: usize, pages: usize) -> Result<Map> {
        let mut map = private(pages, false)?;
        fill(&mut map);
        for _ in 0..children {
            self.children.push(Child::start(|| fill(&mut map))?);
        }
        Ok(map)
    }

    fn child_writes_huge(&mut self, count: usize) -> Result<Map> {
        let mut map = huge(count)?;
        fill(&mut map);
        self.children.push(Child::start(|| touch_huge(&mut map))?);
        Ok(map)
    }

    fn islands(&mut self, count: usize, rounds: usize) -> Result<(usize, usize)> {
        for _ in 0..count {
            let mut map = Map::guarded(1)?;
            fill(&mut map);
            self.islands.push(map);
        }
        self.write_islands(rounds)
    }

    fn write_islands(&mut self, rounds: usize) -> Result<(usize, usize)> {
        for _ in 0..rounds {
            let child = Child::start(|| {})?;
            self.islands.iter_mut().for_each(fill);
            drop(child);
        }
        Ok((0, 0))
    }

    fn sink(&mut self, count: usize) -> Result<(usize, usize)> {
        let rest = self.islands.len().saturating_sub(count);
        self.islands.drain(rest..).try_for_each(Map::unmap)?;
        Ok((0, 0))
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

/// Private memory. If it is warm one page of it was copied, which a child shared.
fn private(pages: usize, is_warm: bool) -> Result<Map> {
    let mut map = Map::guarded(pages)?;
    if is_warm {
        fill_first(1, &mut map);
        let child = Child::start(|| {})?;
        fill_first(1, &mut map);
        drop(child);
    }
    Ok(map)
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
    fill_first(map.pages(), map);
}

fn fill_first(pages: usize, map: &mut Map) {
    map.write_pages(|index, page| {
        if index < pages {
            page[..8].fill(1);
        }
    });
}

/// Writes one byte to each huge page.
fn touch_huge(map: &mut Map) {
    touch_part(0, map);
}

/// Writes one byte to a small page of each huge one.
fn touch_part(part: usize, map: &mut Map) {
    map.write_pages(|index, page| {
        if index % (HUGE_PAGE / PAGE) == part {
            page[0] = 2;
        }
    });
}

/// The steps that leave no child.
fn alone(kind: &str, count: usize, is_warm: bool) -> Result<Map> {
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
        "huge-parts" => {
            let child = Child::start(|| {})?;
            // Not the first one, which would be the head of what is left.
            touch_part(1, &mut map);
            drop(child);
            fill(&mut map);
        }
        "swapped" => {
            map.advise(Advice::LinuxPageOut)?;
            let child = Child::start(|| {})?;
            map.touch_by_reading();
            drop(child);
            fill(&mut map);
        }
        "pinned" => {
            let child = Child::start(|| {})?;
            map.read_pinned(count / 2)?;
            drop(child);
            fill(&mut map);
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

fn down(pages: usize) -> Result<Map> {
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

/// Each thread writes its part of each area.
fn teams(areas: usize, pages: usize, threads: usize, rounds: usize) -> Result<usize> {
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

fn scattered(areas: usize, rounds: usize) -> Result<Map> {
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
