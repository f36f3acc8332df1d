// SPDX-License-Identifier: GPL-2.0
//! `pf_stat`: copy-on-write faults per memory area, for the programs that are named.
//!
//! Three system calls serve it: 385 `pf_set_param` tracks a name, 386 `pf_get_info` reports, 387
//! `pf_cleanup` forgets everything. `/proc/pf_stat` shows the ledger behind the figures. Nothing in the kernel is hooked but the unassigned system calls
//! until the first name is tracked, nor after the cleanup. The counting is [`kx_cow`]'s;
//! `docs/pf_stat-internals.md` explains it.
#![deny(unsafe_code)]

mod calls;
mod ledger_file;

use abi::pf_stat::{NR_CLEANUP, NR_GET_INFO, NR_SET_PARAM};
use calls::{Calls, Shared};
use kernel::prelude::*;
use kx_hook::syscall::Syscalls;
use kx_proc::procfile::ProcFile;
use ledger_file::LedgerFile;

module! {
    type: PfStat,
    name: "pf_stat",
    authors: ["Pagelens developers"],
    description: "Copy-on-write faults per memory area of named programs, by system calls 385 to 387",
    license: "GPL",
}

struct PfStat {
    _calls: Syscalls<Calls>,
    _file: ProcFile<LedgerFile>,
}

impl kernel::Module for PfStat {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let numbers = [NR_SET_PARAM, NR_GET_INFO, NR_CLEANUP];
        let shared = Shared::new()?;
        let file = LedgerFile {
            shared: shared.clone(),
        };
        Ok(Self {
            _file: ProcFile::new(c"pf_stat", 0o400, file)?,
            _calls: Syscalls::new(&numbers, Calls { shared })?,
        })
    }
}
