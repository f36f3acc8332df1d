// SPDX-License-Identifier: GPL-2.0
//! The contents of page frames.
//!
//! A frame is found by its number and held only while it is looked at. Between looks it may be
//! freed and used anew: then it is either not found any more, or judged by what it holds by then.
//! The alternative, a reference for each candidate from the walk to the last comparison, would make
//! the observer visible: a raised reference count keeps a page from being migrated, collapsed,
//! merged or reused by a write fault, and keeps the memory of processes that exit.
//!
//! A number alone keeps no memory from being taken out of the machine. [`MachineFrames`] makes the kernel
//! wait, between marking memory as offline and removing its `struct page`s, until nobody looks at
//! one of them any more that was found before; and memory of which a page is referenced does not go
//! offline. (The lock that excludes hot-plug altogether is not exported.)
//!
//! Found are only frames that are mapped by a process and that the kernel itself may read: ordinary
//! anonymous memory and page cache, not secret memory, poisoned frames or devices.

mod sys;

use core::ptr::NonNull;
use kernel::{
    ffi::{c_uint, c_ulong},
    prelude::*,
};
use model::group::{self, Lookup, WORDS};

/// A frame of a process that stays what it is while this value lives.
///
/// # Invariants
///
/// The pointer is what `kx_frame_get` gave: where the direct map has the frame, if it has it, of whose
/// folio this value owns a reference.
struct Held(NonNull<u64>);

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours to give up.
        unsafe { sys::kx_frame_put(self.0.as_ptr().cast()) };
    }
}

/// A held frame whose contents may be read, and written by others meanwhile.
///
/// # Invariants
///
/// The pointer is to the [`WORDS`] words of the frame, in the direct map.
pub struct Frame(Held);

impl Frame {
    /// Looks for the frame with number `pfn`.
    fn get(_memory: &MachineFrames, pfn: u64) -> Lookup<Self> {
        let mut frame = core::ptr::null();
        // SAFETY: Any number may be asked for, as long as the memory is watched: by the invariant
        // of `MachineFrames`.
        let facts = unsafe { sys::kx_frame_get(pfn as c_ulong, &mut frame) };
        let held = match NonNull::new(frame.cast_mut().cast()) {
            // INVARIANT: It was given just now, with a reference.
            Some(frame) if facts & sys::KX_FRAME_HELD != 0 => Held(frame),
            _ if facts & sys::KX_FRAME_DEVICE != 0 => return Lookup::Closed,
            _ => return Lookup::Lost,
        };
        match is_readable(facts) {
            // INVARIANT: The direct map has all frames but those of which this says otherwise.
            true => Lookup::Found(Self(held)),
            false => Lookup::Closed,
        }
    }

    /// The word at `index`, as it is now; 0 beyond the end.
    #[inline]
    fn word(&self, index: usize) -> u64 {
        if index >= WORDS {
            return 0;
        }
        // SAFETY: Within the frame, which is readable by the invariant. Other writers are expected:
        // a volatile read takes each word in one piece and as it happens to be.
        unsafe { self.0 .0.as_ptr().add(index).read_volatile() }
    }
}

/// Whether the kernel may read a frame of which this is known. The direct map lacks the frames of
/// secretmem and may lack those of inaccessible mappings.
fn is_readable(facts: c_uint) -> bool {
    let has = |fact| facts & fact != 0;
    let is_file =
        has(sys::KX_FRAME_FILE) && !has(sys::KX_FRAME_INACCESSIBLE) && !has(sys::KX_FRAME_SECRET);
    !has(sys::KX_FRAME_POISONED)
        && !has(sys::KX_FRAME_DEVICE)
        && (has(sys::KX_FRAME_ANONYMOUS) || is_file)
}

/// Words in a cache line.
const LINE: usize = 8;

impl group::Frame for Frame {
    /// Mixes the frame's first cache line: what differs between pages tends to do so where they
    /// begin, and where it does not, comparing finds out.
    fn sample(&self) -> u64 {
        (0..LINE).fold(0, |mixed: u64, index| {
            // The multiplier is 2⁶⁴ divided by the golden ratio, which spreads the bits well.
            (mixed.rotate_left(23) ^ self.word(index)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    fn difference(&self, other: &Self, from: usize) -> Option<(usize, u64)> {
        let mut at = from;
        while at < WORDS {
            let whole_line = at % LINE == 0;
            if whole_line && self.same_line(other, at) {
                at += LINE;
                continue;
            }
            let word = self.word(at);
            if word != other.word(at) {
                return Some((at, word));
            }
            at += 1;
        }
        None
    }
}

impl Frame {
    /// Whether both hold the same in the cache line at word `at`, a multiple of [`LINE`].
    #[inline]
    fn same_line(&self, other: &Self, at: usize) -> bool {
        (at..at + LINE).fold(0, |differing, index| {
            differing | (self.word(index) ^ other.word(index))
        }) == 0
    }
}

/// All frames of the machine.
///
/// # Invariants
///
/// The pointer is to a registered watch that this value owns: memory that goes offline keeps its
/// `struct page`s until an RCU grace period is over.
pub struct MachineFrames(NonNull<sys::MemoryWatch>);

// SAFETY: The watch may be given up from any task.
unsafe impl Send for MachineFrames {}
// SAFETY: A shared `MachineFrames` gives access to frames only, which any task may have.
unsafe impl Sync for MachineFrames {}

impl MachineFrames {
    /// Watches the memory, so that its frames can be looked at.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn watch() -> Result<Self> {
        // SAFETY: Has no preconditions but a context that may sleep.
        let watch = unsafe { sys::kx_memory_watch() };
        // INVARIANT: It was registered just now.
        NonNull::new(watch).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for MachineFrames {
    fn drop(&mut self) {
        // SAFETY: By the invariant the watch is ours; no frame is being looked for any more, as that
        // borrows `self`.
        unsafe { sys::kx_memory_unwatch(self.0.as_ptr()) };
    }
}

impl group::Frames for MachineFrames {
    type Frame = Frame;

    fn frame(&self, pfn: u64) -> Lookup<Frame> {
        Frame::get(self, pfn)
    }
}
