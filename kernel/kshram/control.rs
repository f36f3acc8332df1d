// SPDX-License-Identifier: GPL-2.0
//! `/dev/kshram_ctl`: looking at all slots, and what is not a matter of their contents.

use crate::{node, slot::Slot, slots::Slots};
use abi::kshram::{
    Info, Label, Mappers, CTL_INFO, CTL_LABEL, CTL_MAPPERS, CTL_SEAL, CTL_SLOT, CTL_WIPE,
    MAPPERS_MAX,
};
use kernel::{
    fs::File,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        poll::PollTable,
        Arc,
    },
    uaccess::{UserPtr, UserSlice},
};
use kx_base::{charged, record};
use kx_dev::{device::is_writable, poll};
use kx_mm::task;

/// A descriptor.
pub(crate) struct Control {
    slots: Arc<Slots>,
    /// The number of changes that this descriptor was told of last.
    seen: Atomic<u64>,
}

impl Control {
    pub(crate) fn new(slots: Arc<Slots>) -> Self {
        let seen = Atomic::new(slots.changes().count());
        Self { slots, seen }
    }

    pub(crate) fn ioctl(&self, file: &File, command: u32, argument: usize) -> Result<isize> {
        let changes = matches!(command, CTL_LABEL | CTL_SEAL | CTL_WIPE);
        if changes && !is_writable(file) {
            return Err(EBADF);
        }
        let address = UserPtr::from_addr(argument);
        match command {
            CTL_INFO => self.info(address),
            CTL_SLOT => self.describe(address),
            CTL_MAPPERS => self.mappers(address),
            CTL_LABEL => self.label(file, address),
            CTL_SEAL => self.changeable_of(file, argument)?.seal(),
            CTL_WIPE => self.changeable_of(file, argument)?.wipe(),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }

    pub(crate) fn poll(&self, file: &File, table: &PollTable<'_>) -> u32 {
        self.slots.changes().register(file, table);
        match self.slots.changes().count() == self.seen.load(Relaxed) {
            true => 0,
            false => poll::IN,
        }
    }

    fn slot(&self, index: u32) -> Result<&Arc<Slot>> {
        self.slots.get(index).ok_or(ENXIO)
    }

    /// A slot that the caller may change: who may write to its node, or everything.
    fn changeable(&self, file: &File, index: u32) -> Result<&Arc<Slot>> {
        let slot = self.slot(index)?;
        let name = node::name(index, self.slots.limits().slots)?;
        match self.slots.registry().check_writable(file, index, &name) {
            Err(error) if !task::is_administrator() => Err(error),
            _ => Ok(slot),
        }
    }

    /// The same for an argument.
    fn changeable_of(&self, file: &File, argument: usize) -> Result<&Arc<Slot>> {
        self.changeable(file, u32::try_from(argument).map_err(|_| ENXIO)?)
    }

    fn info(&self, address: UserPtr) -> Result {
        let info: Info = self.slots.describe();
        record::write(address, &info)?;
        self.seen.store(info.changes, Relaxed);
        Ok(())
    }

    fn describe(&self, address: UserPtr) -> Result {
        let asked: abi::kshram::Slot = record::read(address)?;
        let slot = self.slot(asked.index)?.describe(asked.index)?;
        record::write(address, &slot)
    }

    fn mappers(&self, address: UserPtr) -> Result {
        let mut mappers: Mappers = record::read(address)?;
        let slot = self.slot(mappers.index)?;
        if mappers.capacity > MAPPERS_MAX {
            return Err(EINVAL);
        }
        let capacity = mappers.capacity as usize;
        let mut pids = KVVec::with_capacity(capacity, charged::flags())?;
        mappers.truncated = slot.mappers(&mut pids, capacity)?.into();
        mappers.count = u32::try_from(pids.len()).map_err(|_| EOVERFLOW)?;
        let array = UserPtr::from_addr(usize::try_from(mappers.pids).map_err(|_| EFAULT)?);
        let bytes = pids.len().checked_mul(size_of::<u32>()).ok_or(EOVERFLOW)?;
        let mut array = UserSlice::new(array, bytes).writer();
        for pid in &pids {
            array.write_slice(&pid.to_ne_bytes())?;
        }
        record::write(address, &mappers)
    }

    fn label(&self, file: &File, address: UserPtr) -> Result {
        let Label {
            index,
            reserved,
            label,
        } = record::read(address)?;
        let slot = self.changeable(file, index)?;
        let mut padding = label.iter().skip_while(|&&byte| byte != 0);
        if reserved != 0 || padding.any(|&byte| byte != 0) {
            return Err(EINVAL);
        }
        slot.name(label);
        Ok(())
    }
}
