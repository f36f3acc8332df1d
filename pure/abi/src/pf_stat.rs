// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The system calls of `pf_stat`, as its document has them. `include/pf_stat.h` says the same in C.

/// `long pf_set_param(const char *process_name, size_t name_len)`: track a program.
pub const NR_SET_PARAM: u32 = 385;
/// `long pf_get_info(const char *process_name, size_t name_len, struct pf_stat *pf)`.
pub const NR_GET_INFO: u32 = 386;
/// `long pf_cleanup(void)`: track nothing any more.
pub const NR_CLEANUP: u32 = 387;

/// Most areas that are told of.
pub const MAX_AREAS: usize = 128;

/// Longest name of a program, without a NUL.
pub const MAX_NAME: usize = 15;

/// `struct pf_stat` on a 64-bit machine.
#[repr(C)]
pub struct PfStat {
    /// Number of memory areas, at most [`MAX_AREAS`].
    pub nb_vma: i32,
    /// Number of copy-on-write faults in all areas, also in those beyond the arrays.
    pub cow_page_faults: i64,
    /// Number of copy-on-write faults of each area.
    pub vma_fault: [i64; MAX_AREAS],
    /// Start address of each area.
    pub vma_list_start: [u64; MAX_AREAS],
    /// End address of each area.
    pub vma_list_end: [u64; MAX_AREAS],
}

/// Words of 64 bits in the structure. Its bytes are moved as words: the padding after `nb_vma`, too,
/// then has a value.
pub const WORDS: usize = size_of::<PfStat>() / 8;

/// The word with `nb_vma` in its lower half.
pub const COUNT: usize = 0;
/// The word with `cow_page_faults`.
pub const TOTAL: usize = core::mem::offset_of!(PfStat, cow_page_faults) / 8;
/// The first word of `vma_fault`.
pub const FAULTS: usize = core::mem::offset_of!(PfStat, vma_fault) / 8;
/// The first word of `vma_list_start`.
pub const STARTS: usize = core::mem::offset_of!(PfStat, vma_list_start) / 8;
/// The first word of `vma_list_end`.
pub const ENDS: usize = core::mem::offset_of!(PfStat, vma_list_end) / 8;

const _: () = assert!(size_of::<PfStat>() == 3088);
const _: () = assert!(TOTAL == 1 && FAULTS == 2 && FAULTS + MAX_AREAS == STARTS);
const _: () = assert!(STARTS + MAX_AREAS == ENDS && ENDS + MAX_AREAS == WORDS);
// The lower half of a word comes first.
const _: () = assert!(cfg!(target_endian = "little"));
