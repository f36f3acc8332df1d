// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocates, frees and recurses as it is told: `app [STEP]...`.
//!
//! Steps are done in order; then it prints `ready`. Further steps come from standard input,
//! one a line, and each is answered by `ok` and a figure. Between steps it waits. All sizes
//! are in bytes.
//!
//! | step | does | answers |
//! |---|---|---|
//! | `malloc:SIZE:COUNT` | COUNT blocks by `malloc`, not touched | bytes in all blocks |
//! | `touch` | writes a byte into each page of each block | bytes in all blocks |
//! | `free:N` | frees every Nth block: the first, then N further on, … | bytes in all blocks |
//! | `trim` | `malloc_trim(0)` | 1 if memory was given back |
//! | `recurse:DEPTH` | calls a function that calls itself, each frame over 1 KiB, and returns | bytes of stack from the first frame to the deepest |
//! | `break` | nothing | the end of the heap, an address (`sbrk(0)`) |
//!
//! `malloc` is glibc's. It takes small blocks from the heap that `brk` extends, and blocks from
//! 128 KiB on from mappings of their own; when such a block is freed, it moves that threshold
//! up to the block's size.

use std::hint::black_box;
use std::ptr::NonNull;

use anyhow::{bail, ensure, Context, Result};
use workloads::map::PAGE;

/// Blocks at most, so that keeping track of them never allocates between steps.
const BLOCKS_MAX: usize = 1 << 16;

fn main() -> Result<()> {
    let mut app = App {
        blocks: Vec::with_capacity(BLOCKS_MAX),
    };
    for step in std::env::args().skip(1) {
        app.step(&step).with_context(|| step.clone())?;
    }
    workloads::follow_steps(|step| app.step(step).map(Some))
}

/// Memory from `malloc`.
struct Block {
    start: NonNull<u8>,
    size: usize,
}

struct App {
    blocks: Vec<Block>,
}

impl App {
    fn step(&mut self, step: &str) -> Result<usize> {
        let (word, rest) = step.split_once(':').unwrap_or((step, ""));
        match word {
            "malloc" => self.allocate(rest)?,
            "touch" => self.blocks.iter_mut().for_each(Block::touch),
            "free" => self.free(number(rest)?)?,
            "trim" => return Ok(trim()),
            "recurse" => return Ok(recurse(number(rest)?)),
            "break" => return Ok(end_of_heap()),
            _ => bail!("unknown step `{step}`"),
        }
        Ok(self.blocks.iter().map(|block| block.size).sum())
    }

    fn allocate(&mut self, text: &str) -> Result<()> {
        let (size, count) = text.split_once(':').context("SIZE:COUNT is wanted")?;
        let (size, count) = (number(size)?, number(count)?);
        ensure!(self.blocks.len() + count <= BLOCKS_MAX, "too many blocks");
        for _ in 0..count {
            self.blocks.push(Block::new(size)?);
        }
        Ok(())
    }

    fn free(&mut self, every: usize) -> Result<()> {
        ensure!(every > 0, "`free:0` frees nothing");
        let mut index = 0;
        self.blocks.retain(|_| {
            index += 1;
            (index - 1) % every != 0
        });
        Ok(())
    }
}

impl Block {
    fn new(size: usize) -> Result<Self> {
        // SAFETY: malloc takes any size.
        let start = NonNull::new(unsafe { libc::malloc(size) }.cast());
        let start = start.with_context(|| format!("malloc has no {size} bytes"))?;
        Ok(Self { start, size })
    }

    fn touch(&mut self) {
        for offset in (0..self.size).step_by(PAGE) {
            // SAFETY: Within the block, which belongs to this value alone.
            unsafe { self.start.as_ptr().add(offset).write_volatile(1) };
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: The block came from malloc and is freed once.
        unsafe { libc::free(self.start.as_ptr().cast()) };
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse()
        .with_context(|| format!("`{text}` is not a number"))
}

fn trim() -> usize {
    // SAFETY: Has no preconditions.
    usize::from(unsafe { libc::malloc_trim(0) } != 0)
}

fn end_of_heap() -> usize {
    // SAFETY: An increment of 0 changes nothing.
    unsafe { libc::sbrk(0) as usize }
}

/// Recurses `depth` times below its own frame; returns the bytes between the two ends.
fn recurse(depth: usize) -> usize {
    let here = 0u8;
    let top = black_box(&raw const here) as usize;
    top - descend(depth)
}

/// The address of the deepest frame's array.
#[inline(never)]
fn descend(depth: usize) -> usize {
    let frame = black_box([0u8; 1024]);
    let deepest = match depth {
        0 => frame.as_ptr() as usize,
        _ => descend(depth - 1),
    };
    // Used after the call, so that no frame can make room for the next.
    black_box(&frame);
    deepest
}
