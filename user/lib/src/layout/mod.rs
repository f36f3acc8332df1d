// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an address space is laid out: as the module `vm_layout` logs it, and as `/proc` says it.
//!
//! [`Question::ask`] loads the module and reads its lines; [`Report::parse`] reads lines that are there;
//! [`from_proc`] gives the same [`Layout`] from
//! `/proc/PID/{maps,stat,statm,status}`. What the figures mean is said once, in
//! `model::layout`. Two things only the module knows: the page tables, and the exact end of
//! the heap, which `/proc` shows rounded up to a page (see [`Layout::to_pages`]).

mod entry;
mod proc;
mod question;
mod report;

pub use entry::{ShownEntry, ShownRun, ShownStep, What};
pub use model::area::Span;
pub use model::layout::{Permissions, Segments, Vma, VMAS_MAX};
pub use proc::from_proc;
pub use question::Question;
pub use report::{Report, ShownTable};

use crate::PAGE_SIZE;

/// A VMA with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The addresses and what is allowed there.
    pub vma: Vma,
    /// What it maps: a path, `[heap]`, `[stack]` and the like; empty for anonymous memory. The
    /// module shows the end of a very long one, with `...` before it.
    pub name: String,
}

/// An address space. Sizes of its parts are in bytes, `rss` and `total_vm` in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The VMAs by address; the module gives the first [`VMAS_MAX`] only.
    pub mappings: Vec<Mapping>,
    /// How many VMAs there are.
    pub vma_count: u64,
    /// Code, data, heap, stack, arguments, environment.
    pub segments: Segments,
    /// Pages that are present; hugetlb pages are not among them.
    pub rss: u64,
    /// Pages that the VMAs span.
    pub total_vm: u64,
    /// Bytes in page tables below the top-level one.
    pub page_tables: u64,
}

impl Layout {
    /// The same with the heap's end rounded up to a page, as `/proc` shows it, and with no more
    /// mappings than the module gives.
    #[must_use]
    pub fn to_pages(mut self) -> Self {
        let end = &mut self.segments.heap.end;
        *end = end.next_multiple_of(PAGE_SIZE as u64);
        self.mappings.truncate(VMAS_MAX);
        self
    }

    /// Bytes that private anonymous mappings span, but for heap and stack: where `malloc` puts
    /// its large blocks.
    #[must_use]
    pub fn anonymous_bytes(&self) -> u64 {
        self.mappings
            .iter()
            .filter(|mapping| mapping.name.is_empty() && !mapping.vma.permissions.shared)
            .map(|mapping| mapping.vma.span.size())
            .sum()
    }
}
