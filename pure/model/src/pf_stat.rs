// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The text of `/proc/pf_stat`: a head, and a line of figures for each tracked name.

use crate::{
    ledger::Folded,
    text::{write_name, Output},
};
use core::fmt;

/// The first line, without its newline: what the columns hold. The name comes last, as it may
/// contain blanks.
pub const HEAD: &str =
    "generation faults copied reused zero_filled split first_write remote gone unplaced lost name";

/// Writes the first line.
///
/// # Errors
///
/// What `out` returned.
pub fn write_head(out: &mut impl Output) -> fmt::Result {
    writeln!(out, "{HEAD}")
}

/// Writes the line of a name. `gone` counts the CoW faults in ranges that no area holds any more,
/// `unplaced` those in more areas than can be told apart; `lost` the processes that could not be
/// followed.
///
/// # Errors
///
/// What `out` returned.
pub fn write_line(
    out: &mut impl Output,
    name: &[u8],
    generation: u32,
    folded: &Folded,
    lost: u64,
) -> fmt::Result {
    let total = &folded.total;
    write!(
        out,
        "{generation} {} {} {} {} {} {} {} {} {} {lost} ",
        total.faults(),
        total.copied,
        total.reused,
        total.zero_filled,
        total.split,
        total.first_write,
        total.remote,
        folded.gone.faults(),
        folded.unplaced.faults(),
    )?;
    write_name(out, name)?;
    out.write_bytes(b"\n")
}
