// SPDX-License-Identifier: MIT OR Apache-2.0
//! Eight processes that do everything to kshram at once and know what each byte must be:
//! `kshram_storm SECONDS`. The module wants `slots=12`.
//!
//! | slots | who | what must be true |
//! |---|---|---|
//! | 0–3 | one owner each, others only look | every byte is as the owner's model has it |
//! | 4–7 | everybody, never by force | every byte is 0 or its pattern; no access raises SIGBUS |
//! | 8–11 | everybody, by force too | every byte is 0 or its pattern |
//!
//! Four of the processes are owners, which live to the end; the others are killed every now and
//! then, wherever they are, and replaced. It ends with 0 if everything was true.

mod owner;
mod sizes;
mod visitor;

use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use pagelens::kshram::Control;
use rustix::process::{kill_process, Pid, Signal};
use workloads::process::{self, End};
use workloads::Rng;

const OWNERS: u32 = 4;
const VISITORS: u32 = 4;
const KILLED: i32 = Signal::KILL.as_raw();
/// The slots that everybody resizes, but never by force.
const POLITE: std::ops::Range<u32> = 4..8;
/// The slots that everybody resizes by force too.
const RUDE: std::ops::Range<u32> = 8..12;

fn main() -> Result<()> {
    let seconds = std::env::args()
        .nth(1)
        .context("usage: kshram_storm SECONDS")?;
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let mut random = workloads::random()?;
    let control = Control::open()?;
    for slot in POLITE.start..RUDE.end {
        control.wipe(slot)?; // what others left has no pattern
    }

    let mut owners = Vec::new();
    for slot in 0..OWNERS {
        let random = random.fork();
        owners.push(spawn("owner", move || owner::run(slot, random, end))?);
    }
    let mut visitors = Vec::new();
    let visit = |random: &mut Rng| {
        let random = random.fork();
        spawn("visitor", move || visitor::run(random, end))
    };
    for _ in 0..VISITORS {
        visitors.push(visit(&mut random)?);
    }
    let mut kills = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(random.u64(100..300)));
        let victim = random.usize(..visitors.len());
        let old = std::mem::replace(&mut visitors[victim], visit(&mut random)?);
        kill(old)?;
        match process::wait_for(old)? {
            End::Signal(KILLED) => kills += 1,
            End::Status(0) => {} // it had just come to its end
            end => bail!("a visitor ended: {end:?}"),
        }
    }
    for pid in owners.into_iter().chain(visitors) {
        let end = process::wait_for(pid)?;
        ensure!(end == End::Status(0), "a process ended: {end:?}");
    }
    println!("{kills} were killed, all else was true");
    Ok(())
}

fn spawn(what: &str, run: impl FnOnce() -> Result<u64>) -> Result<u64> {
    process::fork(|| match run() {
        Ok(operations) => println!("{what}: {operations} operations"),
        Err(error) => {
            eprintln!("{what}: {error:#}");
            std::process::exit(1);
        }
    })
}

fn kill(pid: u64) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no such pid")?;
    Ok(kill_process(pid, Signal::KILL)?)
}
