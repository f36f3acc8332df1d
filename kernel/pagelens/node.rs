// SPDX-License-Identifier: GPL-2.0
//! The device node: which number asks for what.

use crate::{ask, ram, snapshot};
use abi::pagelens::{
    ram::{CAPABILITY_RAM, RAM},
    Version, AVAILABLE, CAPABILITY_SNAPSHOT, OWN_ONLY, PROTOCOL, REFUSED, SNAPSHOT, VERSION,
};
use kernel::{
    fs::File,
    iov::{IovIterDest, IovIterSource},
    mm::virt::VmaNew,
    prelude::*,
    sync::{poll::PollTable, Arc},
    uaccess::UserPtr,
};
use kx_base::{charged, record};
use kx_dev::{device::Device, shmem::Memory};
use kx_frame::MachineFrames;
use kx_mm::task;

/// The device.
pub(crate) struct Pagelens {
    memory: Arc<MachineFrames>,
}

impl Pagelens {
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        let memory = Arc::new(MachineFrames::watch()?, charged::flags())?;
        Ok(Self { memory })
    }
}

/// A descriptor of it, which knows the memory only: what is asked is answered by descriptors of their own.
pub(crate) struct Open {
    memory: Arc<MachineFrames>,
}

impl Device for Pagelens {
    type Open = Open;

    fn open(&self, _index: u32) -> Result<KBox<Open>> {
        let memory = self.memory.clone();
        Ok(KBox::new(Open { memory }, charged::flags())?)
    }

    fn ioctl(open: &Open, _file: &File, command: u32, argument: usize) -> Result<isize> {
        let address = UserPtr::from_addr(argument);
        match command {
            VERSION => version(address),
            SNAPSHOT => snapshot::begin(&ask::read(address)?),
            RAM => ram::begin(&open.memory, &ask::read(address)?),
            _ => Err(ENOTTY),
        }
    }

    fn memory(_open: &Open) -> Option<&Memory> {
        None
    }

    fn map(_open: &Open, _vma: &VmaNew) -> Result {
        Err(ENODEV)
    }

    fn len(_open: &Open) -> Result<u64> {
        Err(ESPIPE)
    }

    fn read(_open: &Open, _from: u64, _to: &mut IovIterDest<'_>) -> Result<usize> {
        Err(EINVAL)
    }

    fn write(_open: &Open, _at: Option<u64>, _from: &mut IovIterSource<'_>) -> Result<usize> {
        Err(EINVAL)
    }

    fn poll(_open: &Open, _file: &File, _table: PollTable<'_>) -> u32 {
        0
    }
}

/// Tells what there is, as far as the caller's record goes.
fn version(address: UserPtr) -> Result<isize> {
    let asked: Version = ask::read(address)?;
    let mut version = Version {
        size: size_of::<Version>() as u32,
        protocol: PROTOCOL,
        ..Version::default()
    };
    if let Some(snapshot) = version.capabilities.get_mut(CAPABILITY_SNAPSHOT) {
        *snapshot = match task::may_trace_all() {
            true => AVAILABLE,
            false => OWN_ONLY,
        };
    }
    if let Some(ram) = version.capabilities.get_mut(CAPABILITY_RAM) {
        *ram = match task::is_administrator() {
            true => AVAILABLE,
            false => REFUSED,
        };
    }
    record::write_up_to(address, &version, asked.size as usize)?;
    Ok(0)
}
