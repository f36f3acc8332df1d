// SPDX-License-Identifier: MIT OR Apache-2.0
//! The smallest module: it greets, and says goodbye.

use anyhow::Result;
use workloads::KernelLog;

use crate::narrator::Narrator;

pub fn play(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "A kernel module in Rust, built outside the kernel's tree for a stock kernel.
         It logs a greeting when it is loaded; whom it greets is a parameter.",
    );
    let mut log = KernelLog::from_now()?;
    narrator.run("modprobe hello name=reader")?;
    narrator.run("dmesg | grep -i hello | tail -n 1")?;
    narrator.run("rmmod hello")?;
    narrator.run("dmesg | grep -i hello | tail -n 1")?;

    let messages = log.messages()?;
    let has = |wanted: &str| messages.iter().any(|(_, text)| text.contains(wanted));
    narrator.check("it greeted whom it was told to", has("Hello, reader!"))?;
    narrator.check("it said goodbye", has("Goodbye, world."))
}
