// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Assigning a ledger's counts to areas.

use super::{Bucket, Place};
use crate::area::Span;
use crate::cow::Counts;

/// Counts that belong to no bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Faults in ranges that no area held any more when that was looked at.
    pub gone: Counts,
    /// Faults in more areas than there were places for.
    pub unplaced: Counts,
}

impl Rest {
    pub(super) const ZERO: Self = Self {
        gone: Counts::ZERO,
        unplaced: Counts::ZERO,
    };
}

/// What an area's counts are added up in.
pub trait Tally: Copy + Default {
    /// Adds counts.
    fn add(&mut self, counts: &Counts);
}

impl Tally for Counts {
    fn add(&mut self, counts: &Counts) {
        self.merge(counts);
    }
}

/// CoW faults of all kinds together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub u64);

impl Tally for Faults {
    fn add(&mut self, counts: &Counts) {
        self.0 = self.0.saturating_add(counts.faults());
    }
}

/// What [`fold`] did not assign to an area, and all of it together. (What belongs to areas that are
/// not listed is in the total only.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Faults in ranges that no area holds any more.
    pub gone: Counts,
    /// Faults of which nobody knows the area.
    pub unplaced: Counts,
    /// All faults.
    pub total: Counts,
}

/// Assigns counts to `areas`, which ascend and do not overlap: they are added to `tallies`, in the
/// same order. Where what lies in none of them is, `place` says of its address: in an area that is not
/// listed, in none, or that cannot be told; then it is unplaced.
pub fn fold<T: Tally>(
    buckets: &[Bucket],
    rest: &Rest,
    areas: &[Span],
    tallies: &mut [T],
    mut place: impl FnMut(u64) -> Place,
) -> Folded {
    let mut folded = Folded {
        gone: rest.gone,
        unplaced: rest.unplaced,
        total: rest.gone,
    };
    folded.total.merge(&rest.unplaced);
    for bucket in buckets {
        folded.total.merge(&bucket.counts);
        if let Some(number) = number_of(areas, bucket.start) {
            if let Some(tally) = tallies.get_mut(number) {
                tally.add(&bucket.counts);
            }
            continue;
        }
        match place(bucket.start) {
            Place::Area(_) => {}
            Place::Gone => folded.gone.merge(&bucket.counts),
            Place::Unknown => folded.unplaced.merge(&bucket.counts),
        }
    }
    folded
}

/// The one of these areas, which ascend and do not overlap, that holds `address`.
pub fn find(areas: &[Span], address: u64) -> Option<&Span> {
    areas.get(number_of(areas, address)?)
}

fn number_of(areas: &[Span], address: u64) -> Option<usize> {
    let number = areas
        .partition_point(|area| area.start <= address)
        .checked_sub(1)?;
    (address < areas.get(number)?.end).then_some(number)
}
