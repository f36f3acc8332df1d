// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Finding the frames that hold equal bytes, by refining.
//!
//! All candidates start as one class and are split until a class holds equal frames only:
//!
//! 1. Each frame's *sample* is read, a number made from one cache line, and the candidates are
//!    sorted by it and by frame, so that each frame is there once however many mappings it came
//!    from. A frame whose sample is unique is done; it cost one cache line.
//! 2. In each class of equal samples every frame is compared with the first one, its
//!    representative. Those without a difference are a group. The others are sorted by *where*
//!    they differ first and *what* they hold there; equal frames agree in both and so stay
//!    together. Each such class goes through step 2 again, from behind that place on.
//!
//! No hash decides anything: two frames are in one group because every word of both was compared,
//! with each other or with the same third frame. And no choice of contents makes it slow. The
//! place moves on with every round, so that all comparisons of a frame together read it once, and
//! there are at most 512 rounds.
//!
//! A frame may be written while this goes on, through another mapping. Its place in the result
//! then follows the words that were read at their time; if it was a candidate more than once and
//! was written between its samples, it may have two places. Nothing else depends on it.
//!
//! The work happens inside the caller's array of 16-byte records:
//!
//! | bits | meaning |
//! |---|---|
//! | 0–47 | the frame's number |
//! | 48–111 | sample, or the word at the first difference |
//! | 112–121 | 0, or 1 + the index of that word |
//! | 127 | a class begins here |

use crate::sort::{dedup, end_of_run, sort, Pacer, Records, Scratch};
use core::ops::Range;

/// 64-bit words in a frame.
pub const WORDS: usize = 512;

const PFN: u128 = (1 << 48) - 1;
const KEY: u128 = 0x3ff << 112 | (u64::MAX as u128) << 48;
const STARTS: u128 = 1 << 127;
/// In place of an index: the frame is no longer there. Larger than any index.
const GONE: u64 = 0x3ff;

/// Units of a [`Pacer`] that a look at a frame costs, and a comparison.
const LOOK: u32 = 8;
const COMPARE: u32 = 128;

/// What grouping asks of a frame's contents.
pub trait Frame {
    /// A number made from a small part of the frame; equal frames give equal numbers.
    fn sample(&self) -> u64;
    /// The first word at index `from` or later in which this frame differs from `other`: its index,
    /// below [`WORDS`], and what this frame holds there.
    fn difference(&self, other: &Self, from: usize) -> Option<(usize, u64)>;
}

/// Where grouping finds the frames.
pub trait Frames {
    /// A frame that stays readable while the value lives.
    type Frame: Frame;
    /// Looks for the frame with number `pfn`.
    fn frame(&self, pfn: u64) -> Lookup<Self::Frame>;
}

/// What became of a candidate.
pub enum Lookup<F> {
    /// It is there.
    Found(F),
    /// It holds no process's page any more: the page was freed, or moved to another frame.
    Lost,
    /// It is there, but its contents are not to be read.
    Closed,
}

/// How many frames are duplicates of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// Frames that equal at least one other frame.
    pub frames: u64,
    /// Sets of two or more equal frames.
    pub groups: u64,
    /// Times that a candidate was not found any more, several for a frame with several mappings. If there were any, pages moved meanwhile, and
    /// the figures may miss some that were present all the time.
    pub lost: u64,
}

/// The record of a candidate: the frame with number `pfn` (less than 2⁴⁸).
pub const fn candidate(pfn: u64) -> u128 {
    pfn as u128 & PFN
}

/// Makes candidates ascend, each frame once however many mappings it came from.
///
/// # Errors
///
/// What the pacer's `pause` returned.
pub fn unite<R: Records, E, P: FnMut() -> Result<(), E>>(
    candidates: &mut R,
    scratch: &mut Scratch<'_>,
    pacer: &mut Pacer<P>,
) -> Result<(), E> {
    let all = 0..candidates.len();
    sort(candidates, all, PFN, scratch, pacer)?;
    dedup(candidates, PFN, pacer)
}

/// Counts the frames with equal bytes among the candidates, and uses the records up.
///
/// # Errors
///
/// What the pacer's `pause` returned.
pub fn group<R: Records, S: Frames, E, P: FnMut() -> Result<(), E>>(
    candidates: &mut R,
    frames: &S,
    scratch: &mut Scratch<'_>,
    pacer: &mut Pacer<P>,
) -> Result<Duplicates, E> {
    let mut found = Duplicates {
        lost: take_samples(candidates, frames, pacer)?,
        ..Duplicates::default()
    };
    // The same frame has the same sample: one sort unites its records, too.
    let all = 0..candidates.len();
    sort(candidates, all, KEY | PFN, scratch, pacer)?;
    dedup(candidates, KEY | PFN, pacer)?;
    let (mut kept, all) = (0, 0..candidates.len());
    keep_classes(candidates, all, &mut kept, pacer)?;
    candidates.truncate(kept);

    while !candidates.is_empty() {
        round(candidates, frames, scratch, pacer, &mut found)?;
    }
    Ok(found)
}

/// Gives each record its sample, and drops those of frames that cannot be read; returns how many
/// were lost.
fn take_samples<R: Records, S: Frames, E, P: FnMut() -> Result<(), E>>(
    candidates: &mut R,
    frames: &S,
    pacer: &mut Pacer<P>,
) -> Result<u64, E> {
    let (mut kept, mut lost) = (0, 0);
    for index in 0..candidates.len() {
        pacer.tick(LOOK)?;
        let record = candidates.get(index);
        match frames.frame(pfn(record)) {
            Lookup::Found(frame) => {
                candidates.set(kept, keyed(record, 0, frame.sample()));
                kept += 1;
            }
            Lookup::Lost => lost += 1,
            Lookup::Closed => {}
        }
    }
    candidates.truncate(kept);
    Ok(lost)
}

/// Compares every class with its representative, counts the groups and keeps the new classes.
fn round<R: Records, S: Frames, E, P: FnMut() -> Result<(), E>>(
    records: &mut R,
    frames: &S,
    scratch: &mut Scratch<'_>,
    pacer: &mut Pacer<P>,
    found: &mut Duplicates,
) -> Result<(), E> {
    let (mut start, mut kept) = (0, 0);
    while start < records.len() {
        let end = end_of_class(records, start, pacer)?;
        let class = start..end;
        let (equal, gone) = compare(records, frames, class.clone(), pacer, &mut found.lost)?;
        sort(records, class.clone(), KEY, scratch, pacer)?;
        if equal > 1 {
            found.frames = found.frames.wrapping_add(equal as u64);
            found.groups = found.groups.wrapping_add(1);
        }
        keep_classes(records, start + equal..end - gone, &mut kept, pacer)?;
        start = end;
    }
    records.truncate(kept);
    Ok(())
}

/// The marks tell a class from a neighbour that happens to have the same key.
fn end_of_class<R: Records, E, P: FnMut() -> Result<(), E>>(
    records: &R,
    start: usize,
    pacer: &mut Pacer<P>,
) -> Result<usize, E> {
    let mut end = start + 1;
    while end < records.len() && records.get(end) & STARTS == 0 {
        pacer.tick(1)?;
        end += 1;
    }
    Ok(end)
}

/// Gives each record of a class its new key; returns how many frames equal the representative
/// (itself included) and how many are gone.
fn compare<R: Records, S: Frames, E, P: FnMut() -> Result<(), E>>(
    records: &mut R,
    frames: &S,
    class: Range<usize>,
    pacer: &mut Pacer<P>,
    lost: &mut u64,
) -> Result<(usize, usize), E> {
    let from = place(records.get(class.start));
    let mut representative: Option<S::Frame> = None;
    let (mut equal, mut gone) = (0, 0);
    for index in class {
        pacer.tick(COMPARE)?;
        let record = records.get(index);
        let (place, word) = match (frames.frame(pfn(record)), &representative) {
            (Lookup::Found(frame), None) => {
                representative = Some(frame);
                equal += 1;
                (0, 0)
            }
            (Lookup::Found(frame), Some(first)) => match frame.difference(first, from) {
                Some((at, word)) => (at as u64 + 1, word),
                None => {
                    equal += 1;
                    (0, 0)
                }
            },
            (lookup, _) => {
                *lost = lost.wrapping_add(matches!(lookup, Lookup::Lost).into());
                gone += 1;
                (GONE, 0)
            }
        };
        records.set(index, keyed(record, place, word));
    }
    Ok((equal, gone))
}

/// Moves the classes of at least two records in `range` down to `kept` and marks their beginnings.
fn keep_classes<R: Records, E, P: FnMut() -> Result<(), E>>(
    records: &mut R,
    range: Range<usize>,
    kept: &mut usize,
    pacer: &mut Pacer<P>,
) -> Result<(), E> {
    let mut start = range.start;
    while start < range.end {
        let end = end_of_run(records, start..range.end, KEY, pacer)?;
        if end - start > 1 {
            for index in start..end {
                let mark = if index == start { STARTS } else { 0 };
                let record = records.get(index);
                records.set(*kept, record | mark);
                *kept += 1;
            }
        }
        start = end;
    }
    Ok(())
}

fn pfn(record: u128) -> u64 {
    (record & PFN) as u64
}

/// The index of the word from which on a class is not compared yet.
fn place(record: u128) -> usize {
    usize::from((record >> 112) as u16 & 0x3ff)
}

/// The record of the same frame with another key, unmarked.
fn keyed(record: u128, place: u64, word: u64) -> u128 {
    u128::from(place) << 112 | u128::from(word) << 48 | record & PFN
}
