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

use crate::support::errno;
