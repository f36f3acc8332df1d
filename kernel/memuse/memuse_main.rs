// SPDX-License-Identifier: GPL-2.0
//! The system call `memuse(pid, type)`: bytes of a process's memory that are really there, by kind.
//!
//! What the kinds mean stands in `model::memuse`, how a module serves a system call in
//! `kx_hook::syscall`, and how page tables are walked in `kx_page::walk`. `docs/memuse-internals.md` puts them
//! together.
#![deny(unsafe_code)]

mod answer;
mod count;
mod pointers;

use kernel::prelude::*;
use kx_hook::syscall::{self, Handler, Syscalls};

module! {
    type: Memuse,
    name: "memuse",
    authors: ["Pagelens developers"],
    description: "System call memuse(pid, type): bytes of memory that are really there, by kind",
    license: "GPL",
}

kx_param::number_param! {
    /// The number under which the call is served.
    static NR: nr: ullong(u64) = abi::memuse::NR;
    "Number of the system call (default: 388); one that this kernel leaves unassigned"
}

struct Memuse {
    _calls: Syscalls<Call>,
}

impl kernel::Module for Memuse {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let wanted = NR.get();
        let Some(number) = syscall::free_numbers().find(|&free| u64::from(free) == wanted) else {
            refuse(wanted);
            return Err(EINVAL);
        };
        Ok(Self {
            _calls: Syscalls::new(&[number], Call)?,
        })
    }
}

/// Logs that a number cannot be had, and which can.
fn refuse(wanted: u64) {
    let first = syscall::free_numbers().next().unwrap_or(0);
    let last = syscall::free_numbers().last().unwrap_or(0);
    pr_err!(
        "nr={wanted} is assigned or never will be free: load with one of nr={first} to {last}\n"
    );
}

struct Call;

impl Handler for Call {
    fn call(&self, _number: u32, arguments: [usize; 6]) -> Result<isize> {
        let [pid, kind, ..] = arguments;
        // As for any `int` of a system call, the lower half of the register counts.
        let bytes = answer::memuse(pid as i32, kind as i32)?;
        isize::try_from(bytes).map_err(|_| EOVERFLOW)
    }
}
