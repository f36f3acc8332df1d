// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAM maps.

mod frames;
mod interface;
mod programs;
mod storms;

use anyhow::Result;
use pagelens::device::ram::{Question, Ram};

use super::Loaded;

/// A whole answer.
fn look(loaded: &Loaded, question: &Question) -> Result<Ram> {
    Ok(Ram::read(loaded.device.ram(question)?)?)
}

/// Each run of frames, and what cgroups pay for.
fn runs_and_groups() -> Question {
    Question {
        with_groups: true,
        with_runs: true,
        ..Question::default()
    }
}

/// All that can be asked for.
pub(super) fn everything() -> Question {
    Question {
        with_files: true,
        with_names: true,
        ..runs_and_groups()
    }
}
