// SPDX-License-Identifier: GPL-2.0
//! The areas of a memory, as a walk comes to them.

use abi::pagelens::{
    Header, Memory, Name, Sums, Vma, KIND_NAME, KIND_VMA, NAME_CUT, NAME_MAX, VMA_CHANGED,
    WITH_NAMES, WITH_VMAS,
};
use kernel::{page::PAGE_SIZE, prelude::*};
use kx_census::facts;
use kx_dev::stream::Buffer;
use kx_mm::{layout, mm::VmaRef};
use kx_page::{
    entry::absent,
    walk::{Leaves, Step, Visitor},
};
use model::snapshot::{add_all, Tally};

/// Bytes for which there must be room before a walk comes to an area. The one before it has been told, or
/// is told just before; behind the last comes the memory.
const ROOM: usize = 2 * size_of::<Vma>() + size_of::<Name>() + NAME_MAX + size_of::<Memory>();

/// The sums of a memory, and of the area at hand.
pub(crate) struct Areas {
    /// `WITH_…`.
    flags: u32,
    /// The number of the memory.
    memory: u64,
    tally: Tally,
    /// The area at hand, if the walk is within one.
    area: Option<Open>,
    name: KBox<[u8; PAGE_SIZE]>,
    sums: Sums,
    is_changed: bool,
}

/// The area at hand.
struct Open {
    /// What there is to be told of it, if areas are told.
    told: Option<Vma>,
    is_changed: bool,
}

impl Areas {
    /// `name` is room for one.
    pub(crate) fn new(flags: u32, name: KBox<[u8; PAGE_SIZE]>) -> impl Init<Self> {
        init!(Self {
            flags,
            memory: 0,
            tally: Tally::default(),
            area: None,
            name,
            sums: Sums::default(),
            is_changed: false,
        })
    }

    /// Starts anew, for a memory.
    pub(crate) fn begin(&mut self, memory: u64) {
        self.memory = memory;
        self.area = None;
        self.tally = Tally::default();
        self.sums = Sums::default();
        self.is_changed = false;
    }

    /// The sums of the memory, and whether an area was changed while it was looked at.
    pub(crate) fn sums(&mut self) -> (Sums, bool) {
        // Of areas that are not told.
        add_all(&mut self.sums, &self.tally.finish());
        (self.sums, self.is_changed)
    }

    /// What takes down what a walk finds, and tells areas to `out`.
    pub(crate) fn visit<'a>(&'a mut self, out: &'a mut Buffer) -> Visit<'a> {
        Visit { areas: self, out }
    }
}

/// A walk's visitor, for one stretch.
pub(crate) struct Visit<'a> {
    areas: &'a mut Areas,
    out: &'a mut Buffer,
}

impl Visit<'_> {
    /// Tells what there is of the area within which the walk ended before it came to its end.
    pub(crate) fn end(&mut self) {
        if self.areas.area.is_some() {
            self.leave(true);
        }
    }

    /// Tells the name of an area, if it has one and that is asked for.
    fn tell_name(&mut self, vma: &VmaRef) {
        if self.areas.flags & WITH_NAMES == 0 {
            return;
        }
        let name = layout::vma_name(vma, &mut self.areas.name);
        let (name, flags) = match name {
            Ok([]) => return,
            Ok(name) => (name, 0),
            Err(_) => (&[][..], NAME_CUT),
        };
        // The first 0 byte ends it.
        let len = (size_of::<Name>() + name.len() + 1).next_multiple_of(size_of::<u64>());
        let header = Header {
            len: len as u32,
            kind: KIND_NAME,
            flags,
        };
        let rest = len.saturating_sub(size_of::<Name>() + name.len());
        // There is room: `wants` saw to it.
        let _ = self.out.push(&Name { header });
        let _ = self.out.push_padded(name, rest);
    }
}

impl Visitor for Visit<'_> {
    fn prepare(&mut self) -> Result {
        Ok(())
    }

    fn wants(&mut self, vma: &VmaRef, from: usize) -> Option<bool> {
        let with_vmas = self.areas.flags & WITH_VMAS != 0;
        if with_vmas && self.out.room() < ROOM {
            return None;
        }
        if with_vmas {
            self.tell_name(vma);
        }
        let size = vma.end().saturating_sub(from) as u64;
        self.areas.tally.begin(facts::weight(vma), size);
        let memory = self.areas.memory;
        self.areas.area = Some(Open {
            told: with_vmas.then(|| Vma {
                memory,
                ..facts::area(vma)
            }),
            // What became of one that was seen in part.
            is_changed: from != vma.start(),
        });
        Some(true)
    }

    fn visit(&mut self, _vma: &VmaRef, leaves: Leaves<'_>) -> Step {
        let tally = &mut self.areas.tally;
        leaves.each(|entry, facts, pages| tally.add(entry, facts, pages, absent));
        Step::Continue
    }

    fn corrupt(&mut self, pages: u64) {
        self.areas.tally.corrupt(pages);
    }

    fn not_walked(&mut self, pages: u64) {
        self.areas.tally.not_walked(pages);
    }

    fn leave(&mut self, is_changed: bool) {
        let Some(area) = self.areas.area.take() else {
            return;
        };
        let is_changed = is_changed || area.is_changed;
        self.areas.is_changed |= is_changed;
        let Some(mut told) = area.told else {
            return;
        };
        told.sums = self.areas.tally.finish();
        add_all(&mut self.areas.sums, &told.sums);
        told.header = Header {
            len: size_of::<Vma>() as u32,
            kind: KIND_VMA,
            flags: if is_changed { VMA_CHANGED } else { 0 },
        };
        // There is room: `wants` saw to it, for an area before this one too.
        let _ = self.out.push(&told);
    }
}
