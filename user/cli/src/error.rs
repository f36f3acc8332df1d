// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a command ends.

use std::io;
use std::process::ExitCode;

use pagelens::processes::harmless;

/// What a command has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All that was asked is answered.
    Answered,
    /// Something was left out, as was said.
    Partly,
}

impl Status {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Answered => 0,
            Self::Partly => 1,
        }
    }
}

/// The exit status of a question that is wrong in itself; clap has the same.
const USAGE: u8 = 2;

/// A question that is wrong in itself.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Says in one line what is wrong. Whoever closed the pipe does not want to know.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(is_pipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("pagelens: {}", harmless(&line(error)));
    match error.downcast_ref::<Usage>() {
        Some(_) => ExitCode::from(USAGE),
        None => ExitCode::FAILURE,
    }
}

/// All that is said of it, of which most errors of the library say all by themselves.
fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if !line.contains(&said) {
            let gap = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{gap}{said}");
        }
    }
    line.replace('\n', " ")
}
