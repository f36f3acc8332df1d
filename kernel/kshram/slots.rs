// SPDX-License-Identifier: GPL-2.0
//! All slots.

use crate::{changes::Changes, slot::Slot};
use kernel::{prelude::*, str::CString, sync::Arc};
use kx_dev::{device::Registry, mount::Mount, shmem::Memory};
use model::kshram::{Limits, FIRST_SIZE};

/// The order of the fields is that in which they go away.
pub(crate) struct Slots {
    slots: KVec<Arc<Slot>>,
    _mount: Mount,
    changes: Arc<Changes>,
    registry: Registry,
    limits: Limits,
    may_swap: bool,
}

impl Slots {
    pub(crate) fn new(limits: Limits, may_swap: bool) -> Result<Self> {
        let mount = Mount::tmpfs()?;
        let changes = Changes::new()?;
        let mut slots = KVec::with_capacity(limits.slots as usize, GFP_KERNEL)?;
        for index in 0..limits.slots {
            // What /proc/PID/maps shows, after a slash.
            let name = CString::try_from_fmt(fmt!("dev/kshram{index}"))?;
            let memory = Memory::new(&mount, &name, FIRST_SIZE, may_swap)?;
            let slot = Slot::new(memory, FIRST_SIZE, changes.clone())?;
            slots.push(slot, GFP_KERNEL)?;
        }
        Ok(Self {
            slots,
            _mount: mount,
            changes,
            registry: Registry::new()?,
            limits,
            may_swap,
        })
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Arc<Slot>> {
        self.slots.get(index as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.slots.iter()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is known about the module.
    pub(crate) fn describe(&self) -> abi::kshram::Info {
        abi::kshram::Info {
            slots: self.limits.slots,
            flags: match self.may_swap {
                true => abi::kshram::SWAP,
                false => 0,
            },
            max_bytes: self.limits.max_bytes,
            changes: self.changes.count(),
        }
    }
}
