// SPDX-License-Identifier: GPL-2.0
//! `/dev/pagelens`: one device that is asked about memory, and answers with descriptors.
//!
//! The numbers and records stand in `abi::pagelens`, what sums mean in `model::snapshot` and `model::ram`;
//! `docs/pagelens-device.md` explains the protocol, `docs/pagelens-internals.md` structures and locks.
//!
//! Lock order, outermost first: a target's `exec_update_lock`, tried and never waited for, and given up
//! before all else; its mmap lock; RCU; the lock of a page table. Or: RCU; the lock of an inode, or that of
//! renames. User memory is touched with none held.
#![deny(unsafe_code)]

mod areas;
mod ask;
mod node;
mod parts;
mod ram;
mod shared;
mod snapshot;

use kernel::{prelude::*, str::CString};
use kx_dev::device::{Access, Nodes, Prepared};
use node::Pagelens;

module! {
    type: Module,
    name: "pagelens",
    authors: ["Pagelens developers"],
    description: "What memory really is: /dev/pagelens",
    license: "GPL",
}

kx_param::number_param! {
    /// The permissions of the node.
    static MODE: mode: ullong(u64) = 0o600;
    "Permissions of the device node (default: 0600)"
}

kx_param::number_param! {
    /// The group of the node.
    static GROUP: gid: ullong(u64) = 0;
    "Group of the device node, a number (default: 0)"
}

struct Module {
    _nodes: Nodes<Pagelens>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let access = access().inspect_err(|_| {
            pr_err!("a parameter is out of its range; `modinfo pagelens` shows them\n");
        })?;
        let name = |_| CString::try_from_fmt(fmt!("pagelens"));
        let nodes = Prepared::new(c"pagelens", 1, name, access, Pagelens::new()?)?;
        // The last thing that can fail: from here on there may be open descriptors.
        Ok(Self {
            _nodes: nodes.publish()?,
        })
    }
}

fn access() -> Result<Access> {
    let mode = u16::try_from(MODE.get()).map_err(|_| EINVAL)?;
    let group = u32::try_from(GROUP.get()).map_err(|_| EINVAL)?;
    match mode & !0o777 {
        0 => Ok(Access { mode, group }),
        _ => Err(EINVAL),
    }
}
