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

mod alone;
mod memory;
mod rounds;

use std::fs::File;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use rustix::mm::MprotectFlags;
use workloads::map::{Map, PAGE};
use workloads::process::{self, on_one_cpu, Child};
use workloads::uffd::WriteProtected;

use crate::alone::alone;
use crate::memory::{file, fill, fill_first, huge, private, range, touch_huge, written_and_forked};
use crate::rounds::{down, scattered, teams, threads, time};

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

/// A step's words.
struct Words<'a> {
    step: &'a str,
    words: Vec<&'a str>,
    /// Whether it began with `warm`, which is not among the words.
    is_warm: bool,
}

impl<'a> Words<'a> {
    fn of(step: &'a str) -> Self {
        let (is_warm, rest) = match step.strip_prefix("warm ") {
            Some(rest) => (true, rest),
            None => (false, step),
        };
        let words = rest.split(' ').collect();
        Self {
            step,
            words,
            is_warm,
        }
    }

    fn word(&self, at: usize) -> Result<&'a str> {
        let word = self.words.get(at);
        Ok(word.with_context(|| format!("`{}` is short", self.step))?)
    }

    fn number(&self, at: usize) -> Result<usize> {
        Ok(self.word(at)?.parse()?)
    }
}

impl Cow {
    /// Does a step; returns the addresses of its faults, or what else its END stands for.
    fn step(&mut self, step: &str) -> Result<(usize, usize)> {
        let words = Words::of(step);
        match words.word(0)? {
            "write" => return self.write(words.number(1)?),
            "rename" => {
                std::fs::write("/proc/self/comm", words.word(1)?)?;
                return Ok((0, 0));
            }
            _ => self.children.clear(),
        }
        match words.word(0)? {
            "areas" => self.areas(words.number(1)?),
            "islands" => self.islands(words.number(1)?, words.number(2)?),
            "again" => self.write_islands(words.number(1)?),
            "sink" => self.sink(words.number(1)?),
            "grow" => grow(words.number(1)?),
            "time" => Ok((0, time(words.number(1)?, words.number(2)?)?)),
            "teams" => {
                let (areas, pages) = (words.number(1)?, words.number(2)?);
                let least = teams(areas, pages, words.number(3)?, words.number(4)?)?;
                Ok((0, least))
            }
            _ => {
                let map = self.faults_in_memory(&words)?;
                let range = range(&map);
                self.maps.push(map);
                Ok(range)
            }
        }
    }

    /// The steps whose memory stays.
    fn faults_in_memory(&mut self, words: &Words<'_>) -> Result<Map> {
        let (kind, is_warm) = (words.word(0)?, words.is_warm);
        match kind {
            "map" => Map::private_file(&File::open(words.word(1)?)?),
            "down" => down(words.number(1)?),
            "threads" => threads(words.number(1)?, words.number(2)?, words.number(3)?),
            "scattered" => scattered(words.number(1)?, words.number(2)?),
            "child-writes" => self.child_writes(private(words.number(1)?, is_warm)?),
            "crowd" => self.crowd(words.number(1)?, words.number(2)?),
            "huge" => self.child_writes_huge(words.number(1)?),
            "read-into" => self.read_into(private(words.number(1)?, is_warm)?),
            "uffd-forked" => self.protected_and_shared(private(words.number(1)?, is_warm)?),
            "hold" => {
                let (map, child) = written_and_forked(words.number(1)?)?;
                self.children.push(child);
                Ok(map)
            }
            // A page that waits in another CPU's batch is copied, though nobody else has it.
            kind => on_one_cpu(|| alone(kind, words.number(1)?, is_warm))?,
        }
    }

    fn write(&mut self, pages: usize) -> Result<(usize, usize)> {
        let map = self.maps.last_mut().context("nothing is held")?;
        fill_first(pages, map);
        Ok(range(map))
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

    fn protected_and_shared(&mut self, mut map: Map) -> Result<Map> {
        fill(&mut map);
        self.children.push(Child::start(|| {})?);
        WriteProtected::new(&map)?.while_written(|| fill(&mut map))?;
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

/// Copies in memory that is gone afterwards.
fn grow(pages: usize) -> Result<(usize, usize)> {
    let (mut map, child) = written_and_forked(pages)?;
    fill(&mut map);
    drop(child);
    let range = range(&map);
    map.unmap()?;
    Ok(range)
}
