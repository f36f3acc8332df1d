// SPDX-License-Identifier: GPL-2.0
//! What the kernel says of processes, of their memory, and of its areas.

use crate::sys;
use abi::pagelens::{
    Memory, Process, Vma, VMA_ANONYMOUS, VMA_EXEC, VMA_FRAMES, VMA_GROWS_DOWN, VMA_HEAP,
    VMA_HUGETLB, VMA_LOCKED, VMA_MERGEABLE, VMA_READ, VMA_SHADOW_STACK, VMA_SHARED, VMA_STACK,
    VMA_WRITE,
};
use kernel::{mm::virt::flags, page::PAGE_SIZE, pid_namespace::PidNamespace};
use kx_mm::{
    layout,
    mm::{self, Mm, MmWithUser, VmaRef},
    target::Target,
};
use model::{area::Backing, snapshot::Traits};

/// A process as it is seen from `namespace`, under its number there, and with the user namespace of
/// the current task's credentials; without its memory.
pub fn process(number: u32, target: &Target, namespace: &PidNamespace) -> Process {
    let mut facts = sys::ProcessFacts::default();
    // SAFETY: The task and the namespace are valid, and the structure is C's.
    unsafe { sys::kx_process_facts(target.as_ptr(), namespace.as_ptr(), &mut facts) };
    Process {
        pid: number,
        ppid: facts.parent,
        uid: facts.user,
        threads: u32::try_from(target.thread_count()).unwrap_or(u32::MAX),
        cgroup: facts.cgroup,
        start_time: facts.start_time,
        kernel_stacks: target.kernel_stack_bytes(),
        comm: target.comm().to_bytes(),
        ..Process::default()
    }
}

/// How many threads of a process have not ended yet, and when the first was started, by
/// CLOCK_MONOTONIC.
pub fn life(target: &Target) -> (u64, u64) {
    let (mut live, mut started) = (0, 0);
    // SAFETY: The task is valid, and with it its `signal_struct`.
    unsafe { sys::kx_process_life(target.as_ptr(), &mut live, &mut started) };
    (live, started)
}

/// What the kernel counts of an address space, and how many tasks use it.
pub fn counters(mm: &MmWithUser) -> (Memory, u64) {
    let mut counters = sys::Counters::default();
    // SAFETY: The address space is valid and has users, and the structure is C's.
    unsafe { sys::kx_mm_counters(mm.as_raw(), &mut counters) };
    let bytes = |pages: u64| pages.saturating_mul(PAGE_SIZE as u64);
    let memory = Memory {
        rss_anonymous: bytes(counters.anonymous),
        rss_file: bytes(counters.file),
        rss_shared_memory: bytes(counters.shared_memory),
        swap: bytes(counters.swapped),
        total: bytes(counters.total),
        locked: bytes(counters.locked),
        hugetlb: bytes(counters.hugetlb),
        page_tables: page_table_bytes(mm),
        areas: counters.areas,
        ..Memory::default()
    };
    (memory, counters.users)
}

fn page_table_bytes(mm: &Mm) -> u64 {
    mm::page_table_bytes(mm)
}

/// A VMA as it is mapped, without what is in it.
pub fn area(vma: &VmaRef) -> Vma {
    let mut file = sys::MappedFile::default();
    // SAFETY: The VMA is valid and its lock held, as it is borrowed; the structure is C's.
    unsafe { sys::kx_vma_file(vma.as_ptr(), &mut file) };
    Vma {
        start: vma.start() as u64,
        end: vma.end() as u64,
        offset: layout::offset(vma),
        inode: file.inode,
        dev_major: file.major,
        dev_minor: file.minor,
        traits: traits(vma),
        ..Vma::default()
    }
}

/// What of a VMA matters to how its pages are counted.
pub fn weight(vma: &VmaRef) -> Traits {
    Traits {
        is_locked: is_locked(vma),
        has_frames: has_frames(vma),
    }
}

fn is_locked(vma: &VmaRef) -> bool {
    // SAFETY: The VMA is valid and its lock held, as it is borrowed.
    unsafe { sys::kx_vma_is_locked(vma.as_ptr()) != 0 }
}

fn has_frames(vma: &VmaRef) -> bool {
    vma.flags() & (flags::PFNMAP | flags::MIXEDMAP) != 0
}

/// `VMA_…`.
fn traits(vma: &VmaRef) -> u32 {
    let has = |flag| vma.flags() & flag != 0;
    // SAFETY: The VMA is valid and its lock held, as it is borrowed.
    let (is_heap, is_stack) = unsafe {
        (
            sys::kx_vma_is_heap(vma.as_ptr()) != 0,
            sys::kx_vma_is_stack(vma.as_ptr()) != 0,
        )
    };
    let area = mm::area(vma);
    let is_anonymous = matches!(area.backing, Backing::Anonymous);
    [
        (VMA_READ, has(flags::READ)),
        (VMA_WRITE, has(flags::WRITE)),
        (VMA_EXEC, has(flags::EXEC)),
        (VMA_SHARED, mm::is_shared(vma)),
        (VMA_GROWS_DOWN, area.grows_down),
        (VMA_LOCKED, is_locked(vma)),
        (VMA_HUGETLB, has(flags::HUGETLB)),
        (VMA_FRAMES, has_frames(vma)),
        (VMA_SHADOW_STACK, mm::is_shadow_stack(vma)),
        (VMA_HEAP, is_heap),
        (VMA_STACK, is_stack),
        (VMA_MERGEABLE, has(flags::MERGEABLE)),
        (VMA_ANONYMOUS, is_anonymous),
    ]
    .iter()
    .filter(|(_, is_so)| *is_so)
    .fold(0, |traits, (bit, _)| traits | bit)
}
