// SPDX-License-Identifier: GPL-2.0
//! `/dev/kshram0` … and `/dev/kshram_ctl`: named shared memory that belongs to the kernel.
//!
//! What is in a slot stays while the module is loaded, whoever comes and goes. Mappings may even
//! outlive the module. `docs/kshram-internals.md` explains the choice of the memory, the locks and
//! the cost; the numbers and records stand in `abi::kshram`, what sizes mean in `model::kshram`.
//!
//! Lock order, outermost first: a slot's `resizing`; the inode of its memory; a folio of it; the
//! memory's `i_mmap_rwsem`. A slot's `state` comes before `i_mmap_rwsem` and after `resizing`, and a task's mmap
//! lock before `state` and folios. User memory is waited for with none of them held.
#![deny(unsafe_code)]

mod changes;
mod control;
mod listing;
mod node;
mod slot;
mod slots;

use kernel::{prelude::*, sync::Arc};
use kx_dev::device::{Access, Nodes, Prepared};
use kx_proc::procfile::ProcFile;
use listing::Listing;
use model::kshram::Limits;
use node::Kshram;
use slots::Slots;

module! {
    type: Module,
    name: "kshram",
    authors: ["Pagelens developers"],
    description: "Shared memory that belongs to the kernel: /dev/kshramN, /dev/kshram_ctl",
    license: "GPL",
}

kx_param::number_param! {
    /// How many slots there are.
    static SLOTS: slots: ullong(u64) = 8;
    "Number of slots, 1 to 256 (default: 8)"
}

kx_param::number_param! {
    /// How large a slot may become.
    static MAX_BYTES: max_bytes: ullong(u64) = 256 << 20;
    "Largest size of a slot in bytes, 4096 to 2147479552 (default: 268435456)"
}

kx_param::number_param! {
    /// The permissions of the nodes.
    static MODE: mode: ullong(u64) = 0o660;
    "Permissions of the device nodes (default: 0660)"
}

kx_param::number_param! {
    /// The group of the nodes.
    static GROUP: group: ullong(u64) = 0;
    "Group of the device nodes, a number (default: 0)"
}

kx_param::number_param! {
    /// Whether the memory may be swapped.
    static SWAP: swap: ullong(u64) = 0;
    "1 lets the memory be swapped (default: 0)"
}

/// The order of the fields is that in which they go away.
struct Module {
    _nodes: Nodes<Kshram>,
    _listing: ProcFile<Listing>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let (limits, access) = parameters().inspect_err(|_| {
            pr_err!("a parameter is out of its range; `modinfo kshram` shows them\n");
        })?;
        let slots = Arc::new(Slots::new(limits, SWAP.get() == 1)?, GFP_KERNEL)?;
        let listing = Listing::new(slots.clone());
        let nodes = limits.slots.checked_add(1).ok_or(EINVAL)?;
        let nodes = Prepared::new(
            c"kshram",
            nodes,
            |index| node::name(index, limits.slots),
            access,
            Kshram::new(slots),
        )?;
        let listing = ProcFile::new(c"kshram", 0o444, listing)?;
        // The last thing that can fail: from here on there may be open descriptors.
        Ok(Self {
            _nodes: nodes.publish()?,
            _listing: listing,
        })
    }
}

fn parameters() -> Result<(Limits, Access)> {
    let limits = Limits::new(SLOTS.get(), MAX_BYTES.get()).ok_or(EINVAL)?;
    let mode = u16::try_from(MODE.get()).map_err(|_| EINVAL)?;
    let group = u32::try_from(GROUP.get()).map_err(|_| EINVAL)?;
    if mode & !0o777 != 0 || SWAP.get() > 1 {
        return Err(EINVAL);
    }
    Ok((limits, Access { mode, group }))
}
