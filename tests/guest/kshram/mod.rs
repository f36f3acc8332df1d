// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kshram`: the document, contents, sizes, mappings, files, control, access, rights, and the weather.

mod access;
mod contents;
mod control;
mod crash;
mod document;
mod faults;
mod file;
mod fuzz;
mod mapping;
mod neighbours;
mod races;
mod rights;
mod size;
mod unload;
mod waiting;
mod wipe;

use std::io;

use pagelens::{Error, Result};

/// What the kernel answered to something that it should refuse.
fn errno<T: std::fmt::Debug>(result: Result<T>) -> i32 {
    match result {
        Err(Error::Slot { source, .. } | Error::Control { source, .. }) => {
            source.raw_os_error().unwrap_or(0)
        }
        Err(Error::Open { source, .. }) => source.raw_os_error().unwrap_or(0),
        other => panic!("not refused by the device: {other:?}"),
    }
}

/// The same, of a call of the standard library.
fn io_errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap_or(0)
}
