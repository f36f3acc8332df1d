// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The system call `memuse(pid_t pid, int type)`.
//!
//! It returns bytes, or a negative errno. `include/memuse.h` says the same in C.

/// The call's number, unless the module was loaded with another (`nr=`).
pub const NR: u64 = 388;

/// All present user memory.
pub const ALL: i32 = 0;
/// The main stack.
pub const CALL_STACK: i32 = 1;
/// The kernel stacks of all threads.
pub const KERNEL_STACK: i32 = 2;
/// The heap that `brk` made.
pub const HEAP: i32 = 3;
/// The user stacks of threads.
pub const THREAD_STACKS: i32 = 4;
/// Other private anonymous mappings.
pub const ANONYMOUS: i32 = 5;
/// Mappings of files.
pub const FILE: i32 = 6;
/// Shared memory.
pub const SHARED: i32 = 7;
/// Mappings that the kernel made: the vdso and its data.
pub const VDSO: i32 = 8;
/// Page tables.
pub const PAGE_TABLES: i32 = 9;
/// Pages in swap.
pub const SWAPPED: i32 = 10;
