// SPDX-License-Identifier: GPL-2.0
//! Reports: the counts of a generation, by the areas of the moment.

use super::{
    generation::{Generation, Root},
    Program, MAX_AREAS,
};
use crate::{
    lockless::peek,
    mm::{areas_of, AreasVersion},
    mmset::ExitingMm,
    sched,
    till::Till,
};
use kernel::{
    mm::Mm,
    prelude::*,
    sync::{aref::ARef, Arc},
};
use model::ledger::{Area, Folded, Tally};

/// The areas of an address space, ascending.
pub struct Areas {
    list: KVec<Area>,
    len: usize,
}

impl Areas {
    pub(super) fn new() -> Result<Self> {
        let list = KVec::from_elem(Area::default(), MAX_AREAS, GFP_KERNEL)?;
        Ok(Self { list, len: 0 })
    }

    /// The areas.
    pub fn as_slice(&self) -> &[Area] {
        self.list.get(..self.len).unwrap_or_default()
    }

    /// Returns of which version they are; see [`areas_of`].
    fn read(&mut self, mm: &Mm) -> Result<Option<AreasVersion>> {
        let (len, version) = areas_of(mm, &mut self.list)?;
        self.len = len;
        Ok(version)
    }

    /// Fit for probes.
    pub(super) fn read_last(&mut self, mm: &ExitingMm<'_>) {
        self.len = mm.areas(&mut self.list);
    }

    fn copy_from(&mut self, other: &Self) {
        for (to, from) in self.list.iter_mut().zip(other.as_slice()) {
            *to = *from;
        }
        self.len = other.len;
    }
}

/// A program that is or was tracked.
pub struct Tracked(pub(super) Arc<Program>);

/// The counts of a generation.
pub struct Report<T> {
    /// The root's areas, the first [`MAX_AREAS`] by address.
    pub areas: Areas,
    /// What belongs to each; more than there are areas.
    pub tallies: KVec<T>,
    /// All counts, and those of no area.
    pub folded: Folded,
}

/// What a look at a program found.
enum Look {
    /// The report is complete.
    Done,
    /// The areas of this address space have to be read first.
    ReadAreas(ARef<Mm>, u32),
}

impl Tracked {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.0.till.comm().as_bytes()
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
        let mut report = Report {
            areas: Areas::new()?,
            tallies: KVec::from_elem(T::default(), MAX_AREAS, GFP_KERNEL)?,
            folded: Folded::default(),
        };
        let mut has_ended = None;
        loop {
            let Look::ReadAreas(mm, number) = self.look(&mut report)? else {
                return Ok(report);
            };
            let version = report.areas.read(&mm)?;
            // No areas: it ended meanwhile, and they were kept; or, seen twice, it ended while
            // tracing was switched off.
            let is_known = report.areas.len > 0 || has_ended == Some(number);
            if is_known && self.fold(&mut report, number, version) {
                return Ok(report);
            }
            has_ended = Some(number);
            sched::breathe()?;
        }
    }

    fn look<T: Tally>(&self, report: &mut Report<T>) -> Result<Look> {
        let mut generation = self.0.generation.lock();
        match generation.root {
            Root::Never | Root::Closed => Err(ESRCH),
            Root::Lost => Err(ENOSPC),
            Root::Exited => report.look_at(&mut generation, &self.0.till),
            Root::Alive(mm) => {
                // SAFETY: A living root is a member of the set, which keeps it: `exit` and
                // `Programs::drop` change the root, under this lock, before they give it up. So the
                // reference that is taken here is not the last one when it goes.
                let mm = unsafe { mm.grab() };
                if generation.version.is_some() && generation.version == AreasVersion::of(&mm) {
                    return report.look_at(&mut generation, &self.0.till);
                }
                Ok(Look::ReadAreas(mm, generation.number))
            }
        }
    }

    /// Whether the generation is still the one with this number; if so its areas are kept for the
    /// next report.
    fn fold<T: Tally>(
        &self,
        report: &mut Report<T>,
        number: u32,
        version: Option<AreasVersion>,
    ) -> bool {
        let mut generation = self.0.generation.lock();
        let is_same = generation.number == number && generation.root != Root::Closed;
        if is_same {
            report.fold(&mut generation, &self.0.till);
        }
        if is_same && matches!(generation.root, Root::Alive(_)) {
            generation.areas.copy_from(&report.areas);
            generation.version = version;
        }
        is_same
    }
}

impl<T: Tally> Report<T> {
    fn look_at(&mut self, generation: &mut Generation, till: &Till) -> Result<Look> {
        self.areas.copy_from(&generation.areas);
        self.fold(generation, till);
        Ok(Look::Done)
    }

    fn fold(&mut self, generation: &mut Generation, till: &Till) {
        let areas = self.areas.as_slice();
        let tallies = self.tallies.get_mut(..areas.len()).unwrap_or_default();
        self.folded = generation.ledger(till).fold(areas, tallies);
    }
}
