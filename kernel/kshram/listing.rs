// SPDX-License-Identifier: GPL-2.0
//! `/proc/kshram`: the size of each slot.

use crate::slots::Slots;
use kernel::{
    fmt::Write,
    prelude::*,
    sync::Arc,
    uaccess::{UserSliceReader, UserSliceWriter},
};
use kx_base::{charged, chunked::Text};
use kx_proc::procfile::Handler;
use model::kshram::Line;

/// The handler of `/proc/kshram`.
pub(crate) struct Listing {
    slots: Arc<Slots>,
}

impl Listing {
    pub(crate) fn new(slots: Arc<Slots>) -> Self {
        Self { slots }
    }
}

impl Handler for Listing {
    /// The sizes when the file was opened.
    type Open = Text;

    fn open(&self) -> Result<Pin<KBox<Text>>> {
        let mut text = Text::default();
        for (index, slot) in (0..).zip(self.slots.iter()) {
            let line = Line {
                index,
                size: slot.size(),
            };
            write!(text, "{line}").map_err(|_| ENOMEM)?;
        }
        Ok(KBox::pin(text, charged::flags())?)
    }

    fn len(open: &Text) -> Result<usize> {
        Ok(open.len())
    }

    fn read(open: &Text, offset: usize, to: &mut UserSliceWriter) -> Result<usize> {
        open.read(offset, to)
    }

    fn write(_open: &Text, _from: UserSliceReader) -> Result {
        Err(EPERM)
    }
}
