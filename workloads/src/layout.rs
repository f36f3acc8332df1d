// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asking `vm_layout`.

use std::io;

use anyhow::{Context, Result};
use pagelens::layout::Report;

use crate::{module, KernelLog};

/// Loads the module `vm_layout` for process `pid`, with further parameters such as `unmask=1`,
/// reads what it logged and unloads it.
///
/// # Errors
/// What the module's `init` returned is an [`io::Error`] in the chain. Else if the log was
/// overwritten before it was read.
pub fn layout_of(pid: u32, parameters: &str) -> Result<Report> {
    let mut log = KernelLog::from_now()?;
    module::insert("vm_layout", &format!("pid={pid} {parameters}"))
        .with_context(|| format!("vm_layout pid={pid} {parameters}"))?;
    let messages = log.messages();
    module::remove("vm_layout").context("unloading vm_layout")?;
    let messages = messages?;
    Ok(Report::parse(
        messages.iter().map(|(_, text)| text.as_str()),
    )?)
}

/// The errno with which the module refused, if that was what went wrong in [`layout_of`].
#[must_use]
pub fn refusal(error: &anyhow::Error) -> Option<i32> {
    error.downcast_ref::<io::Error>()?.raw_os_error()
}
