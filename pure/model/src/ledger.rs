// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! A ledger of faults by memory area.
//!
//! A fault is entered under the start of the area (VMA) that it happened in, as that was at the
//! time. Areas change while the ledger is kept; [`Ledger::fold`] assigns the entries to the areas
//! of the moment by address. So the counts of areas that were merged add up exactly; after a split
//! the earlier counts stay with the lower part; what was counted for a range that is unmapped or
//! was moved away goes to [`Folded::gone`]. The total always holds everything.
//!
//! Memory is bounded: the caller lends the places. When they are all taken, faults in further areas
//! are counted together, without an address. Entering costs one hash and, as a rule, one look; a
//! repeated area not even that.

use crate::cow::{Counts, Kind};
use core::ops::DerefMut;

/// The counts of faults in areas that began at one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Where the areas began.
    pub start: u64,
    /// What happened in them.
    pub counts: Counts,
}

impl Bucket {
    /// An unused bucket.
    pub const EMPTY: Self = Self {
        start: 0,
        counts: Counts::ZERO,
    };
}

/// A memory area: the addresses from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// First address behind.
    pub end: u64,
}

/// Places of [`Ledger::new`]'s index for so many buckets.
pub const fn index_len(buckets: usize) -> usize {
    buckets.saturating_mul(2).next_power_of_two()
}

/// See the module's documentation.
pub struct Ledger<B, I> {
    buckets: B,
    /// For each hash, 1 + the bucket's number, or 0. A power of two of places, always some free.
    index: I,
    used: usize,
    /// The bucket that was used last.
    last: usize,
    elsewhere: Counts,
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

/// What [`Ledger::fold`] could not assign to an area, and all of it together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Faults in ranges that no area holds any more, and those without an address.
    pub gone: Counts,
    /// All faults.
    pub total: Counts,
}

impl<B: DerefMut<Target = [Bucket]>, I: DerefMut<Target = [u16]>> Ledger<B, I> {
    /// An empty ledger with so many buckets, at most 65534, and an index of [`index_len`] places.
    /// `None` if the sizes do not go together.
    pub fn new(buckets: B, index: I) -> Option<Self> {
        let fits = buckets.len() < usize::from(u16::MAX) && index.len() == index_len(buckets.len());
        let mut ledger = Self {
            buckets,
            index,
            used: 0,
            last: 0,
            elsewhere: Counts::ZERO,
        };
        ledger.clear();
        fits.then_some(ledger)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.index.fill(0);
        self.used = 0;
        self.last = 0;
        self.elsewhere = Counts::ZERO;
    }

    /// Enters faults of a kind in the area that begins at `start`.
    #[inline]
    pub fn count(&mut self, start: u64, kind: Kind, faults: u64) {
        self.counts_at(start).add(kind, faults);
    }

    /// A fault in that area that was counted as `was` turned out to be a take-over.
    pub fn turn_into_reuse(&mut self, start: u64, was: Kind) {
        self.counts_at(start).turn_into_reuse(was);
    }

    /// The buckets in use, in the order in which their areas had their first fault.
    pub fn buckets(&self) -> &[Bucket] {
        self.buckets.get(..self.used).unwrap_or_default()
    }

    /// Assigns everything to `areas`, which ascend and do not overlap: it is added to `tallies`, in
    /// the same order. Areas without a place in `tallies` are taken for gone.
    pub fn fold<T: Tally>(&self, areas: &[Area], tallies: &mut [T]) -> Folded {
        let mut folded = Folded {
            gone: self.elsewhere,
            total: self.elsewhere,
        };
        for bucket in self.buckets() {
            folded.total.merge(&bucket.counts);
            match find(areas, bucket.start).and_then(|number| tallies.get_mut(number)) {
                Some(tally) => tally.add(&bucket.counts),
                None => folded.gone.merge(&bucket.counts),
            }
        }
        folded
    }

    #[inline]
    fn counts_at(&mut self, start: u64) -> &mut Counts {
        if self.is_in_use(self.last, start) {
            return self.counts_of(self.last);
        }
        match self.find_or_add(start) {
            Some(number) => {
                self.last = number;
                self.counts_of(number)
            }
            None => &mut self.elsewhere,
        }
    }

    #[inline]
    fn is_in_use(&self, number: usize, start: u64) -> bool {
        let bucket = self.buckets().get(number);
        bucket.is_some_and(|bucket| bucket.start == start)
    }

    #[inline]
    fn counts_of(&mut self, number: usize) -> &mut Counts {
        match self.buckets.get_mut(number) {
            Some(bucket) => &mut bucket.counts,
            None => &mut self.elsewhere,
        }
    }

    /// The number of the bucket for `start`; `None` if there is no free one.
    #[inline(never)]
    fn find_or_add(&mut self, start: u64) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut place = hash(start) as usize & mask;
        // At most half of the places are taken, so this ends.
        loop {
            let entry = self.index.get_mut(place)?;
            let Some(number) = usize::from(*entry).checked_sub(1) else {
                let number = self.used;
                *self.buckets.get_mut(number)? = Bucket {
                    start,
                    counts: Counts::ZERO,
                };
                self.used = number.checked_add(1)?;
                *entry = u16::try_from(self.used).ok()?;
                return Some(number);
            };
            if self.buckets.get(number)?.start == start {
                return Some(number);
            }
            place = place.wrapping_add(1) & mask;
        }
    }
}

/// The number of the area that holds `address`.
fn find(areas: &[Area], address: u64) -> Option<usize> {
    let number = areas
        .partition_point(|area| area.start <= address)
        .checked_sub(1)?;
    (address < areas.get(number)?.end).then_some(number)
}

/// Spreads page-aligned addresses.
const fn hash(address: u64) -> u64 {
    (address >> 12).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, vec, vec::Vec};

    const PAGE: u64 = 4096;

    fn ledger(buckets: usize) -> Ledger<Vec<Bucket>, Vec<u16>> {
        Ledger::new(vec![Bucket::EMPTY; buckets], vec![7; index_len(buckets)]).unwrap()
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Copied),
            Just(Kind::Reused),
            Just(Kind::ZeroFilled),
            Just(Kind::Split),
            Just(Kind::FirstWrite),
            Just(Kind::Remote),
        ]
    }

    /// Faults in areas that begin at small multiples of a page.
    fn some_faults() -> impl Strategy<Value = Vec<(u64, Kind)>> {
        vec(((0_u64..60).prop_map(|page| page * PAGE), kinds()), 0..400)
    }

    /// Ascending areas without overlap within the same addresses.
    fn some_areas() -> impl Strategy<Value = Vec<Area>> {
        vec((0_u64..4, 1_u64..6), 0..12).prop_map(|sizes| {
            let mut at = 0;
            let mut areas = Vec::new();
            for (hole, length) in sizes {
                let start = at + hole * PAGE;
                at = start + length * PAGE;
                areas.push(Area { start, end: at });
            }
            areas
        })
    }

    fn sum<'a>(all: impl IntoIterator<Item = &'a Counts>) -> Counts {
        let mut sum = Counts::ZERO;
        all.into_iter().for_each(|counts| sum.merge(counts));
        sum
    }

    fn entered(faults: &[(u64, Kind)], buckets: usize) -> Ledger<Vec<Bucket>, Vec<u16>> {
        let mut ledger = ledger(buckets);
        for (start, kind) in faults {
            ledger.count(*start, *kind, 1);
        }
        ledger
    }

    proptest! {
        #[test]
        fn every_area_has_what_was_entered_within_it(faults in some_faults(), areas in some_areas()) {
            let mut counts = vec![Counts::ZERO; areas.len()];
            entered(&faults, 64).fold(&areas, &mut counts);
            for (area, counts) in areas.iter().zip(&counts) {
                let mut expected = Counts::ZERO;
                for (start, kind) in &faults {
                    if (area.start..area.end).contains(start) {
                        expected.add(*kind, 1);
                    }
                }
                prop_assert_eq!(*counts, expected);
            }
        }

        #[test]
        fn nothing_is_lost(faults in some_faults(), areas in some_areas(), buckets in 1_usize..80, places in 0_usize..12) {
            let mut counts = vec![Counts::ZERO; places];
            let folded = entered(&faults, buckets).fold(&areas, &mut counts);
            let mut expected = Counts::ZERO;
            faults.iter().for_each(|(_, kind)| expected.add(*kind, 1));
            prop_assert_eq!(folded.total, expected);
            prop_assert_eq!(sum(counts.iter().chain([&folded.gone])), expected);
        }

        #[test]
        fn faults_are_the_sum_of_their_kinds(faults in some_faults(), areas in some_areas()) {
            let mut counts = vec![Counts::ZERO; areas.len()];
            let mut sums = vec![Faults(0); areas.len()];
            let ledger = entered(&faults, 64);
            prop_assert_eq!(ledger.fold(&areas, &mut counts), ledger.fold(&areas, &mut sums));
            let expected: Vec<Faults> = counts.iter().map(|c| Faults(c.faults())).collect();
            prop_assert_eq!(sums, expected);
        }

        #[test]
        fn the_order_of_faults_does_not_matter(mut faults in some_faults(), areas in some_areas()) {
            let mut one = vec![Counts::ZERO; areas.len()];
            let mut other = one.clone();
            let folded = entered(&faults, 64).fold(&areas, &mut one);
            faults.reverse();
            prop_assert_eq!(entered(&faults, 64).fold(&areas, &mut other), folded);
            prop_assert_eq!(one, other);
        }

        #[test]
        fn merged_areas_have_the_sum_of_their_parts(faults in some_faults(), cut in 1_u64..59) {
            let parts = [
                Area { start: 0, end: cut * PAGE },
                Area { start: cut * PAGE, end: 60 * PAGE },
            ];
            let mut of_parts = [Counts::ZERO; 2];
            let mut of_whole = [Counts::ZERO];
            let ledger = entered(&faults, 64);
            ledger.fold(&parts, &mut of_parts);
            ledger.fold(&[Area { start: 0, end: 60 * PAGE }], &mut of_whole);
            prop_assert_eq!(sum(&of_parts), of_whole[0]);
        }

        #[test]
        fn buckets_are_a_map_from_starts_to_counts(faults in some_faults()) {
            let mut expected: BTreeMap<u64, Counts> = BTreeMap::new();
            for (start, kind) in &faults {
                expected.entry(*start).or_default().add(*kind, 1);
            }
            let ledger = entered(&faults, 64);
            let found: BTreeMap<u64, Counts> =
                ledger.buckets().iter().map(|b| (b.start, b.counts)).collect();
            prop_assert_eq!(found.len(), ledger.buckets().len());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_split_leaves_earlier_counts_with_the_lower_part() {
        let ledger = entered(&[(0, Kind::Copied), (0, Kind::Copied)], 4);
        let areas = [
            Area {
                start: 0,
                end: 8192,
            },
            Area {
                start: 8192,
                end: 16384,
            },
        ];
        let mut counts = [Counts::ZERO; 2];
        ledger.fold(&areas, &mut counts);
        assert_eq!(counts.map(|counts| counts.faults()), [2, 0]);
    }

    #[test]
    fn clearing_starts_anew() {
        let mut ledger = entered(&[(4096, Kind::Copied), (8192, Kind::Reused)], 1);
        ledger.clear();
        assert_eq!(ledger.buckets(), &[]);
        assert_eq!(ledger.fold::<Counts>(&[], &mut []), Folded::default());
        ledger.count(8192, Kind::Reused, 1);
        assert_eq!(ledger.buckets().len(), 1);
    }

    #[test]
    fn an_unfitting_index_is_refused() {
        assert!(Ledger::new(vec![Bucket::EMPTY; 4], vec![0_u16; 4]).is_none());
    }

    #[test]
    fn a_take_over_is_not_a_copy_any_more() {
        let mut ledger = ledger(2);
        ledger.count(0, Kind::Copied, 1);
        ledger.turn_into_reuse(0, Kind::Copied);
        assert_eq!(ledger.fold::<Counts>(&[], &mut []).total.reused, 1);
        assert_eq!(ledger.fold::<Counts>(&[], &mut []).total.copied, 0);
    }
}
