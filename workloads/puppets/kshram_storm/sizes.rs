// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random sizes and ranges.

use std::ops::Range;

use workloads::Rng;

/// A size for a slot: mostly a few pages, sometimes huge pages.
pub fn size(random: &mut Rng) -> u64 {
    let most = match random.u32(..20) {
        0 => 5 << 20,
        1..=3 => 512 << 10,
        _ => 64 << 10,
    };
    let size = random.u64(1..=most);
    match random.u32(..3) {
        0 => size.next_multiple_of(4096),
        _ => size,
    }
}

/// A range of at most 20000 bytes below `end`, which is not 0.
pub fn range(random: &mut Rng, end: usize) -> Range<usize> {
    let start = random.usize(..end);
    let most = (end - start).min(20_000);
    start..start + random.usize(1..=most)
}
