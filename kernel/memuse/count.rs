// SPDX-License-Identifier: GPL-2.0
//! Counting the present pages of one kind.

use crate::pointers::Pointers;
use kernel::{page::PAGE_SIZE, prelude::*};
use kx_mm::mm::{self, VmaRef};
use kx_page::{
    entry::is_in_rss,
    walk::{Leaves, Step, Visitor},
};
use model::{
    memuse::{Kind, Layout},
    pte::{Entry, Level},
};

/// Counts what a walk finds.
pub(crate) struct Count<'a> {
    kind: Kind,
    layout: Layout,
    pointers: Option<Pointers<'a>>,
    pages: u64,
    is_corrupt: bool,
}

impl<'a> Count<'a> {
    /// Counts the pages of `kind`, [`Kind::All`] or one of [`Kind::PARTS`]. Without `pointers`
    /// thread stacks are anonymous memory like others.
    pub(crate) fn new(kind: Kind, layout: Layout, pointers: Option<Pointers<'a>>) -> Self {
        Self {
            kind,
            layout,
            pointers,
            pages: 0,
            is_corrupt: false,
        }
    }

    /// What was found.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if some of it could not be looked at.
    pub(crate) fn bytes(&self) -> Result<u64> {
        if self.is_corrupt {
            return Err(EFAULT);
        }
        Ok(self.pages.saturating_mul(PAGE_SIZE as u64))
    }

    /// How many of these pages are of the kind, given that their VMA is wanted.
    fn share(&self, start: usize, pages: u64) -> u64 {
        match self.kind {
            Kind::All | Kind::Heap => pages,
            _ => self.layout.pages_outside_heap(start as u64, pages),
        }
    }
}

impl Visitor for Count<'_> {
    fn prepare(&mut self) -> Result {
        self.pointers.as_mut().map_or(Ok(()), Pointers::prepare)
    }

    fn wants(&mut self, vma: &VmaRef, _from: usize) -> Option<bool> {
        let kind = match self.kind {
            Kind::All | Kind::Heap => return Some(true),
            kind => kind,
        };
        let pointers = &mut self.pointers;
        let found = self.layout.kind_of(&mm::area(vma), |range| match pointers {
            Some(pointers) => pointers.any_in(range),
            None => Some(false),
        });
        found.map(|found| found == kind)
    }

    fn visit(&mut self, _vma: &VmaRef, leaves: Leaves<'_>) -> Step {
        let share = self.share(leaves.start, leaves.pages);
        let found = match leaves.level {
            Level::Pte if share == leaves.pages => resident(leaves.values).count() as u64,
            Level::Pte => resident(leaves.values)
                .map(|index| self.share(leaves.start + index * PAGE_SIZE, 1))
                .sum(),
            // One entry, for all of the pages.
            Level::Pmd | Level::Pud => {
                let is_resident = leaves.entries().any(is_in_rss);
                if is_resident {
                    share
                } else {
                    0
                }
            }
        };
        self.pages = self.pages.saturating_add(found);
        Step::Continue
    }

    fn corrupt(&mut self, _pages: u64) {
        self.is_corrupt = true;
    }
}

/// Which entries of a lowest table are resident.
#[inline]
fn resident(values: &[u64]) -> impl Iterator<Item = usize> + '_ {
    let level = Level::Pte;
    let entries = values.iter().map(move |&value| Entry { value, level });
    let indexed = entries.enumerate();
    indexed.filter_map(|(index, entry)| is_in_rss(entry).then_some(index))
}
