// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the figures of programs come from.

use crate::error::Result;
use crate::memory_info::MemoryInfo;
use crate::proc;
use crate::program::Program;

/// A source of [`Program`]s: the kernel module, or `/proc` without it.
#[derive(Debug)]
pub enum ProgramSource {
    /// `/proc/memory_info`: a snapshot, exact.
    Kernel(MemoryInfo),
    /// `/proc/PID/…`: slow, taken process by process, and a lower bound where `/proc`
    /// does not show whether a page is mapped read-only (see [`proc::Survey`]).
    Proc,
}

impl ProgramSource {
    /// The kernel if the module is loaded and may be used, else `/proc`.
    #[must_use]
    pub fn best() -> Self {
        MemoryInfo::open().map_or(Self::Proc, Self::Kernel)
    }

    /// A word for people: every report shows its source.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kernel(_) => "kernel",
            Self::Proc => "proc",
        }
    }

    /// What each program name holds now, by lowest pid.
    ///
    /// # Errors
    /// Those of [`MemoryInfo`] or [`proc::survey`].
    pub fn programs(&mut self) -> Result<Vec<Program>> {
        match self {
            Self::Kernel(module) => {
                module.reset()?;
                module.programs()
            }
            Self::Proc => {
                let surveys = proc::survey(|_, _| true)?;
                Ok(surveys.into_iter().map(|survey| survey.program).collect())
            }
        }
    }
}
