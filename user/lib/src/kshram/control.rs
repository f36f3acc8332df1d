// SPDX-License-Identifier: MIT OR Apache-2.0
//! All slots, seen from above.

use std::fs::{File, OpenOptions};
use std::io;
use std::time::Duration;

use abi::kshram as abi;
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::ioctl;
use crate::error::{Error, Result};

/// A descriptor of `/dev/kshram_ctl`.
#[derive(Debug)]
pub struct Control {
    file: File,
}

/// The module as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// How many slots there are.
    pub slots: u32,
    /// The largest size that a slot may have.
    pub max_bytes: u64,
    /// Whether the memory may be swapped.
    pub may_swap: bool,
    /// How often any slot changed: its size, its label, its seal, or a wipe.
    pub changes: u64,
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Which slot.
    pub index: u32,
    /// Its label; empty if it has none.
    pub label: String,
    /// Its size.
    pub size: u64,
    /// Bytes of it that are in memory.
    pub resident: u64,
    /// Whether its size never changes again.
    pub is_sealed: bool,
    /// How often it changed: its size, its label, its seal, or a wipe.
    pub generation: u64,
    /// Descriptors of it that are open.
    pub opens: u32,
    /// Mappings of it.
    pub mappings: u32,
    /// Who set its size last.
    pub sizer: Option<Sizer>,
}

/// Who set the size of a slot last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizer {
    /// The process; `None` if it is not of this pid namespace.
    pub pid: Option<u32>,
    /// The name of its thread; empty if it is not of this pid namespace.
    pub name: String,
    /// When, in the time of CLOCK_MONOTONIC.
    pub at: Duration,
}

impl Control {
    /// The device.
    pub const PATH: &'static str = "/dev/kshram_ctl";

    /// Opens it for everything.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self> {
        Self::open_with(OpenOptions::new().read(true).write(true))
    }

    /// Opens it for looking only.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open_read_only() -> Result<Self> {
        Self::open_with(OpenOptions::new().read(true))
    }

    fn open_with(options: &OpenOptions) -> Result<Self> {
        let file = options.open(Self::PATH);
        let file = file.map_err(|source| Error::Open {
            path: Self::PATH.into(),
            source,
        })?;
        Ok(Self { file })
    }

    /// The module as a whole. [`Control::wait_for_change`] waits for changes after this.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn info(&self) -> Result<Info> {
        let mut info = abi::Info::default();
        self.exchange("look at kshram", abi::CTL_INFO, &mut info)?;
        Ok(Info {
            slots: info.slots,
            max_bytes: info.max_bytes,
            may_swap: info.flags & abi::SWAP != 0,
            changes: info.changes,
        })
    }

    /// Waits until a slot changed since the last [`Control::info`]; whether one did in time.
    ///
    /// # Errors
    /// [`Error::Control`].
    pub fn wait_for_change(&self, limit: Duration) -> Result<bool> {
        let mut descriptors = [PollFd::new(&self.file, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        let ready = poll(&mut descriptors, limit.as_ref())
            .map_err(|error| self.error("wait for a change", error.into()))?;
        Ok(ready == 1)
    }

    /// A slot.
    ///
    /// # Errors
    /// [`Error::Control`] with `ENXIO` if there is none of that index.
    pub fn slot(&self, index: u32) -> Result<Description> {
        let mut slot = abi::Slot {
            index,
            ..Default::default()
        };
        self.exchange("look at a slot", abi::CTL_SLOT, &mut slot)?;
        Ok(slot.into())
    }

    /// All slots.
    ///
    /// # Errors
    /// As [`Control::slot`].
    pub fn all(&self) -> Result<Vec<Description>> {
        (0..self.info()?.slots)
            .map(|slot| self.slot(slot))
            .collect()
    }

    /// The processes of this pid namespace that map a slot, ascending; of more than
    /// [`abi::MAPPERS_MAX`] as many as that.
    ///
    /// # Errors
    /// As [`Control::slot`].
    pub fn mappers(&self, index: u32) -> Result<Vec<u32>> {
        let mut capacity = 64;
        loop {
            let mut pids = vec![0; capacity as usize];
            let mut mappers = abi::Mappers {
                index,
                capacity,
                pids: pids.as_mut_ptr() as u64,
                ..Default::default()
            };
            self.exchange("list who maps a slot", abi::CTL_MAPPERS, &mut mappers)?;
            if mappers.truncated == 0 || capacity == abi::MAPPERS_MAX {
                pids.truncate(mappers.count as usize);
                return Ok(pids);
            }
            capacity = (capacity * 4).min(abi::MAPPERS_MAX);
        }
    }

    /// Names a slot.
    ///
    /// # Errors
    /// [`Error::Control`] with `EINVAL` for more than 32 bytes or one that is 0, `EBADF` through a
    /// read-only descriptor, `EACCES` if the caller may not write to the slot's node.
    pub fn label(&self, index: u32, label: &str) -> Result<()> {
        const ACTION: &str = "name a slot";
        let mut record = abi::Label {
            index,
            ..Default::default()
        };
        let room = record.label.get_mut(..label.len());
        match room.filter(|_| !label.contains('\0')) {
            Some(room) => room.copy_from_slice(label.as_bytes()),
            None => return Err(self.error(ACTION, io::ErrorKind::InvalidInput.into())),
        }
        self.exchange(ACTION, abi::CTL_LABEL, &mut record)
    }

    /// Makes a slot's size final, until the module is unloaded.
    ///
    /// # Errors
    /// As [`Control::label`].
    pub fn seal(&self, index: u32) -> Result<()> {
        self.call("seal a slot", abi::CTL_SEAL, index)
    }

    /// Overwrites a slot with zeros, where it is.
    ///
    /// # Errors
    /// As [`Control::label`]. `EIO` or `ENOMEM` if pages are damaged or cannot be read back from swap:
    /// everything else was wiped.
    pub fn wipe(&self, index: u32) -> Result<()> {
        self.call("wipe a slot", abi::CTL_WIPE, index)
    }

    fn call(&self, action: &'static str, command: u32, index: u32) -> Result<()> {
        match ioctl::call(&self.file, command, index.into()) {
            Ok(_) => Ok(()),
            Err(source) => Err(self.error(action, source)),
        }
    }

    fn exchange<T>(&self, action: &'static str, command: u32, record: &mut T) -> Result<()>
    where
        T: zerocopy::FromBytes + zerocopy::IntoBytes,
    {
        ioctl::exchange(&self.file, command, record).map_err(|source| self.error(action, source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Control { action, source }
    }
}

impl From<abi::Slot> for Description {
    fn from(slot: abi::Slot) -> Self {
        let sizer = (slot.sized_at != 0).then(|| Sizer {
            pid: (slot.sizer != 0).then_some(slot.sizer),
            name: text(&slot.sizer_comm),
            at: Duration::from_nanos(slot.sized_at),
        });
        Self {
            index: slot.index,
            label: text(&slot.label),
            size: slot.size,
            resident: slot.resident,
            is_sealed: slot.flags & abi::SEALED != 0,
            generation: slot.generation,
            opens: slot.opens,
            mappings: slot.mappings,
            sizer,
        }
    }
}

/// The bytes before the first 0.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_description() {
        let mut slot = abi::Slot {
            index: 3,
            size: 10,
            ..Default::default()
        };
        slot.label[..5].copy_from_slice(b"cache");
        let description = Description::from(slot);
        assert_eq!(description.label, "cache");
        assert_eq!(description.sizer, None);
        assert!(!description.is_sealed);

        slot.sized_at = 5;
        slot.sizer_comm = *b"a name of 16 byt";
        slot.flags = abi::SEALED;
        let description = Description::from(slot);
        let sizer = description.sizer.unwrap();
        assert_eq!((sizer.pid, &*sizer.name), (None, "a name of 16 byt"));
        assert!(description.is_sealed);
    }
}
