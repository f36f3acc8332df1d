// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! `memuse`: kinds of memory, and which present pages belong to which.
//!
//! Kinds 1 and 3 to 8 partition kind 0: every present user page belongs to exactly one. A page
//! within the program break is heap; any other has the kind of the area (VMA) that it lies in.

use crate::area::{Area, Backing};
use abi::memuse as number;
use core::ops::Range;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;

/// What a caller may ask for; the numbers are those of `abi::memuse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All present user memory: the resident set.
    All,
    /// The main stack: the area that grows down and holds the address at which it started.
    CallStack,
    /// The kernel stacks of all threads.
    KernelStack,
    /// Pages that overlap `start_brk..brk`, whatever is mapped there.
    Heap,
    /// Private anonymous areas that hold the stack pointer of one of the threads.
    ThreadStacks,
    /// Other private anonymous areas.
    Anonymous,
    /// Mappings of files, private copies of their pages included.
    File,
    /// Shared mappings of memory that only looks like a file.
    Shared,
    /// Areas that the kernel made: the vdso and its data.
    Vdso,
    /// Page tables, as `VmPTE` counts them.
    PageTables,
    /// Pages in swap, as `VmSwap` counts them.
    Swapped,
}

impl Kind {
    /// All kinds, by number.
    pub const EACH: [Self; 11] = [
        Self::All,
        Self::CallStack,
        Self::KernelStack,
        Self::Heap,
        Self::ThreadStacks,
        Self::Anonymous,
        Self::File,
        Self::Shared,
        Self::Vdso,
        Self::PageTables,
        Self::Swapped,
    ];

    /// The kinds that partition [`Kind::All`].
    pub const PARTS: [Self; 7] = [
        Self::CallStack,
        Self::Heap,
        Self::ThreadStacks,
        Self::Anonymous,
        Self::File,
        Self::Shared,
        Self::Vdso,
    ];

    /// The kind that a caller means by this number.
    pub const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            number::ALL => Self::All,
            number::CALL_STACK => Self::CallStack,
            number::KERNEL_STACK => Self::KernelStack,
            number::HEAP => Self::Heap,
            number::THREAD_STACKS => Self::ThreadStacks,
            number::ANONYMOUS => Self::Anonymous,
            number::FILE => Self::File,
            number::SHARED => Self::Shared,
            number::VDSO => Self::Vdso,
            number::PAGE_TABLES => Self::PageTables,
            number::SWAPPED => Self::Swapped,
            _ => return None,
        })
    }

    /// The number that means this kind.
    pub const fn number(self) -> i32 {
        match self {
            Self::All => number::ALL,
            Self::CallStack => number::CALL_STACK,
            Self::KernelStack => number::KERNEL_STACK,
            Self::Heap => number::HEAP,
            Self::ThreadStacks => number::THREAD_STACKS,
            Self::Anonymous => number::ANONYMOUS,
            Self::File => number::FILE,
            Self::Shared => number::SHARED,
            Self::Vdso => number::VDSO,
            Self::PageTables => number::PAGE_TABLES,
            Self::Swapped => number::SWAPPED,
        }
    }
}

/// What an address space says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    heap: Range<u64>,
    start_stack: u64,
}

impl Layout {
    /// From the fields of the same names.
    pub const fn new(start_brk: u64, brk: u64, start_stack: u64) -> Self {
        let heap = if start_brk < brk {
            page_of(start_brk)..page_of(brk.saturating_add(PAGE_SIZE - 1))
        } else {
            0..0
        };
        Self { heap, start_stack }
    }

    /// The pages that overlap `start_brk..brk`.
    pub const fn heap(&self) -> &Range<u64> {
        &self.heap
    }

    /// An address in the main stack.
    pub const fn start_stack(&self) -> u64 {
        self.start_stack
    }

    /// Whether an area is the main stack.
    pub fn is_call_stack(&self, area: &Area) -> bool {
        area.grows_down
            && area.backing == Backing::Anonymous
            && area.range.contains(&self.start_stack)
    }

    /// The kind of the area's pages outside the heap. `holds_stack_pointer` says whether a range
    /// holds that of a thread, and is asked where it matters; `None` if it could not say.
    pub fn kind_of(
        &self,
        area: &Area,
        holds_stack_pointer: impl FnOnce(&Range<u64>) -> Option<bool>,
    ) -> Option<Kind> {
        Some(match area.backing {
            Backing::Kernel => Kind::Vdso,
            Backing::SharedMemory => Kind::Shared,
            Backing::File => Kind::File,
            Backing::Anonymous if self.is_call_stack(area) => Kind::CallStack,
            Backing::Anonymous if holds_stack_pointer(&area.range)? => Kind::ThreadStacks,
            Backing::Anonymous => Kind::Anonymous,
        })
    }

    /// How many of the `pages` from `start` on lie outside the heap.
    pub const fn pages_outside_heap(&self, start: u64, pages: u64) -> u64 {
        let end = start.saturating_add(pages.saturating_mul(PAGE_SIZE));
        let from = if start > self.heap.start {
            start
        } else {
            self.heap.start
        };
        let to = if end < self.heap.end {
            end
        } else {
            self.heap.end
        };
        pages.saturating_sub(to.saturating_sub(from) / PAGE_SIZE)
    }
}

const fn page_of(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}
