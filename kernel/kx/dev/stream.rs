// SPDX-License-Identifier: GPL-2.0
//! Descriptors from which an answer is read that is made meanwhile.
//!
//! Nothing is made before somebody reads, and no more than the reader takes: what a descriptor holds
//! is its [`Answer`] and a buffer of [`CAPACITY`], whatever the answer's length. The work is done by
//! whoever reads, with the rights of whoever asked: a descriptor may be handed to others, who can then
//! see what the asker may see, and no more.
//!
//! The file names this module as its owner: an open descriptor keeps it loaded. Whoever closes the
//! last one frees all that belongs to the answer.
//!
//! Locks: none is held while the answer is made, nor while it is copied to the reader. One reader at a
//! time takes the state out of its place; others wait for it to be back, and signals end the wait.

use crate::{poll, sys};
use core::{marker::PhantomData, mem::size_of};
use kernel::{
    bindings,
    error::{from_result, to_result},
    fs::{file, File},
    iov::IovIterDest,
    new_condvar, new_mutex,
    prelude::*,
    sync::{CondVar, Mutex},
    types::{ForeignOwnable, NotThreadSafe},
};
use kx_base::{
    charged::{self, Words},
    sched,
};
use zerocopy::{Immutable, IntoBytes};

/// Bytes that a descriptor buffers at most.
pub const CAPACITY: usize = 1 << 14;

/// What is made piece by piece.
pub trait Answer: Send + 'static {
    /// Makes some more, to be put into `out`, which is empty; whether more will come. May put nothing
    /// there, but does no more than a bounded amount of work.
    ///
    /// # Errors
    ///
    /// Become those of the reader's call, after which the answer can go on.
    fn go_on(&mut self, out: &mut Buffer) -> Result<bool>;
}

/// Records that wait for a reader.
pub struct Buffer {
    words: Words,
    /// What was read already.
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Result<Self> {
        Ok(Self {
            words: Words::zeroed(CAPACITY / size_of::<u64>())?,
            start: 0,
            end: 0,
        })
    }

    /// Bytes for which there is room.
    pub fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.end)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Appends bytes and so many zeros: a record, of which the first four bytes are its length, or a
    /// part of one.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if there is no room; nothing is appended then.
    pub fn push_padded(&mut self, bytes: &[u8], zeros: usize) -> Result {
        let end = self.end.checked_add(bytes.len()).ok_or(ENOSPC)?;
        let end = end.checked_add(zeros).ok_or(ENOSPC)?;
        let to = self.words.as_mut_bytes();
        let to = to.get_mut(self.end..end).ok_or(ENOSPC)?;
        let (text, rest) = to.split_at_mut_checked(bytes.len()).ok_or(ENOSPC)?;
        text.copy_from_slice(bytes);
        rest.fill(0);
        self.end = end;
        Ok(())
    }

    /// Appends a record.
    ///
    /// # Errors
    ///
    /// As [`Buffer::push_padded`].
    pub fn push<T: IntoBytes + Immutable>(&mut self, record: &T) -> Result {
        self.push_padded(record.as_bytes(), 0)
    }

    /// What waits.
    fn waiting(&self) -> &[u8] {
        let bytes = self.words.as_bytes();
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

/// How many of the first `most` bytes of `records` are whole records.
fn whole(records: &[u8], most: usize) -> usize {
    let mut end = 0usize;
    while let Some(len) = records.get(end..).and_then(|rest| rest.first_chunk()) {
        let next = end.saturating_add(u32::from_ne_bytes(*len) as usize);
        if next > most || next > records.len() || next <= end {
            break;
        }
        end = next;
    }
    end
}

/// What a descriptor is in the middle of.
struct State<A> {
    answer: A,
    buffer: Buffer,
    /// Whether nothing will come but what is in the buffer.
    is_complete: bool,
}

impl<A: Answer> State<A> {
    /// Copies as much as `to` takes; how much that was. 0 is the end. What is missing is made with the
    /// rights that `rights` gives for so long.
    fn read<R>(&mut self, to: &mut IovIterDest<'_>, rights: impl Fn() -> R) -> Result<usize> {
        let mut done = 0usize;
        loop {
            let copied = self.copy(to);
            match copied {
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
                Ok(copied) => done = done.saturating_add(copied),
            }
            if !self.buffer.is_empty() || self.is_complete {
                return Ok(done);
            }
            // What is there comes before what may take long.
            if done > 0 && sched::is_interrupted() {
                return Ok(done);
            }
            self.buffer.clear();
            let rights = rights();
            let made = self.answer.go_on(&mut self.buffer);
            // User memory is touched with the reader's own again.
            drop(rights);
            match made {
                Ok(is_more) => self.is_complete = !is_more,
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
            if done == 0 && self.buffer.is_empty() && !self.is_complete && sched::is_interrupted() {
                return Err(ERESTARTSYS);
            }
        }
    }

    /// Copies the whole records that wait and fit.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if not even the first fits; [`EFAULT`].
    fn copy(&mut self, to: &mut IovIterDest<'_>) -> Result<usize> {
        if self.buffer.is_empty() {
            return Ok(0);
        }
        let waiting = self.buffer.waiting();
        let len = whole(waiting, to.len());
        if len == 0 {
            return Err(EINVAL);
        }
        let copied = to.copy_to_iter(waiting.get(..len).unwrap_or_default());
        let taken = whole(waiting, copied);
        self.buffer.start = self.buffer.start.saturating_add(taken);
        match taken {
            0 => Err(EFAULT),
            taken => Ok(taken),
        }
    }
}

/// A descriptor.
#[pin_data]
struct Stream<A> {
    /// Its state, unless somebody is reading.
    #[pin]
    state: Mutex<Option<KBox<State<A>>>>,
    #[pin]
    is_back: CondVar,
}

impl<A: Answer> Stream<A> {
    fn read<R>(
        &self,
        to: &mut IovIterDest<'_>,
        may_wait: bool,
        rights: impl Fn() -> R,
    ) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        let mut state = self.take(may_wait)?;
        let done = state.read(to, rights);
        *self.state.lock() = Some(state);
        self.is_back.notify_one();
        done
    }

    fn take(&self, may_wait: bool) -> Result<KBox<State<A>>> {
        let mut place = self.state.lock();
        loop {
            match place.take() {
                Some(state) => return Ok(state),
                None if !may_wait => return Err(EAGAIN),
                None if self.is_back.wait_interruptible(&mut place) => {
                    // It may have been this one that was woken for the next.
                    self.is_back.notify_one();
                    return Err(ERESTARTSYS);
                }
                None => {}
            }
        }
    }
}

/// Gives the current task a descriptor of `answer`, closed by an exec.
///
/// # Errors
///
/// [`ENOMEM`], [`EMFILE`], [`ENFILE`].
pub fn descriptor<A: Answer>(name: &'static CStr, answer: impl Init<A>) -> Result<isize> {
    let buffer = Buffer::new()?;
    // Made where it will lie: it may be larger than a frame of the stack.
    let state = init!(State {
        answer <- answer,
        buffer,
        is_complete: false,
    });
    let state = KBox::init(state, charged::flags())?;
    let stream = pin_init!(Stream {
        state <- new_mutex!(Some(state), "stream.state"),
        is_back <- new_condvar!("stream.is_back"),
    });
    let stream = KBox::pin_init(stream, charged::flags())?.into_foreign();
    // SAFETY: The name and the operations outlive the file, and the stream stays until `release`.
    let fd = unsafe {
        sys::anon_inode_getfd(
            name.as_char_ptr(),
            Calls::<A>::OPS,
            stream,
            (bindings::O_RDONLY | bindings::O_CLOEXEC) as c_int,
        )
    };
    if fd < 0 {
        // SAFETY: It came out of `into_foreign` above, and no file has it.
        drop(unsafe { Pin::<KBox<Stream<A>>>::from_foreign(stream) });
        to_result(fd)?;
    }
    Ok(fd as isize)
}

/// The rights of a descriptor's asker, instead of the current task's own.
///
/// # Invariants
///
/// The current task works with the credentials of an open file; `own` were its own.
struct AskersRights {
    own: *const bindings::cred,
    _same_task: NotThreadSafe,
}

impl AskersRights {
    /// # Safety
    ///
    /// `file` stays open as long as the value lives.
    unsafe fn of(file: *mut bindings::file) -> Self {
        // SAFETY: An open file keeps the credentials with which it was opened.
        let own = unsafe { sys::kx_override_creds((*file).f_cred) };
        // INVARIANT: Exchanged just above.
        Self {
            own,
            _same_task: NotThreadSafe,
        }
    }
}

impl Drop for AskersRights {
    fn drop(&mut self) {
        // SAFETY: By the invariant; the task keeps a reference to its own.
        unsafe { sys::kx_revert_creds(self.own) };
    }
}

/// # Invariants
///
/// The kernel calls the functions for files of [`descriptor`] only, `release` last and once.
struct Calls<A>(PhantomData<A>);

impl<A: Answer> Calls<A> {
    const OPS: &'static bindings::file_operations = &bindings::file_operations {
        owner: (&raw const bindings::__this_module).cast_mut(),
        release: Some(Self::release),
        read_iter: Some(Self::read),
        poll: Some(Self::poll),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `kiocb` is of an open file, `iter` is for writing into.
    unsafe extern "C" fn read(kiocb: *mut bindings::kiocb, iter: *mut bindings::iov_iter) -> isize {
        from_result(|| {
            // SAFETY: By this function's requirements; both are this call's own.
            let (file, stream, flags, iter) = unsafe {
                let file = (*kiocb).ki_filp;
                (
                    file,
                    Pin::<KBox<Stream<A>>>::borrow((*file).private_data),
                    File::from_raw_file(file).flags(),
                    IovIterDest::from_raw(iter),
                )
            };
            // SAFETY: As above.
            let must_not_wait = unsafe { sys::kx_must_not_wait(kiocb) } != 0;
            let may_wait = flags & file::flags::O_NONBLOCK == 0;
            if must_not_wait {
                // For whoever asks so (io_uring) even the work is too long, under its own locks.
                return Err(EAGAIN);
            }
            // SAFETY: The file stays open during the call.
            let done = stream.read(iter, may_wait, || unsafe { AskersRights::of(file) })?;
            isize::try_from(done).map_err(|_| EOVERFLOW)
        })
    }

    /// # Safety
    ///
    /// None: there is always something to be read, or the end.
    unsafe extern "C" fn poll(
        _file: *mut bindings::file,
        _table: *mut bindings::poll_table,
    ) -> bindings::__poll_t {
        poll::IN
    }

    /// # Safety
    ///
    /// `file` is one of [`descriptor`]'s and is released.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `descriptor` put the stream there.
        drop(unsafe { Pin::<KBox<Stream<A>>>::from_foreign((*file).private_data) });
        0
    }
}
