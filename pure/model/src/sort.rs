// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Sorting many small records in place, in linear time, without needing them contiguous.
//!
//! An in-place radix sort ("American flag"): the records of a range are dealt into buckets by the
//! topmost bits in which they differ at all, so many buckets that few records fall into each; those
//! few are copied together and sorted by comparing. Bits that do not vary cost one look,
//! so that the time depends on what tells the records apart and not on their width. A range that is
//! in order already costs one look as well.

use core::ops::Range;

/// A random-access sequence of 128-bit records, contiguous or not.
pub trait Records {
    /// How many there are.
    fn len(&self) -> usize;
    /// The record at `index`; 0 beyond the end.
    fn get(&self, index: usize) -> u128;
    /// Replaces the record at `index`; nothing happens beyond the end.
    fn set(&mut self, index: usize, record: u128);
    /// Forgets all records from `len` on.
    fn truncate(&mut self, len: usize);

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Gives the caller a word now and then during long work, so that it can offer the CPU to others
/// and can stop the work.
pub struct Pacer<F> {
    left: u32,
    pause: F,
}

/// Units of work between two calls; one unit is about the handling of one record.
const PERIOD: u32 = 2048;

/// Records of a run that are looked at between two accounts.
const AT_ONCE: usize = 1024;

impl<E, F: FnMut() -> Result<(), E>> Pacer<F> {
    /// `pause` is called between pieces of work; its error ends the work.
    pub fn new(pause: F) -> Self {
        Self {
            left: PERIOD,
            pause,
        }
    }

    /// Accounts for `units` of work.
    ///
    /// # Errors
    ///
    /// What `pause` returned.
    #[inline]
    pub fn tick(&mut self, units: u32) -> Result<(), E> {
        self.left = self.left.saturating_sub(units);
        if self.left > 0 {
            return Ok(());
        }
        self.left = PERIOD;
        (self.pause)()
    }
}

/// Buckets that records are dealt into at most.
pub const BUCKETS: usize = 1024;
/// Records that are sorted together at most.
pub const FEW: usize = 256;
/// Bits that tell buckets apart at least: they bound the recursion, for the sake of a kernel stack.
const BITS_MIN: u32 = 8;
/// Records that should fall into a bucket.
const IN_A_BUCKET: usize = 64;

/// Scratch space for [`sort`], lent by the caller, with any contents.
pub struct Scratch<'a> {
    /// Where the next record of a bucket goes.
    pub next: &'a mut [u32; BUCKETS],
    /// Where a bucket ends.
    pub end: &'a mut [u32; BUCKETS],
    /// Records that are sorted together.
    pub few: &'a mut [u128; FEW],
}

/// Sorts the records of `range` by those of their bits that are set in `mask`.
///
/// Not stable. Recurses 16 times at most, and mostly once. At most 2³² records (64 GiB of them).
///
/// # Errors
///
/// What the pacer's `pause` returned; the records are then good for nothing.
pub fn sort<R: Records, E, F: FnMut() -> Result<(), E>>(
    records: &mut R,
    range: Range<usize>,
    mask: u128,
    scratch: &mut Scratch<'_>,
    pacer: &mut Pacer<F>,
) -> Result<(), E> {
    if let Some(few) = scratch.few.get_mut(..range.len()) {
        sort_few(records, range.start, mask, few);
        return pacer.tick(range.len() as u32);
    }
    let Some(top) = top_varying_bit(records, range.clone(), mask, pacer)? else {
        return Ok(());
    };
    let bits = (range.len() / IN_A_BUCKET)
        .ilog2()
        .clamp(BITS_MIN, BUCKETS.ilog2());
    let shift = (top + 1).saturating_sub(bits);
    let digit = Digit { mask, shift, bits };
    deal(records, range.clone(), digit, scratch, pacer)?;
    // The buckets are found again by their digit: keeping their bounds would cost a page a level.
    let below = mask & !(u128::MAX << shift);
    let mut start = range.start;
    while start < range.end {
        let end = end_of_run(records, start..range.end, mask & !below, pacer)?;
        if end - start > 1 && below != 0 {
            sort(records, start..end, below, scratch, pacer)?;
        }
        start = end;
    }
    Ok(())
}

/// The end of the run of records that equal the first of `range` in the bits of `mask`.
///
/// # Errors
///
/// What the pacer's `pause` returned.
// Most runs are of one record: a call would cost more than the look.
#[inline(always)]
pub fn end_of_run<R: Records, E, F: FnMut() -> Result<(), E>>(
    records: &R,
    range: Range<usize>,
    mask: u128,
    pacer: &mut Pacer<F>,
) -> Result<usize, E> {
    let first = records.get(range.start) & mask;
    let end = equals(records, first, range.start + 1..range.end, mask);
    pacer.tick((end - range.start) as u32)?;
    if end - range.start <= AT_ONCE {
        return Ok(end);
    }
    end_of_long_run(records, first, end..range.end, mask, pacer)
}

/// The end of a run of which the first record with another value than `first`, if there is one, is in
/// `range`.
#[cold]
#[inline(never)]
fn end_of_long_run<R: Records, E, F: FnMut() -> Result<(), E>>(
    records: &R,
    first: u128,
    range: Range<usize>,
    mask: u128,
    pacer: &mut Pacer<F>,
) -> Result<usize, E> {
    let mut start = range.start;
    loop {
        let end = equals(records, first, start..range.end, mask);
        pacer.tick((end - start) as u32)?;
        if end - start < AT_ONCE {
            return Ok(end);
        }
        start = end;
    }
}

/// The end of those at the beginning of `range` that equal `first`, [`AT_ONCE`] of them at most.
#[inline]
fn equals<R: Records>(records: &R, first: u128, range: Range<usize>, mask: u128) -> usize {
    let stop = range.end.min(range.start.saturating_add(AT_ONCE));
    let mut end = range.start;
    while end < stop && records.get(end) & mask == first {
        end += 1;
    }
    end
}

/// Drops all but the first of neighbours that are equal in the bits of `mask`.
///
/// # Errors
///
/// What the pacer's `pause` returned.
pub fn dedup<R: Records, E, F: FnMut() -> Result<(), E>>(
    records: &mut R,
    mask: u128,
    pacer: &mut Pacer<F>,
) -> Result<(), E> {
    let mut kept = 0;
    for index in 0..records.len() {
        pacer.tick(1)?;
        let record = records.get(index);
        if kept == 0 || (records.get(kept - 1) ^ record) & mask != 0 {
            records.set(kept, record);
            kept += 1;
        }
    }
    records.truncate(kept);
    Ok(())
}

/// Sorts the records from `start` on, as many as there is room for in `few`.
fn sort_few<R: Records>(records: &mut R, start: usize, mask: u128, few: &mut [u128]) {
    for (index, record) in few.iter_mut().enumerate() {
        *record = records.get(start + index);
    }
    shell_sort(few, mask);
    for (index, record) in few.iter().enumerate() {
        records.set(start + index, *record);
    }
}

/// Shell's sort with Ciura's gaps. The standard library's is quicker for this many, but recurses,
/// and for chosen contents needs most of a kernel stack.
fn shell_sort(records: &mut [u128], mask: u128) {
    for gap in [132, 57, 23, 10, 4, 1] {
        for index in gap..records.len() {
            let record = records[index];
            let mut hole = index;
            while hole >= gap && records[hole - gap] & mask > record & mask {
                records[hole] = records[hole - gap];
                hole -= gap;
            }
            records[hole] = record;
        }
    }
}

/// The highest bit of `mask` that is not the same in all records; `None` if they are in order.
fn top_varying_bit<R: Records, E, F: FnMut() -> Result<(), E>>(
    records: &R,
    range: Range<usize>,
    mask: u128,
    pacer: &mut Pacer<F>,
) -> Result<Option<u32>, E> {
    let first = records.get(range.start) & mask;
    let (mut varying, mut previous, mut in_order) = (0, first, true);
    for index in range {
        let record = records.get(index) & mask;
        varying |= record ^ first;
        in_order &= previous <= record;
        previous = record;
        pacer.tick(1)?;
    }
    Ok(if in_order {
        None
    } else {
        varying.checked_ilog2()
    })
}

/// The bits of a record that choose its bucket: `bits` of those of `mask`, from `shift` on.
#[derive(Clone, Copy)]
struct Digit {
    mask: u128,
    shift: u32,
    bits: u32,
}

impl Digit {
    #[inline]
    fn of(self, record: u128) -> usize {
        ((record & self.mask) >> self.shift) as usize & ((1 << self.bits) - 1)
    }
}

/// Deals the records into buckets.
fn deal<R: Records, E, F: FnMut() -> Result<(), E>>(
    records: &mut R,
    range: Range<usize>,
    digit: Digit,
    scratch: &mut Scratch<'_>,
    pacer: &mut Pacer<F>,
) -> Result<(), E> {
    let used = ..BUCKETS.min(1 << digit.bits);
    let (next, end) = (&mut scratch.next[used], &mut scratch.end[used]);
    end.fill(0);
    for index in range.clone() {
        let count = &mut end[digit.of(records.get(index))];
        *count = count.wrapping_add(1);
        pacer.tick(1)?;
    }
    let mut at = range.start as u32;
    for (next, end) in next.iter_mut().zip(end.iter_mut()) {
        *next = at;
        at = at.wrapping_add(*end);
        *end = at;
    }
    for bucket in 0..end.len() {
        while next[bucket] < end[bucket] {
            // Follow the chain of displaced records until one belongs here.
            let mut record = records.get(next[bucket] as usize);
            loop {
                let home = digit.of(record);
                let slot = next[home];
                next[home] = slot.wrapping_add(1);
                pacer.tick(1)?;
                if home == bucket {
                    records.set(slot as usize, record);
                    break;
                }
                let displaced = records.get(slot as usize);
                records.set(slot as usize, record);
                record = displaced;
            }
        }
    }
    Ok(())
}
