// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! `memuse`: kinds of memory, and which present pages belong to which.
//!
//! Kinds 1 and 3 to 8 partition kind 0: every present user page belongs to exactly one. A page
//! within the program break is heap; any other has the kind of the area (VMA) that it lies in.

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

/// What stands behind an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Nothing: private memory that begins as zeros.
    Anonymous,
    /// A file, mapped shared or private; also a memory file system's, if mapped private.
    File,
    /// A file of a memory file system (or shared memory that has no name), mapped shared.
    SharedMemory,
    /// The kernel itself.
    Kernel,
}

/// An area (VMA), as far as its kind depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its addresses.
    pub range: Range<u64>,
    /// What stands behind it.
    pub backing: Backing,
    /// Whether it grows downwards when it is touched just below.
    pub grows_down: bool,
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

    /// The kind of the area's pages outside the heap. `stack_pointers` are those of the threads,
    /// in ascending order.
    pub fn kind_of(&self, area: &Area, stack_pointers: &[u64]) -> Kind {
        match area.backing {
            Backing::Kernel => Kind::Vdso,
            Backing::SharedMemory => Kind::Shared,
            Backing::File => Kind::File,
            Backing::Anonymous if self.is_call_stack(area) => Kind::CallStack,
            Backing::Anonymous if holds_any(&area.range, stack_pointers) => Kind::ThreadStacks,
            Backing::Anonymous => Kind::Anonymous,
        }
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

fn holds_any(range: &Range<u64>, ascending: &[u64]) -> bool {
    let first = ascending.partition_point(|&address| address < range.start);
    ascending
        .get(first)
        .is_some_and(|&address| address < range.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn area(range: Range<u64>, backing: Backing) -> Area {
        Area {
            range,
            backing,
            grows_down: false,
        }
    }

    #[test]
    fn numbers_and_kinds_are_one_to_one() {
        for (number, kind) in (0..).zip(Kind::EACH) {
            assert_eq!(kind.number(), number);
            assert_eq!(Kind::from_number(number), Some(kind));
        }
        assert_eq!(Kind::from_number(-1), None);
        assert_eq!(Kind::from_number(11), None);
        assert_eq!(Kind::from_number(i32::MIN), None);
    }

    #[test]
    fn the_heap_is_every_page_that_the_break_reaches_into() {
        let layout = Layout::new(0x1000, 0x3001, 0);
        assert_eq!(layout.heap(), &(0x1000..0x4000));
        assert_eq!(Layout::new(0x1800, 0x1801, 0).heap(), &(0x1000..0x2000));
        assert!(Layout::new(0x1000, 0x1000, 0).heap().is_empty());
        assert!(Layout::new(0x2000, 0x1000, 0).heap().is_empty());
        // Addresses that a program set to nonsense.
        assert!(Layout::new(0, u64::MAX, 0).heap().contains(&0x1000));
    }

    #[test]
    fn pages_are_split_at_the_heaps_borders() {
        let layout = Layout::new(0x3000, 0x5000, 0);
        assert_eq!(layout.pages_outside_heap(0x1000, 2), 2);
        assert_eq!(layout.pages_outside_heap(0x1000, 3), 2);
        assert_eq!(layout.pages_outside_heap(0x3000, 2), 0);
        assert_eq!(layout.pages_outside_heap(0x2000, 10), 8);
        assert_eq!(layout.pages_outside_heap(0x5000, 7), 7);
        assert_eq!(layout.pages_outside_heap(u64::MAX - 0xfff, 1), 1);
    }

    #[test]
    fn the_main_stack_grows_down_and_holds_its_start() {
        let layout = Layout::new(0, 0, 0x7fff);
        let mut stack = area(0x6000..0x8000, Backing::Anonymous);
        assert_eq!(layout.kind_of(&stack, &[]), Kind::Anonymous);
        stack.grows_down = true;
        assert_eq!(layout.kind_of(&stack, &[0x6000]), Kind::CallStack);
        let other = Area {
            range: 0x4000..0x6000,
            ..stack
        };
        assert_eq!(layout.kind_of(&other, &[]), Kind::Anonymous);
    }

    #[test]
    fn a_thread_stack_is_anonymous_and_holds_a_stack_pointer() {
        let layout = Layout::new(0, 0, 0);
        let pointers = [0x500, 0x1fff, 0x4000];
        for (range, kind) in [
            (0x1000..0x2000, Kind::ThreadStacks),
            (0x2000..0x4000, Kind::Anonymous),
            (0x4000..0x5000, Kind::ThreadStacks),
            (0x5000..0x6000, Kind::Anonymous),
        ] {
            let anonymous = area(range.clone(), Backing::Anonymous);
            assert_eq!(layout.kind_of(&anonymous, &pointers), kind, "{range:?}");
            let file = area(range, Backing::File);
            assert_eq!(layout.kind_of(&file, &pointers), Kind::File);
        }
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_all(
            start_brk in 0u64..1 << 20,
            size in 0u64..1 << 18,
            areas in prop::collection::vec((1u64..64, 0usize..4, any::<bool>()), 1..20),
            pointers in prop::collection::vec(0u64..1 << 20, 0..5),
        ) {
            const BACKINGS: [Backing; 4] =
                [Backing::Anonymous, Backing::File, Backing::SharedMemory, Backing::Kernel];
            let layout = Layout::new(start_brk, start_brk + size, 1 << 17);
            let mut pointers = pointers;
            pointers.sort_unstable();
            let (mut at, mut all, mut parts) = (0, 0, 0);
            for (pages, backing, grows_down) in areas {
                let range = at..at + pages * PAGE_SIZE;
                let inside = range.clone().step_by(PAGE_SIZE as usize)
                    .filter(|page| layout.heap().contains(page)).count() as u64;
                let area = Area { range, backing: BACKINGS[backing], grows_down };
                prop_assert!(Kind::PARTS.contains(&layout.kind_of(&area, &pointers)));
                all += pages;
                parts += inside + layout.pages_outside_heap(at, pages);
                at = area.range.end;
            }
            prop_assert_eq!(all, parts);
        }
    }
}
