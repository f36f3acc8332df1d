// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's runner: `memuse-runner [CASE]`.
//!
//! Without a case it runs each in a process of its own and prints the document's table. With one it
//! prints a single line of numbers: call stack, kernel stack and heap before, the same after, and
//! by how many bytes the calls went deeper than `main`.

use std::hint::black_box;
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use workloads::memuse::memuse;

const BYTES: usize = 20_000;
const CALLS: u32 = 20_000;

/// Its argument, its title in the table, and what it does: returns by how much deeper it went.
type Case = (&'static str, &'static str, fn() -> usize);

const CASES: [Case; 4] = [
    ("nothing", "Do nothing", || 0),
    ("active", "Increase heap (active)", increase_heap_active),
    ("passive", "Increase heap (passive)", increase_heap_passive),
    ("stack", "Increase stack", increase_stack),
];

fn main() -> Result<()> {
    match std::env::args().nth(1) {
        None => table(),
        Some(case) => run(&case),
    }
}

fn table() -> Result<()> {
    println!(
        "{:<26}{:>20}{:>22}{:>14}",
        "", "Call stack (bytes)", "Kernel stack (bytes)", "Heap (bytes)"
    );
    for (case, title, _) in CASES {
        let output = Command::new("/proc/self/exe").arg(case).output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let line = String::from_utf8(output.stdout)?;
        let after: Vec<&str> = line.split_whitespace().skip(3).take(3).collect();
        let [stack, kernel, heap] = after[..] else {
            bail!("{case} printed `{line}`");
        };
        println!("{title:<26}{stack:>20}{kernel:>22}{heap:>14}");
    }
    Ok(())
}

fn run(case: &str) -> Result<()> {
    let (_, _, act) = CASES
        .into_iter()
        .find(|(name, ..)| *name == case)
        .with_context(|| format!("no case `{case}`"))?;
    settle_heap();
    measure()?; // its own stack is there from now on
    let before = measure()?;
    let depth = act();
    let after = measure()?;
    let line: Vec<String> = before
        .into_iter()
        .chain(after)
        .map(|bytes| bytes.to_string())
        .collect();
    println!("{} {depth}", line.join(" "));
    Ok(())
}

/// Call stack, kernel stack and heap of this process.
fn measure() -> Result<[i64; 3]> {
    let pid = i32::try_from(std::process::id())?;
    let bytes = [
        abi::memuse::CALL_STACK,
        abi::memuse::KERNEL_STACK,
        abi::memuse::HEAP,
    ]
    .map(|kind| memuse(abi::memuse::NR, pid, kind));
    for result in bytes {
        if result < 0 {
            bail!(std::io::Error::from_raw_os_error(i32::try_from(-result)?));
        }
    }
    Ok(bytes)
}

/// What `malloc` returns; never freed.
fn malloc(bytes: usize) -> *mut u8 {
    // SAFETY: Has no preconditions.
    black_box(unsafe { libc::malloc(bytes) }).cast()
}

/// Uses up what was freed earlier, so that the next `malloc` takes from the heap's end, and lets that
/// lie in the middle of a page. The document's numbers of pages hold for 9 places of 10; so, for all.
fn settle_heap() {
    const FILLER: usize = 1_496;
    let mut last = 0;
    loop {
        let block = malloc(FILLER) as usize;
        let end = block.wrapping_add(FILLER);
        let is_at_end = block.wrapping_sub(last) == FILLER + 8; // glibc's header of a block
        if is_at_end && (1024..3072).contains(&(end % 4096)) {
            return;
        }
        last = block;
    }
}

fn increase_heap_active() -> usize {
    let block = malloc(BYTES);
    for offset in 0..BYTES {
        // SAFETY: Within the block, unless malloc failed: then this ends the program.
        unsafe { block.add(offset).write_volatile(b'a') };
    }
    0
}

fn increase_heap_passive() -> usize {
    malloc(BYTES);
    0
}

fn increase_stack() -> usize {
    let here = 0u8;
    (black_box(&raw const here) as usize).saturating_sub(recurse(CALLS))
}

/// Calls itself; returns where the deepest call had its local variable.
#[inline(never)]
fn recurse(calls: u32) -> usize {
    let here = 0u8;
    let address = black_box(&raw const here) as usize;
    let deepest = if calls == 0 {
        address
    } else {
        recurse(calls - 1)
    };
    black_box(&raw const here);
    deepest
}
