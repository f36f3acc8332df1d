// SPDX-License-Identifier: GPL-2.0
//! The device nodes: which is what, and what a slot's node does.

use crate::{control::Control, slot::Opened, slots::Slots};
use kernel::{
    fs::File,
    iov::{IovIterDest, IovIterSource},
    mm::virt::VmaNew,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        poll::PollTable,
        Arc,
    },
};
use kx_base::charged;
use kx_dev::{
    device::{is_writable, signed, Device},
    poll,
    shmem::Memory,
};
use model::kshram::Refusal;

/// The name of node `index`: the one behind the last slot is for control.
pub(crate) fn name(index: u32, slots: u32) -> Result<CString> {
    match index {
        _ if index == slots => CString::try_from_fmt(fmt!("kshram_ctl")),
        _ => CString::try_from_fmt(fmt!("kshram{index}")),
    }
}

/// The device behind all nodes.
pub(crate) struct Kshram {
    slots: Arc<Slots>,
}

impl Kshram {
    pub(crate) fn new(slots: Arc<Slots>) -> Self {
        Self { slots }
    }
}

/// A descriptor.
pub(crate) enum Open {
    Slot(SlotFile),
    Control(Control),
}

/// A descriptor of a slot.
pub(crate) struct SlotFile {
    slots: Arc<Slots>,
    slot: Opened,
    /// The slot's generation when this descriptor last asked for its size.
    seen: Atomic<u64>,
}

impl SlotFile {
    fn ioctl(&self, file: &File, command: u32, argument: usize) -> Result<isize> {
        match command {
            abi::kshram::GETSLOTS => Ok(self.slots.limits().slots as isize),
            abi::kshram::GETSIZE => {
                self.seen.store(self.slot.generation(), Relaxed);
                isize::try_from(self.slot.size()).map_err(|_| EOVERFLOW)
            }
            abi::kshram::SETSIZE => self.resize(file, argument, false),
            abi::kshram::FORCE_SHRINK => self.resize(file, argument, true),
            _ => Err(ENOTTY),
        }
    }

    fn resize(&self, file: &File, argument: usize, force: bool) -> Result<isize> {
        if !is_writable(file) {
            return Err(EBADF);
        }
        let size = self.slots.limits().size(signed(argument) as u64);
        let size = size.map_err(|refusal| match refusal {
            Refusal::Invalid => EINVAL,
            Refusal::TooLarge => ENOSPC,
        })?;
        self.slot.resize(size, force).map(|()| 0)
    }

    fn poll(&self, file: &File, table: &PollTable<'_>) -> u32 {
        self.slot.register(file, table);
        let always = poll::IN | poll::OUT;
        match self.slot.generation() == self.seen.load(Relaxed) {
            true => always,
            false => always | poll::PRIORITY,
        }
    }
}

impl Device for Kshram {
    type Open = Open;

    fn open(&self, index: u32) -> Result<KBox<Open>> {
        let open = match self.slots.get(index) {
            Some(slot) => Open::Slot(SlotFile {
                slots: self.slots.clone(),
                slot: Opened::new(slot.clone())?,
                seen: Atomic::new(slot.generation()),
            }),
            None => Open::Control(Control::new(self.slots.clone())),
        };
        Ok(KBox::new(open, charged::flags())?)
    }

    fn ioctl(open: &Open, file: &File, command: u32, argument: usize) -> Result<isize> {
        match open {
            Open::Slot(slot) => slot.ioctl(file, command, argument),
            Open::Control(control) => control.ioctl(file, command, argument),
        }
    }

    fn memory(open: &Open) -> Option<&Memory> {
        match open {
            Open::Slot(slot) => Some(slot.slot.memory()),
            Open::Control(_) => None,
        }
    }

    fn map(open: &Open, vma: &VmaNew) -> Result {
        match open {
            Open::Slot(slot) => slot.slot.map(vma),
            Open::Control(_) => Err(ENODEV),
        }
    }

    fn len(open: &Open) -> Result<u64> {
        match open {
            Open::Slot(slot) => Ok(slot.slot.size()),
            Open::Control(_) => Err(ESPIPE),
        }
    }

    fn read(open: &Open, from: u64, to: &mut IovIterDest<'_>) -> Result<usize> {
        match open {
            Open::Slot(slot) => slot.slot.read(from, to),
            Open::Control(_) => Err(EINVAL),
        }
    }

    fn write(open: &Open, at: Option<u64>, from: &mut IovIterSource<'_>) -> Result<usize> {
        match open {
            Open::Slot(slot) => slot.slot.write(at, from),
            Open::Control(_) => Err(EINVAL),
        }
    }

    fn poll(open: &Open, file: &File, table: PollTable<'_>) -> u32 {
        match open {
            Open::Slot(slot) => slot.poll(file, &table),
            Open::Control(control) => control.poll(file, &table),
        }
    }
}
