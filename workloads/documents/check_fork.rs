// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's `check_fork`: of two children that map `/dev/kshram0` each for itself, one writes
//! a random message and the other checks it.

use std::sync::atomic::Ordering::{Acquire, Release};

use anyhow::{ensure, Context, Result};
use pagelens::kshram::{Mapping, Slot};
use rustix::thread::futex;
use workloads::message;
use workloads::process::{self, End};

/// Where, behind the message, the writer says that it is done.
const DONE: usize = 2048;

fn main() -> Result<()> {
    let text = message::random()?;
    map()?.write(DONE, &0u32.to_ne_bytes());
    let writer = process::fork(|| check(write(&text)))?;
    let reader = process::fork(|| check(read(&text)))?;
    let ends = [process::wait_for(writer)?, process::wait_for(reader)?];
    ensure!(ends == [End::Status(0); 2], "a child failed: {ends:?}");
    println!("both children saw: {text}");
    Ok(())
}

fn map() -> Result<Mapping> {
    let slot = Slot::open(0)?;
    let first_page = workloads::map::PAGE as u64;
    Ok(slot.map_range(0, first_page)?)
}

fn write(text: &str) -> Result<()> {
    let memory = map()?;
    message::write(&memory, text)?;
    let done = memory.atomic_u32(DONE);
    done.store(1, Release);
    futex::wake(done, futex::Flags::empty(), u32::MAX >> 1)?;
    Ok(())
}

fn read(text: &str) -> Result<()> {
    let memory = map()?;
    let done = memory.atomic_u32(DONE);
    while done.load(Acquire) == 0 {
        match futex::wait(done, futex::Flags::empty(), 0, None) {
            Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for the writer"),
        }
    }
    let seen = message::read(&memory);
    ensure!(seen == text, "read `{seen}`, not `{text}`");
    Ok(())
}

/// Ends the process with 1 if something failed.
fn check(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}
