// SPDX-License-Identifier: GPL-2.0
//! A slot: memory, its size, and who has to do with it.
//!
//! `resizing` orders what changes the size or relies on it for longer than a moment: resizing and
//! sealing exclude, writing shares, but never while it waits for user memory. `state` is held for
//! looking and counting; `mmap` takes it too, with an mmap lock held, so user memory is never touched
//! under it.

use crate::changes::Changes;
use core::cmp::Ordering;
use kernel::{
    fs::File,
    iov::{IovIterDest, IovIterSource},
    mm::virt::VmaNew,
    new_mutex,
    prelude::*,
    sync::{poll::PollTable, Arc, Mutex},
};
use kx_base::{charged, rw_lock::InterruptibleRwLock, sched};
use kx_dev::{
    after::after_call,
    shmem::{self, Memory},
};
use kx_mm::{
    mm,
    task::{self, Comm, Pid, COMM_LEN},
};
use model::{
    ids::{self, Ids},
    kshram::{mapping_end, pages, PAGE},
};

pub(crate) type Label = [u8; abi::kshram::LABEL_LEN];

/// Who set the size, and when.
struct Sizer {
    pid: Pid,
    comm: Comm,
    at: u64,
}

impl Sizer {
    /// Its number and name for the caller, who may not know either if it cannot be seen from there,
    /// and the time.
    fn describe(&self) -> Result<(u32, [u8; COMM_LEN], u64)> {
        let number = task::with_current_namespace(|here| Ok(self.pid.number_in(here)))?;
        Ok(match number {
            Some(number) => (number.get().unsigned_abs(), self.comm.to_bytes(), self.at),
            None => (0, Default::default(), self.at),
        })
    }
}

/// Mappings whose `mmap` is not over: others cannot find them yet.
#[derive(Default)]
struct Arriving {
    count: u32,
    /// The page behind the last that one of them wants.
    end: u64,
}

struct State {
    /// What `mmap`, reads and writes go by. The memory is never smaller while somebody may rely on
    /// it: growing publishes this last, shrinking first.
    size: u64,
    arriving: Arriving,
    opens: u32,
    generation: u64,
    is_sealed: bool,
    label: Label,
    sizer: Option<Sizer>,
}

#[pin_data]
pub(crate) struct Slot {
    memory: Memory,
    changes: Arc<Changes>,
    #[pin]
    resizing: InterruptibleRwLock,
    #[pin]
    state: Mutex<State>,
}

impl Slot {
    pub(crate) fn new(memory: Memory, size: u64, changes: Arc<Changes>) -> Result<Arc<Self>> {
        let state = State {
            size,
            arriving: Arriving::default(),
            opens: 0,
            generation: 0,
            is_sealed: false,
            label: Label::default(),
            sizer: None,
        };
        Arc::pin_init(
            pin_init!(Self {
                memory,
                changes,
                resizing <- InterruptibleRwLock::new(),
                state <- new_mutex!(state, "kshram.state"),
            }),
            GFP_KERNEL,
        )
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn size(&self) -> u64 {
        self.state.lock().size
    }

    pub(crate) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    pub(crate) fn register(&self, file: &File, table: &PollTable<'_>) {
        self.changes.register(file, table);
    }

    /// Lets `change` change the state, and tells everybody.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        state.generation = state.generation.wrapping_add(1);
        drop(state);
        self.changes.announce();
    }

    /// Sets the size. With `force`, whoever maps more than that gets SIGBUS there.
    pub(crate) fn resize(&self, size: u64, force: bool) -> Result {
        let sizer = Sizer {
            pid: Pid::current()?,
            comm: Comm::of_current(),
            at: sched::now(),
        };
        let _alone = self.resizing.exclude()?;
        let old = self.unsealed_size()?;
        self.memory.forget_policy(size);
        match size.cmp(&old) {
            Ordering::Less => self.shrink(old, size, force)?,
            Ordering::Equal => {}
            Ordering::Greater => self.memory.grow(old, size)?,
        }
        let mut sizer = Some(sizer);
        self.change(|state| {
            state.size = size;
            core::mem::swap(&mut state.sizer, &mut sizer);
        });
        Ok(())
    }

    fn unsealed_size(&self) -> Result<u64> {
        let state = self.state.lock();
        match state.is_sealed {
            true => Err(EPERM),
            false => Ok(state.size),
        }
    }

    fn shrink(&self, old: u64, size: u64, force: bool) -> Result {
        let mut state = self.state.lock();
        let end = state.arriving.end.max(self.memory.mapped_end());
        if !force && end > pages(size) {
            return Err(EBUSY);
        }
        // From here on nobody can begin to map more. Whoever did before has arrived, or was just
        // looked at.
        state.size = size;
        drop(state);
        self.memory.truncate(size).inspect_err(|_| {
            self.state.lock().size = old;
        })
    }

    /// Sets up a mapping.
    pub(crate) fn map(self: &Arc<Self>, vma: &VmaNew) -> Result {
        if !mm::is_shared(vma) {
            return Err(EINVAL);
        }
        let (first, count) = shmem::wanted_pages(vma);
        let arrival = KBox::new(Arrival::new(self, first, count)?, GFP_KERNEL)?;
        after_call(arrival)?;
        self.memory.map(vma)
    }

    pub(crate) fn read(&self, from: u64, to: &mut IovIterDest<'_>) -> Result<usize> {
        let end = self.size();
        self.memory.read(from, end, to)
    }

    /// Writes what fits, to a position or behind the end. Nobody waits while the source is waited for,
    /// so the size may change meanwhile.
    pub(crate) fn write(&self, at: Option<u64>, from: &mut IovIterSource<'_>) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        let at = at.ok_or(ENOSPC)?;
        let mut done = 0;
        loop {
            match self.write_on(at, &mut done, from) {
                Ok(true) => {}
                Err(error) if done == 0 => return Err(error),
                _ => return Ok(done),
            }
        }
    }

    /// Writes what is there, and waits for more; whether there is.
    fn write_on(&self, at: u64, done: &mut usize, from: &mut IovIterSource<'_>) -> Result<bool> {
        let others = self.resizing.share()?;
        let at = at.saturating_add(*done as u64);
        let written = self.memory.write(at, self.size(), from)?;
        drop(others);
        *done = done.saturating_add(written.bytes);
        if written.wants_more {
            shmem::fault_in(from)?;
        }
        Ok(written.wants_more)
    }

    /// Overwrites everything with zeros, the end of the last page too, which mappings show. An error
    /// says what could not be: see [`Memory::zero`].
    pub(crate) fn wipe(&self) -> Result {
        // Nobody needs to be kept away: what is added meanwhile is zero, what is cut off is gone.
        let end = pages(self.size()).saturating_mul(PAGE);
        let wiped = self.memory.zero(0..end);
        self.change(|_| ());
        wiped
    }

    pub(crate) fn seal(&self) -> Result {
        let _alone = self.resizing.exclude()?;
        self.change(|state| state.is_sealed = true);
        Ok(())
    }

    pub(crate) fn name(&self, label: Label) {
        self.change(|state| state.label = label);
    }

    /// What is known about the slot.
    pub(crate) fn describe(&self, index: u32) -> Result<abi::kshram::Slot> {
        let mut mappings = 0u32;
        self.memory
            .each_mapping(|_| mappings = mappings.saturating_add(1))?;
        let state = self.state.lock();
        let (sizer, sizer_comm, sized_at) = match &state.sizer {
            Some(sizer) => sizer.describe()?,
            None => (0, Default::default(), 0),
        };
        Ok(abi::kshram::Slot {
            index,
            flags: match state.is_sealed {
                true => abi::kshram::SEALED,
                false => 0,
            },
            size: state.size,
            resident: self.memory.resident(),
            generation: state.generation,
            opens: state.opens,
            mappings,
            sizer,
            reserved: 0,
            sized_at,
            sizer_comm,
            label: state.label,
        })
    }

    /// The processes that map the slot: the `most` lowest ids, ascending; whether there are more.
    /// `pids` is empty and has room for that many.
    pub(crate) fn mappers(&self, pids: &mut KVVec<u32>, most: usize) -> Result<bool> {
        let mut words = KVVec::from_elem(0u64, ids::WORDS, charged::flags())?;
        let mut seen = Ids::new(words.as_mut_slice());
        self.memory
            .each_mapping(|pid| seen.insert(pid.unsigned_abs()))?;
        Ok(seen.lowest(most, |pid| {
            // Nothing is allocated: there is room.
            let _ = pids.push_within_capacity(pid);
        }))
    }
}

/// A mapping whose `mmap` is not over yet. Dropping it says that it is.
struct Arrival(Arc<Slot>);

impl Arrival {
    fn new(slot: &Arc<Slot>, first: u64, count: u64) -> Result<Self> {
        let mut state = slot.state.lock();
        let end = mapping_end(first, count, state.size).ok_or(EINVAL)?;
        let arriving = &mut state.arriving;
        arriving.count = arriving.count.checked_add(1).ok_or(EAGAIN)?;
        arriving.end = arriving.end.max(end);
        Ok(Self(slot.clone()))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let arriving = &mut self.0.state.lock().arriving;
        arriving.count = arriving.count.saturating_sub(1);
        if arriving.count == 0 {
            arriving.end = 0;
        }
    }
}

/// A descriptor of a slot.
pub(crate) struct Opened(Arc<Slot>);

impl Opened {
    pub(crate) fn new(slot: Arc<Slot>) -> Result<Self> {
        let mut state = slot.state.lock();
        state.opens = state.opens.checked_add(1).ok_or(EMFILE)?;
        drop(state);
        Ok(Self(slot))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.opens = state.opens.saturating_sub(1);
    }
}

impl core::ops::Deref for Opened {
    type Target = Arc<Slot>;

    fn deref(&self) -> &Arc<Slot> {
        &self.0
    }
}
