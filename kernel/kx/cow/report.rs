// SPDX-License-Identifier: GPL-2.0
//! Reports: the counts of a generation, by the areas of the moment.

use super::{
    root::{may_be_beyond, place, MAX_AREAS},
    Program,
};
use crate::lockless::peek;
use kernel::{
    mm::{Mm, MmWithUser},
    prelude::*,
    sync::{aref::ARef, Arc},
};
use kx_base::sched;
use kx_mm::mm::{AreasGuard, AreasVersion};
use model::{
    area::Span,
    ledger::{find, fold, Bucket, Faults, Folded, Place, Rest, Tally},
};

/// Buckets for which there is room at first, and how many more than there were when that is not
/// enough.
const ROOM: usize = 32;

/// How often the root's areas are asked for, if they are being changed each time.
const ATTEMPTS: usize = 8;

/// A program that is or was tracked.
pub struct Tracked(pub(super) Arc<Program>);

/// The counts of a generation.
pub struct Report<T> {
    /// The root's areas, the first [`MAX_AREAS`] by address.
    pub areas: KVec<Span>,
    /// What belongs to each; more than there are areas.
    pub tallies: KVec<T>,
    /// All counts, and those of no area.
    pub folded: Folded,
}

/// What is taken out of a program while nobody can change it: to be looked at in peace.
struct Taken {
    number: u32,
    /// If it is alive.
    root: Option<ARef<Mm>>,
    /// The first [`MAX_AREAS`].
    areas: KVec<Span>,
    /// Of which version the areas are, if the root is alive.
    version: Option<AreasVersion>,
    buckets: KVVec<Bucket>,
    rest: Rest,
}

impl Tracked {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.0.counter.comm().as_bytes()
    }

    /// The number of its generation: 0 if it was not executed since it is tracked.
    pub fn generation(&self) -> u32 {
        self.0.generation.lock().number
    }

    /// How many processes of the last generation could not be followed for want of room. Their own
    /// children are not known.
    pub fn lost(&self) -> u64 {
        peek(&self.0.lost)
    }

    /// The counts of the last generation, by the areas that its root has now or had when it ended.
    /// May sleep.
    ///
    /// # Errors
    ///
    /// [`ESRCH`] if the program was not executed since it is tracked, or is not tracked any more;
    /// [`ENOSPC`] if there was no room to follow it; [`ENOMEM`]; [`EINTR`] if the caller was killed.
    pub fn report<T: Tally>(&self) -> Result<Report<T>> {
        let mut has_ended = None;
        loop {
            let mut taken = self.take()?;
            let number = taken.number;
            let mut tallies = KVec::from_elem(T::default(), MAX_AREAS, GFP_KERNEL)?;
            let folded = taken.fold(&mut tallies)?;
            // No areas: it ended meanwhile, and they were kept; or, seen twice, it ended while
            // tracing was switched off.
            if !taken.areas.is_empty() || taken.root.is_none() || has_ended == Some(number) {
                self.keep(&taken);
                return Ok(Report {
                    areas: taken.areas,
                    tallies,
                    folded,
                });
            }
            has_ended = Some(number);
            sched::yield_unless_killed()?;
        }
    }

    /// All counts of the last generation, without those of its areas. Waits for nobody, least of all
    /// for the root: what cannot be told while its areas are being changed is unplaced.
    ///
    /// # Errors
    ///
    /// As [`Self::report`].
    pub fn totals(&self) -> Result<Folded> {
        for _ in 1..ATTEMPTS {
            if let (folded, true) = self.take()?.totals() {
                return Ok(folded);
            }
            sched::yield_unless_killed()?;
        }
        let (folded, _) = self.take()?.totals();
        Ok(folded)
    }

    fn take(&self) -> Result<Taken> {
        let mut areas = KVec::with_capacity(MAX_AREAS, GFP_KERNEL)?;
        let mut room = ROOM;
        loop {
            let mut buckets = KVVec::with_capacity(room, GFP_KERNEL)?;
            let mut generation = self.0.generation.lock();
            let root = generation.root.reference()?;
            // Before the size is looked at, so that little is left to do the next time.
            generation.collect(&self.0.counter);
            let used = generation.ledger().buckets();
            if used.len() > room {
                room = used.len().saturating_add(ROOM);
                continue;
            }
            // There is room for all: nothing is allocated under the lock.
            buckets.extend_from_slice(used, GFP_NOWAIT)?;
            areas.extend_from_slice(generation.areas.as_slice(), GFP_NOWAIT)?;
            return Ok(Taken {
                number: generation.number,
                root,
                areas,
                version: generation.version,
                buckets,
                rest: *generation.ledger().rest(),
            });
        }
    }

    /// Keeps the areas of a living root for the next report.
    fn keep(&self, taken: &Taken) {
        let Some(mm) = &taken.root else {
            return;
        };
        let mut generation = self.0.generation.lock();
        // Not those of a root that ends: its own are being kept.
        if generation.root.is(mm) && generation.version != taken.version {
            generation.areas.set(&taken.areas);
            generation.version = taken.version;
        }
    }
}

impl Taken {
    /// Where an address is of which nobody has to be asked: of a root that has ended, or whose areas
    /// are those that are known.
    ///
    /// Of what came after its end nobody knows more: it is in an area of a child, at least.
    fn known_place(&self, address: u64) -> Place {
        if may_be_beyond(&self.areas, address) {
            Place::Area(address)
        } else {
            find(&self.areas, address).map_or(Place::Gone, |area| Place::Area(area.start))
        }
    }

    /// Whether [`Self::known_place`] is all that there is to say.
    fn is_known(&self) -> bool {
        let Some(mm) = &self.root else {
            return true;
        };
        let mut starts = self.buckets.iter().map(|bucket| bucket.start);
        self.version.is_some()
            && self.version == AreasVersion::of(mm)
            && !starts.any(|start| may_be_beyond(&self.areas, start))
    }

    fn fold_into<T: Tally>(&self, tallies: &mut [T], place: impl FnMut(u64) -> Place) -> Folded {
        fold(&self.buckets, &self.rest, &self.areas, tallies, place)
    }

    /// What is counted, and whether all of it could be placed. Takes no lock.
    fn totals(&self) -> (Folded, bool) {
        let root = self.root.as_ref().filter(|_| !self.is_known());
        let Some(mm) = root else {
            let folded = self.fold_into::<Faults>(&mut [], |address| self.known_place(address));
            return (folded, true);
        };
        // Not the areas that were kept, which are older.
        let (buckets, rest) = (&self.buckets, &self.rest);
        // Giving up the last user is left to others: the end of an address space may take long.
        let user = mm.mmget_not_zero().map(MmWithUser::into_mmput_async);
        let user = user.as_deref();
        let mut is_placed = true;
        let folded = fold::<Faults>(buckets, rest, &[], &mut [], |address| {
            let found = user.map_or(Place::Unknown, |mm| place(mm, address));
            is_placed &= found != Place::Unknown;
            found
        });
        (folded, is_placed)
    }

    /// Finds the areas of now, and what is counted for each.
    fn fold<T: Tally>(&mut self, tallies: &mut [T]) -> Result<Folded> {
        let root = self.root.clone().filter(|_| !self.is_known());
        let Some(mm) = root else {
            return Ok(self.fold_into(tallies, |address| self.known_place(address)));
        };
        let guard = AreasGuard::lock(&mm)?;
        let version = AreasVersion::of(&mm);
        if version.is_none() || version != self.version {
            self.areas.resize(MAX_AREAS, Span::default(), GFP_KERNEL)?;
            let found = guard.read(0, &mut self.areas);
            self.areas.truncate(found);
            self.version = version;
        }
        Ok(self.fold_into(tallies, |address| {
            if may_be_beyond(&self.areas, address) && guard.has(address) {
                Place::Area(address)
            } else {
                Place::Gone
            }
        }))
    }
}
