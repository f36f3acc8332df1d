// SPDX-License-Identifier: MIT OR Apache-2.0
//! Going away.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use workloads::Module;

/// Counts the calls of a kernel function, until it is dropped.
struct Counted {
    tracing: PathBuf,
}

impl Counted {
    const EVENT: &'static str = "kshram_test/called";

    fn new(function: &str) -> Result<Self> {
        let tracing = PathBuf::from("/sys/kernel/tracing");
        let this = Self { tracing };
        this.write("kprobe_events", &format!("p:{} {function}", Self::EVENT))?;
        this.enable("1")?;
        Ok(this)
    }

    fn calls(&self) -> Result<u64> {
        let profile = fs::read_to_string(self.tracing.join("kprobe_profile"))?;
        let mut words = profile.split_whitespace();
        words.find(|word| *word == "called");
        Ok(words.next().unwrap_or_default().parse()?)
    }

    fn enable(&self, on: &str) -> Result<()> {
        self.write(&format!("events/{}/enable", Self::EVENT), on)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        use std::io::Write;
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.tracing.join(file))?;
        Ok(file.write_all(text.as_bytes())?)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let undone = self
            .enable("0")
            .and_then(|()| self.write("kprobe_events", &format!("-:{}", Self::EVENT)));
        if let Err(error) = undone {
            eprintln!("{error:#}");
        }
    }
}

/// The driver core calls the module back when it lets go of a node. Whoever did may still be about
/// to leave the module's code when the module hears of it, and may be preempted there: only a grace
/// period of RCU-tasks tells that it is out.
#[test]
fn the_code_stays_until_everybody_has_left_it() -> Result<()> {
    let module = Module::load("kshram", &[])?;
    let waits = Counted::new("synchronize_rcu_tasks")?;
    module.unload()?;
    assert_eq!(waits.calls()?, 1);
    Ok(())
}
