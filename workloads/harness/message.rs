// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text in shared memory, ended by a 0 byte.

use std::fs::File;
use std::io::Read;

use anyhow::{ensure, Result};
use pagelens::kshram::{Mapping, ReadMapping};

/// The text at the beginning of the memory.
#[must_use]
pub fn read(memory: &ReadMapping) -> String {
    let mut bytes = vec![0; memory.len().min(crate::map::PAGE)];
    memory.read(0, &mut bytes);
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Replaces it.
///
/// # Errors
/// If it does not fit.
pub fn write(memory: &Mapping, text: &str) -> Result<()> {
    ensure!(text.len() < memory.len(), "the message does not fit");
    memory.write(0, text.as_bytes());
    memory.write(text.len(), &[0]);
    Ok(())
}

/// A text that is not likely to have been there before.
///
/// # Errors
/// If the kernel has no random numbers.
pub fn random() -> Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect())
}
