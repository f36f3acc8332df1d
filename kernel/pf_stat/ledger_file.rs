// SPDX-License-Identifier: GPL-2.0
//! `/proc/pf_stat`: the ledger behind the document's numbers, one line per tracked name.
//!
//! A descriptor shows the moment at which it was opened.

use crate::calls::Shared;
use kernel::{
    prelude::*,
    sync::Arc,
    uaccess::{UserSliceReader, UserSliceWriter},
};
use kx_base::chunked::Text;
use kx_cow::Tracked;
use kx_mm::task;
use kx_proc::procfile::Handler;
use model::{
    ledger::Folded,
    pf_stat::{write_head, write_line},
};

pub(crate) struct LedgerFile {
    pub(crate) shared: Arc<Shared>,
}

impl Handler for LedgerFile {
    type Open = Text;

    fn open(&self) -> Result<Pin<KBox<Text>>> {
        if !task::may_monitor() {
            return Err(EPERM);
        }
        let mut text = Text::default();
        write_head(&mut text).map_err(|_| ENOMEM)?;
        self.shared
            .each(|program| write_program(&mut text, &program))?;
        Ok(KBox::new(text, GFP_KERNEL)?.into())
    }

    fn len(open: &Text) -> Result<usize> {
        Ok(open.len())
    }

    fn read(open: &Text, offset: usize, to: &mut UserSliceWriter) -> Result<usize> {
        open.read(offset, to)
    }

    fn write(_open: &Text, _from: UserSliceReader) -> Result {
        Err(EINVAL)
    }
}

/// A program that was not executed yet has a line of zeros; so has one that could not be followed, but
/// for what was lost.
fn write_program(text: &mut Text, program: &Tracked) -> Result {
    let generation = program.generation();
    let folded = match program.totals() {
        Ok(folded) => folded,
        Err(ESRCH | ENOSPC) => Folded::default(),
        Err(error) => return Err(error),
    };
    let lost = program.lost();
    write_line(text, program.name(), generation, &folded, lost).map_err(|_| ENOMEM)
}
