// SPDX-License-Identifier: GPL-2.0
//! Which memories were told, as far as others may have them too.
//!
//! A memory that only one process has is met once. One that has more users than its process has threads
//! is remembered, and kept from becoming another meanwhile, so that its other processes can name it. A
//! process that was started since the answer began may have got a memory that was not shared when it
//! was told.

use kernel::{prelude::*, sync::aref::ARef};
use kx_base::charged;
use kx_mm::mm::Mm;

/// Memories that are remembered: each keeps a `struct mm_struct`, without the memory itself.
const MOST: usize = 1024;

/// Gives memories their numbers.
#[derive(Default)]
pub(crate) struct Numbers {
    last: u64,
    shared: KVVec<(ARef<Mm>, u64)>,
    /// Whether some that are shared are not remembered.
    is_uncertain: bool,
}

/// The number of a memory.
pub(crate) enum Number {
    /// It was told, under this one.
    Told(u64),
    /// It was not.
    New(u64),
    /// It was perhaps told under another.
    Uncertain(u64),
}

impl Numbers {
    /// The number of `mm`, which other processes may have too if `is_shared`; of a process that
    /// `is_new` since the answer began.
    pub(crate) fn of(&mut self, mm: &ARef<Mm>, is_shared: bool, is_new: bool) -> Number {
        let known = |(told, _): &&(ARef<Mm>, u64)| told.as_raw() == mm.as_raw();
        if let Some((_, number)) = self.shared.iter().find(known) {
            return Number::Told(*number);
        }
        self.last = self.last.saturating_add(1);
        if is_shared && !self.remember(mm) {
            self.is_uncertain = true;
        }
        match is_shared && (is_new || self.is_uncertain) {
            true => Number::Uncertain(self.last),
            false => Number::New(self.last),
        }
    }

    /// Whether there was room for it.
    fn remember(&mut self, mm: &ARef<Mm>) -> bool {
        let entry = (mm.clone(), self.last);
        self.shared.len() < MOST && self.shared.push(entry, charged::flags()).is_ok()
    }

    /// How many memories have numbers.
    pub(crate) fn count(&self) -> u64 {
        self.last
    }
}
