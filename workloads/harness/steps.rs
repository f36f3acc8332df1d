// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's side of [`Workload::ask`](crate::Workload::ask).

use std::fmt::Display;
use std::io::BufRead as _;

use anyhow::Result;

use crate::say;

/// Says `ready`, then does the steps that come from standard input, one a line, until it ends.
///
/// Each is answered by `ok`, with what the step returned if it did, or by its error. Standard
/// input stays locked meanwhile.
///
/// # Errors
/// If standard input cannot be read, or nobody reads the answers any more.
pub fn follow_steps<T: Display>(mut step: impl FnMut(&str) -> Result<Option<T>>) -> Result<()> {
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        match step(line?.trim()) {
            Ok(None) => say("ok")?,
            Ok(Some(answer)) => say(&format!("ok {answer}"))?,
            Err(error) => say(&format!("{error:#}"))?,
        }
    }
    Ok(())
}
