// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What the tests of this crate share.

use std::fmt;

use model::sort::{Records, Scratch, BUCKETS, FEW};
use model::text::Output;
use proptest::prelude::ProptestConfig;

/// Records in a plain vector.
#[derive(Clone, Debug)]
pub struct Array(pub Vec<u128>);

impl Records for Array {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> u128 {
        self.0.get(index).copied().unwrap_or_default()
    }

    fn set(&mut self, index: usize, record: u128) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = record;
        }
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// Text that is kept.
pub struct Bytes(pub Vec<u8>);

impl fmt::Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes())
    }
}

impl Output for Bytes {
    fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Scratch space, filled with what must not matter.
pub struct Space {
    next: Box<[u32; BUCKETS]>,
    end: Box<[u32; BUCKETS]>,
    few: Box<[u128; FEW]>,
}

impl Space {
    pub fn new() -> Self {
        Self {
            next: Box::new([7; BUCKETS]),
            end: Box::new([7; BUCKETS]),
            few: Box::new([7; FEW]),
        }
    }

    pub fn lend(&mut self) -> Scratch<'_> {
        Scratch {
            next: &mut self.next,
            end: &mut self.end,
            few: &mut self.few,
        }
    }
}

/// Few and small cases under Miri, which is some thousand times slower.
pub fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 5 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A length, or less of it under Miri.
pub fn longest(len: usize) -> usize {
    if cfg!(miri) {
        len.min(60)
    } else {
        len
    }
}
