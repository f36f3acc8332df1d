// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! A ledger of faults by memory area.
//!
//! A fault is entered under the start of the area (VMA) that it happened in, as that was at the
//! time. Areas change while the ledger is kept; [`fold()`] assigns the entries to the areas of the
//! moment by address. So the counts of areas that were merged add up exactly; after a split the
//! earlier counts stay with the lower part; what was counted for a range that is unmapped or was
//! moved away is [`Folded::gone`]. The total always holds everything.
//!
//! Memory is bounded: the caller lends the places. An area that grows downwards has another start
//! each time and takes a place for each. So when places run short the ledger asks what the [`Root`]
//! has now: buckets of one area become one, and those of no area are given up to [`Rest::gone`]. A
//! few are looked at for each new start, from [`RESERVE`] places before the end on, so that all have
//! been looked at before the last place is taken. Only faults in more areas than there are places
//! are counted without an address ([`Rest::unplaced`]).
//!
//! Entering costs one hash and, as a rule, one look; a repeated area not even that.

mod fold;
#[cfg(test)]
mod tests;

use crate::cow::{Counts, Kind};
use core::ops::DerefMut;
pub use fold::{find, fold, Faults, Folded, Rest, Tally};

/// Places that are left when the ledger begins to look for some that can be given up.
pub const RESERVE: usize = 64;

/// Buckets that are looked at for each new start then: with 512 places all of them, before the
/// reserve is used up.
const LOOKS: usize = 8;

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

/// Where the root has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the area that begins there.
    Area(u64),
    /// In none.
    Gone,
    /// That cannot be told now.
    Unknown,
}

/// The address space whose areas the counts are for, and what else the ledger has to know.
pub trait Root {
    /// Where `address` is.
    fn place(&mut self, address: u64) -> Place;
    /// Two equal versions mean the same areas. `None`: they are being changed.
    fn version(&mut self) -> Option<u32>;
    /// The bucket of `start` is given up: ends the counting of copies outside of the ledger, and
    /// returns how many there are.
    fn close(&mut self, start: u64) -> u64;
}

/// Where a fault was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// In the bucket of its area's start.
    There,
    /// Elsewhere: there was no place for such a bucket.
    Elsewhere,
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
    rest: Rest,
    sweep: Sweep,
}

/// How far the search for buckets that can be given up is.
#[derive(Clone, Copy)]
struct Sweep {
    /// The bucket that is looked at next.
    next: usize,
    /// Looks in a row that found nothing, at this version of the root.
    in_vain: usize,
    version: Option<u32>,
}

impl Sweep {
    const START: Self = Self {
        next: 0,
        in_vain: 0,
        version: None,
    };
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
            rest: Rest::ZERO,
            sweep: Sweep::START,
        };
        ledger.clear();
        fits.then_some(ledger)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.index.fill(0);
        self.used = 0;
        self.last = 0;
        self.rest = Rest::ZERO;
        self.sweep = Sweep::START;
    }

    /// Enters faults of a kind in the area that begins at `start`.
    #[inline]
    pub fn count(&mut self, start: u64, kind: Kind, faults: u64, root: &mut impl Root) -> Entered {
        if !self.is_in_use(self.last, start) {
            match self.find_or_add(start, root) {
                Some(number) => self.last = number,
                None => return self.count_elsewhere(start, kind, faults, root),
            }
        }
        self.counts_of(self.last).add(kind, faults);
        Entered::There
    }

    /// A fault in that area that was counted as `was` turned out to be a take-over.
    pub fn turn_into_reuse(&mut self, start: u64, was: Kind, root: &mut impl Root) {
        let counts = match self.number_of(start) {
            Some(number) => self.counts_of(number),
            None => self.counts_elsewhere(start, root),
        };
        counts.turn_into_reuse(was);
    }

    /// The buckets in use, in no particular order.
    pub fn buckets(&self) -> &[Bucket] {
        self.buckets.get(..self.used).unwrap_or_default()
    }

    /// What is in no bucket.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Looks at so many buckets from `next` on and gives up those that can be: for somebody who
    /// looks at all. Returns where to go on; `None` after the last one.
    pub fn settle(&mut self, mut next: usize, looks: usize, root: &mut impl Root) -> Option<usize> {
        for _ in 0..looks {
            if next >= self.used {
                return None;
            }
            if !self.look(next, root) {
                next = next.saturating_add(1);
            }
        }
        Some(next)
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
            None => &mut self.rest.unplaced,
        }
    }

    #[inline(never)]
    fn count_elsewhere(
        &mut self,
        start: u64,
        kind: Kind,
        faults: u64,
        root: &mut impl Root,
    ) -> Entered {
        self.counts_elsewhere(start, root).add(kind, faults);
        Entered::Elsewhere
    }

    /// Where what happens in an area whose start has no bucket is counted: with the rest of the area,
    /// if that has one under its start of now.
    fn counts_elsewhere(&mut self, start: u64, root: &mut impl Root) -> &mut Counts {
        let number = match root.place(start) {
            Place::Area(first) => self.number_of(first),
            Place::Gone | Place::Unknown => None,
        };
        match number {
            Some(number) => self.counts_of(number),
            None => &mut self.rest.unplaced,
        }
    }

    /// The number of the bucket for `start`; `None` if there is no free one.
    #[inline(never)]
    fn find_or_add(&mut self, start: u64, root: &mut impl Root) -> Option<usize> {
        if let Some(number) = self.number_of(start) {
            return Some(number);
        }
        if self.used.saturating_add(RESERVE) >= self.buckets.len() {
            self.make_room(root);
            // A bucket may have come to this start.
            if let Some(number) = self.number_of(start) {
                return Some(number);
            }
        }
        let number = self.used;
        *self.buckets.get_mut(number)? = Bucket {
            start,
            counts: Counts::ZERO,
        };
        self.used = number.saturating_add(1);
        self.enter(start, number);
        self.sweep.in_vain = 0;
        Some(number)
    }

    /// Looks at some buckets, unless all were looked at in vain and nothing has changed.
    #[inline(never)]
    fn make_room(&mut self, root: &mut impl Root) {
        let version = root.version();
        if version.is_none() || version != self.sweep.version {
            self.sweep.version = version;
            self.sweep.in_vain = 0;
        }
        for _ in 0..LOOKS {
            if self.sweep.in_vain >= self.used {
                return;
            }
            if self.sweep.next >= self.used {
                self.sweep.next = 0;
            }
            if self.look(self.sweep.next, root) {
                self.sweep.in_vain = 0;
            } else {
                self.sweep.in_vain = self.sweep.in_vain.saturating_add(1);
                self.sweep.next = self.sweep.next.saturating_add(1);
            }
        }
    }

    /// Brings a bucket to the start that its area has now, and returns whether it was given up: to
    /// the bucket that is there, or because there is no such area any more.
    fn look(&mut self, number: usize, root: &mut impl Root) -> bool {
        let Some(start) = self.buckets().get(number).map(|bucket| bucket.start) else {
            return false;
        };
        let first = match root.place(start) {
            Place::Unknown => return false,
            Place::Area(first) if first == start => return false,
            Place::Area(first) => Some(first),
            Place::Gone => None,
        };
        let copies = root.close(start);
        self.counts_of(number).add(Kind::Copied, copies);
        let to = first.map(|first| (first, self.number_of(first)));
        if let Some((first, None)) = to {
            self.leave(start);
            if let Some(bucket) = self.buckets.get_mut(number) {
                bucket.start = first;
            }
            self.enter(first, number);
            return false;
        }
        let counts = *self.counts_of(number);
        match to {
            Some((_, Some(other))) => self.counts_of(other).merge(&counts),
            _ => self.rest.gone.merge(&counts),
        }
        self.remove(number, start);
        true
    }

    /// Removes a bucket; the last one takes its place.
    fn remove(&mut self, number: usize, start: u64) {
        self.leave(start);
        let last = self.used.saturating_sub(1);
        if let Some(moved) = self.buckets.get(last).copied().filter(|_| last != number) {
            self.leave(moved.start);
            if let Some(bucket) = self.buckets.get_mut(number) {
                *bucket = moved;
            }
            self.enter(moved.start, number);
        }
        self.used = last;
    }

    /// The bucket of `start`.
    fn number_of(&self, start: u64) -> Option<usize> {
        let entry = *self.index.get(self.entry_of(start)?)?;
        usize::from(entry).checked_sub(1)
    }

    /// Where in the index `start` is, or the free place where it belongs.
    fn entry_of(&self, start: u64) -> Option<usize> {
        let mut place = self.home(start);
        // At most half of the places are taken, so this ends.
        loop {
            let number = usize::from(*self.index.get(place)?).checked_sub(1);
            match number {
                Some(number) if self.buckets.get(number)?.start != start => {
                    place = self.behind(place);
                }
                _ => return Some(place),
            }
        }
    }

    fn home(&self, start: u64) -> usize {
        hash(start) as usize & self.index.len().wrapping_sub(1)
    }

    fn behind(&self, place: usize) -> usize {
        place.wrapping_add(1) & self.index.len().wrapping_sub(1)
    }

    /// Enters a bucket into the index, where it is not.
    fn enter(&mut self, start: u64, number: usize) {
        let place = self.entry_of(start);
        let entry = u16::try_from(number.wrapping_add(1));
        if let (Some(place), Ok(entry)) = (place, entry) {
            if let Some(to) = self.index.get_mut(place) {
                *to = entry;
            }
        }
    }

    /// Takes a start out of the index. What was put behind it because it was there moves up.
    fn leave(&mut self, start: u64) {
        let Some(mut free) = self.entry_of(start) else {
            return;
        };
        let mut place = free;
        loop {
            place = self.behind(place);
            let entry = self.index.get(place).copied().unwrap_or_default();
            let bucket = usize::from(entry).checked_sub(1);
            let Some(bucket) = bucket.and_then(|number| self.buckets.get(number)) else {
                break;
            };
            // It may move if it would be looked for at `free`: if that is not before its home.
            let mask = self.index.len().wrapping_sub(1);
            let from_home = place.wrapping_sub(self.home(bucket.start)) & mask;
            let from_free = place.wrapping_sub(free) & mask;
            if from_home >= from_free {
                if let Some(to) = self.index.get_mut(free) {
                    *to = entry;
                }
                free = place;
            }
        }
        if let Some(to) = self.index.get_mut(free) {
            *to = 0;
        }
    }
}

/// Spreads page-aligned addresses.
const fn hash(address: u64) -> u64 {
    (address >> 12).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}
