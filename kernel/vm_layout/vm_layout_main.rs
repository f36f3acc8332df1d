// SPDX-License-Identifier: GPL-2.0
//! `vm_layout pid=N`: on load, writes to the kernel log how the address space of process N is laid
//! out and what its top-level page table holds.
//!
//! Everything is taken down first, the VMAs and the parts of the address space under one hold of
//! its lock, and printed after that without any lock. The module then does nothing until it is
//! unloaded. The lines are described in `docs/vm_layout.md`, their texts are `model`'s.
#![deny(unsafe_code)]

mod report;

use kernel::{prelude::*, str::BStr};
use kx_mm::{mm::MmWithUser, task};
use report::Report;

module! {
    type: VmLayout,
    name: "vm_layout",
    authors: ["Pagelens developers"],
    description: "Writes a process's address-space layout and top-level page table to the log",
    license: "GPL",
}

kx_param::number_param! {
    /// Whose address space.
    static PID: pid: int(i32) = 0;
    "The process, as the loader's pid namespace numbers it (required)"
}

kx_param::number_param! {
    /// An address whose translation is to be shown too.
    static ADDRESS: address: ullong(u64) = 0;
    "Also show the page-table entries that translate this address (default: none)"
}

kx_param::number_param! {
    /// Whether the log may tell physical addresses.
    static UNMASK: unmask: bool(bool) = false;
    "Show physical addresses (default: N, as others may read the log)"
}

struct VmLayout;

impl kernel::Module for VmLayout {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let pid = PID.get();
        if pid <= 0 {
            pr_err!("usage: insmod vm_layout.ko pid=PID [address=ADDRESS] [unmask=1]\n");
            return Err(EINVAL);
        }
        let (process, mm) = find(pid)?;
        // `BStr` escapes what could forge a line of the log.
        let name = BStr::from_bytes(process.comm.as_bytes());
        Report::take(&mm)?.print(pid, name)?;
        match ADDRESS.get() {
            0 => {}
            address => report::print_path(&mm, address)?,
        }
        Ok(Self)
    }
}

/// The process and its address space.
fn find(pid: i32) -> Result<(task::Process, kernel::sync::aref::ARef<MmWithUser>)> {
    let Some(process) = task::find(pid) else {
        pr_err!("no process has pid {pid}\n");
        return Err(ESRCH);
    };
    if process.is_kernel_thread {
        pr_err!("process {pid} is a kernel thread: it has no address space of its own\n");
        return Err(EINVAL);
    }
    match process.mm.as_ref().and_then(|mm| mm.mmget_not_zero()) {
        Some(mm) => Ok((process, mm)),
        None => {
            pr_err!("process {pid} has ended: its address space is gone\n");
            Err(ESRCH)
        }
    }
}
