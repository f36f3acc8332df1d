// SPDX-License-Identifier: MIT OR Apache-2.0
//! The smallest module.

use anyhow::Result;
use workloads::{KernelLog, Module};

/// `KERN_ALERT`, at which the document's module speaks.
const ALERT: u8 = 1;

/// Greetings and goodbyes since the last call, with their levels.
fn said(log: &mut KernelLog) -> Result<Vec<(u8, String)>> {
    let mut messages = log.messages()?;
    messages.retain(|(_, text)| text.contains("Hello, ") || text.contains("Goodbye, "));
    Ok(messages)
}

#[test]
fn hello_greets_the_world_and_says_goodbye_at_alert_level() -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let module = Module::load("hello", &[])?;
    let greeting = (ALERT, "hello: Hello, world!".to_owned());
    assert_eq!(said(&mut log)?, [greeting]);
    module.unload()?;
    let goodbye = (ALERT, "hello: Goodbye, world.".to_owned());
    assert_eq!(said(&mut log)?, [goodbye]);
    Ok(())
}

#[test]
fn hello_greets_whom_it_is_told_to() -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let _module = Module::load("hello", &["name=Ada"])?;
    let greeting = (ALERT, "hello: Hello, Ada!".to_owned());
    assert_eq!(said(&mut log)?, [greeting]);
    Ok(())
}
