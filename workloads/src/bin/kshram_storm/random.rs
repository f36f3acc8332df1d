// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers from a seed that is printed.

use std::fs::File;
use std::io::Read;

use anyhow::Result;

/// xorshift64*.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// With a seed from the kernel.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self::from_seed(u64::from_le_bytes(bytes) | 1))
    }

    fn from_seed(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// What it started from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Another sequence.
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.next() | 1)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number of a range that is not empty.
    pub fn of(&mut self, range: std::ops::Range<u32>) -> u32 {
        range.start + self.below(u64::from(range.end - range.start)) as u32
    }

    /// A size for a slot: mostly a few pages, sometimes huge pages.
    pub fn size(&mut self) -> u64 {
        let most = match self.below(20) {
            0 => 5 << 20,
            1..=3 => 512 << 10,
            _ => 64 << 10,
        };
        let size = 1 + self.below(most);
        match self.below(3) {
            0 => size.next_multiple_of(4096),
            _ => size,
        }
    }

    /// A range of at most 20000 bytes below `end`, which is not 0.
    pub fn range(&mut self, end: usize) -> std::ops::Range<usize> {
        let start = self.below(end as u64) as usize;
        let most = (end - start).min(20_000) as u64;
        start..start + 1 + self.below(most) as usize
    }
}
