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
    /// Of another program, which was run: its own.
    Of(u8),
}

impl Status {
    /// The process's exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Answered => 0,
            Self::Partly => 1,
            Self::Of(code) => code,
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
    let text = format!("{error:#}").replace('\n', " ");
    eprintln!("pagelens: {}", harmless(&text));
    match error.downcast_ref::<Usage>() {
        Some(_) => ExitCode::from(USAGE),
        None => ExitCode::FAILURE,
    }
}
