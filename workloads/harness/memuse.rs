// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system call `memuse` without any library: registers, and the instruction.

use std::arch::asm;

/// Asks the kernel for the bytes of a kind (`abi::memuse`) in a process; `number` is that of the
/// call. A negative result is an errno, `-38` (ENOSYS) if the module is not loaded.
#[must_use]
pub fn memuse(number: u64, pid: i32, kind: i32) -> i64 {
    let result: i64;
    // SAFETY: The call takes two numbers and touches no memory of this process. The instruction
    // itself overwrites rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") i64::from(pid),
            in("rsi") i64::from(kind),
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}
