// SPDX-License-Identifier: MIT OR Apache-2.0
//! Uses a slot of kshram as it is told: `kshram_user SLOT`.
//!
//! It prints `ready`, then does the steps that come from standard input, one a line, and answers
//! each by `ok`, with a figure if it has one, or by an error.
//!
//! | step | |
//! |---|---|
//! | `resize:SIZE` | |
//! | `sizer` | answers the pid and the name of who set the size last, as far as they can be seen |
//! | `map` | all of it |
//! | `unmap` | all mappings |
//! | `close` | the descriptor; mappings stay |
//! | `read:OFFSET` | a byte of the last mapping |
//! | `write:OFFSET:BYTE` | the same |
//! | `fork` | leaves a child that sleeps with the same mappings; answers its pid |
//! | `wipe`, `seal`, `label:TEXT` | through the control device |
//! | `become:USER:GROUP` | from then on, in no other group |
//! | `stick` | writes from memory that never comes |
//! | `create` | makes a robust mutex with a condition at the beginning of the last mapping |
//! | `tear` | takes the mutex, changes half of what it guards, and sleeps with it |
//! | `update` | takes the mutex and changes all; answers `clean`, or `repaired` if the last holder died |
//! | `await:NUMBER` | waits under the mutex until that many updates were made |

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{bail, Context, Result};
use pagelens::kshram::{Control, Mapping, RobustMutex, Slot};
use workloads::map::Map;
use workloads::process;
use workloads::say;
use workloads::uffd::Missing;

/// Two numbers that the mutex keeps equal: how many updates were made.
const FIRST: usize = 1024;
const SECOND: usize = 2048;

struct User {
    index: u32,
    slot: Option<Slot>,
    mappings: Vec<Mapping>,
}

fn main() -> Result<()> {
    let index = std::env::args().nth(1).context("usage: kshram_user SLOT")?;
    let index = index.parse()?;
    let mut user = User {
        index,
        slot: Some(Slot::open(index)?),
        mappings: Vec::new(),
    };
    workloads::follow_steps(|step| user.step(step))
}

impl User {
    /// Does one step and returns its answer, if it has one.
    fn step(&mut self, step: &str) -> Result<Option<String>> {
        let (word, rest) = step.split_once(':').unwrap_or((step, ""));
        match word {
            "resize" => self.slot()?.resize(rest.parse()?)?,
            "sizer" => return self.sizer().map(Some),
            "map" => {
                let mapping = self.slot()?.map()?;
                self.mappings.push(mapping);
            }
            "unmap" => self.mappings.clear(),
            "close" => self.slot = None,
            "read" => return self.read(rest.parse()?).map(Some),
            "write" => {
                let (offset, byte) = rest.split_once(':').context("OFFSET:BYTE is wanted")?;
                self.last()?.write(offset.parse()?, &[byte.parse()?]);
            }
            "fork" => return Ok(Some(process::fork(process::sleep_for_ever)?.to_string())),
            "wipe" => Control::open()?.wipe(self.index)?,
            "seal" => Control::open()?.seal(self.index)?,
            "label" => Control::open()?.label(self.index, rest)?,
            "become" => {
                let (user, group) = rest.split_once(':').context("USER:GROUP is wanted")?;
                process::become_user(user.parse()?, group.parse()?)?;
            }
            "stick" => self.stick()?,
            "create" => {
                // SAFETY: As in `mutex`; whoever asks for this step does so before others use it.
                unsafe { RobustMutex::create(self.last()?)? };
            }
            "tear" => self.tear()?,
            "update" => return self.update().map(Some),
            "await" => self.wait_for(rest.parse()?)?,
            _ => bail!("unknown step `{step}`"),
        }
        Ok(None)
    }

    fn slot(&self) -> Result<&Slot> {
        self.slot.as_ref().context("it is closed")
    }

    fn sizer(&self) -> Result<String> {
        let slot = Control::open()?.slot(self.slot()?.index())?;
        let sizer = slot.sizer.context("nobody set the size")?;
        let pid = sizer.pid.map_or("none".to_owned(), |pid| pid.to_string());
        Ok(format!("{pid} {}", sizer.name))
    }

    fn last(&self) -> Result<&Mapping> {
        self.mappings.last().context("nothing is mapped")
    }

    fn read(&self, offset: usize) -> Result<String> {
        let mut byte = [0];
        self.last()?.read(offset, &mut byte);
        Ok(byte[0].to_string())
    }

    fn stick(&self) -> Result<()> {
        let map = Map::anonymous(1, false)?;
        let missing = Missing::new(&map)?;
        let slot = self.slot()?.file();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || map.write_to(slot, 0, 0));
            missing.wanted()?;
            say("ok")?;
            writer.join().ok().context("the writer panicked")??;
            Ok(())
        })
    }

    fn tear(&self) -> Result<()> {
        let memory = self.last()?;
        let mutex = mutex(memory)?;
        let _held = mutex.lock()?;
        memory.atomic_u32(FIRST).fetch_add(1, Relaxed);
        say("ok")?;
        process::sleep_for_ever();
        Ok(())
    }

    fn update(&self) -> Result<String> {
        let memory = self.last()?;
        let mutex = mutex(memory)?;
        let mut held = mutex.lock()?;
        let (first, second) = (memory.atomic_u32(FIRST), memory.atomic_u32(SECOND));
        let answer = match held.owner_died {
            true => {
                // The second is written last: it tells what was finished.
                first.store(second.load(Relaxed), Relaxed);
                held.make_consistent()?;
                "repaired"
            }
            false => "clean",
        };
        let updates = second.load(Relaxed);
        if first.load(Relaxed) != updates {
            bail!("an update is half done");
        }
        first.store(updates + 1, Relaxed);
        second.store(updates + 1, Relaxed);
        mutex.notify_all()?;
        Ok(answer.to_owned())
    }

    fn wait_for(&self, updates: u32) -> Result<()> {
        let memory = self.last()?;
        let mutex = mutex(memory)?;
        let mut held = mutex.lock()?;
        while memory.atomic_u32(SECOND).load(Relaxed) < updates {
            held.wait()?;
        }
        Ok(())
    }
}

/// What another process created in the same memory.
fn mutex(memory: &Mapping) -> Result<RobustMutex<'_>> {
    // SAFETY: It was created, or nobody would ask for a step that uses it. The other steps leave the
    // beginning of such memory alone, and nothing here forgets to unlock.
    Ok(unsafe { RobustMutex::open(memory)? })
}
