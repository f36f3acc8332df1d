// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the answer is to come from.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use pagelens::{Choice, Source};

/// Where the answer is to come from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// auto (the module if it is there), kernel, proc, or the FILE of a capture (or a folder like /proc)
    #[arg(
        long,
        value_name = "SOURCE",
        default_value = "auto",
        env = "PAGELENS_SOURCE"
    )]
    pub source: Wanted,
}

/// The source as it was written.
#[derive(Debug, Clone)]
pub struct Wanted(pub Choice);

impl FromStr for Wanted {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(Self(match word {
            "auto" => Choice::Auto,
            "kernel" => Choice::Kernel,
            "proc" => Choice::Proc,
            path => Choice::Path(PathBuf::from(path)),
        }))
    }
}

impl SourceArgs {
    /// The source, open.
    pub fn open(&self) -> Result<Source> {
        Ok(Source::choose(&self.source.0)?)
    }

    /// The file that is read instead of the machine.
    pub fn file(&self) -> Option<String> {
        match &self.source.0 {
            Choice::Path(path) => Some(path.display().to_string()),
            _ => None,
        }
    }
}
