// SPDX-License-Identifier: MIT OR Apache-2.0
//! The smallest module.

use anyhow::Result;
use workloads::{KernelLog, Module};

fn hello_lines(log: &mut KernelLog) -> Result<Vec<String>> {
    let messages = log.messages()?.into_iter();
    Ok(messages
        .map(|(_, text)| text)
        .filter(|text| text.contains("hello"))
        .collect())
}

#[test]
fn hello_greets_the_world_and_says_goodbye() -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let module = Module::load("hello", &[])?;
    let lines = hello_lines(&mut log)?;
    assert!(
        lines.iter().any(|line| line.contains("Hello, world!")),
        "{lines:?}"
    );
    module.unload()?;
    let lines = hello_lines(&mut log)?;
    assert!(
        lines.iter().any(|line| line.contains("Goodbye, world.")),
        "{lines:?}"
    );
    Ok(())
}

#[test]
fn hello_greets_whom_it_is_told_to() -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let _module = Module::load("hello", &["name=Ada"])?;
    let lines = hello_lines(&mut log)?;
    assert!(
        lines.iter().any(|line| line.contains("Hello, Ada!")),
        "{lines:?}"
    );
    Ok(())
}
