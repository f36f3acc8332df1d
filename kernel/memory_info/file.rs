// SPDX-License-Identifier: GPL-2.0
//! The file: commands in, answers out.
//!
//! An answer is kept as what it is about, not as text. A descriptor takes the answer that is current
//! when it is opened, or that of its own last command, and makes the text when it is first read: for
//! the pid namespace of its reader, and of a snapshot that does not change.
//!
//! Lock order: a descriptor's `view`, then the file's `state`. `state` is held for looking up and
//! exchanging, at most for copying the list of names (`DEL`), never while processes are looked at.

use crate::{
    snapshot::{Snapshot, Taken},
    ERRNO, LONGEST_LOCK_NS, UNSETTLED,
};
use kernel::{
    fmt::Write,
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
    uaccess::{UserSliceReader, UserSliceWriter},
};
use kx::{charged, chunked::Text, frame::Memory, log, procfile::Handler, task};
use model::memory_info::{Command, Failure, COMMAND_MAX, ERROR, SUCCESS};

/// The result of a command.
#[derive(Clone)]
enum Answer {
    Success,
    Failure(Failure),
    /// The lines of a snapshot: all, or that of the name at the index.
    Lines(Arc<Snapshot>, Option<usize>),
}

/// What all descriptors share.
struct State {
    snapshot: Arc<Snapshot>,
    answer: Answer,
}

#[pin_data]
struct Shared {
    memory: Memory,
    #[pin]
    state: Mutex<State>,
}

/// The handler of `/proc/memory_info`.
pub(crate) struct MemoryInfoFile {
    shared: Arc<Shared>,
}

impl MemoryInfoFile {
    /// Takes the first snapshot. The answer is then that of a `RESET`.
    pub(crate) fn new() -> Result<Self> {
        let memory = Memory::watch()?;
        let snapshot = take(&memory).map_err(|error| match error {
            // Loading cannot be begun anew: others who load the same file share its result.
            error if error == ERESTARTNOINTR => EINTR,
            error => error,
        })?;
        let state = State {
            snapshot,
            answer: Answer::Success,
        };
        let shared = Arc::pin_init(
            pin_init!(Shared { memory, state <- new_mutex!(state, "memory_info.state") }),
            charged::flags(),
        )?;
        Ok(Self { shared })
    }
}

/// What a descriptor reads.
struct View {
    answer: Answer,
    text: Option<Text>,
}

/// A descriptor.
#[pin_data]
pub(crate) struct Open {
    shared: Arc<Shared>,
    #[pin]
    view: Mutex<View>,
}

impl Handler for MemoryInfoFile {
    type Open = Open;

    fn open(&self) -> Result<Pin<KBox<Open>>> {
        if !task::is_administrator() {
            return Err(EPERM);
        }
        let shared = self.shared.clone();
        let answer = shared.state.lock().answer.clone();
        let view = View { answer, text: None };
        KBox::pin_init(
            pin_init!(Open { shared, view <- new_mutex!(view, "memory_info.view") }),
            charged::flags(),
        )
    }

    fn len(open: &Open) -> Result<usize> {
        open.view.lock().text().map(Text::len)
    }

    fn read(open: &Open, offset: usize, to: &mut UserSliceWriter) -> Result<usize> {
        open.view.lock().text()?.read(offset, to)
    }

    fn write(open: &Open, from: UserSliceReader) -> Result {
        if from.is_empty() {
            return Ok(());
        }
        let result = open.shared.command(from);
        let answer = match &result {
            Ok(answer) => answer.clone(),
            // Nothing has happened: the command is to be given again.
            Err(error) if *error == ERESTARTNOINTR => return Err(ERESTARTNOINTR),
            Err(error) => Answer::Failure(failure(*error)),
        };
        open.shared.publish(&answer);
        *open.view.lock() = View { answer, text: None };
        match result {
            Err(error) if ERRNO.get() => Err(error),
            _ => Ok(()),
        }
    }
}

impl View {
    /// The answer as text, made now if nobody read it before.
    fn text(&mut self) -> Result<&Text> {
        if self.text.is_none() {
            self.text = Some(self.answer.text()?);
        }
        self.text.as_ref().ok_or(ENOMEM)
    }
}

impl Answer {
    fn text(&self) -> Result<Text> {
        let mut text = Text::default();
        match self {
            Self::Success => text.write_str(SUCCESS).map_err(|_| ENOMEM)?,
            Self::Failure(failure) => {
                writeln!(text, "{ERROR}{}", failure.message()).map_err(|_| ENOMEM)?;
            }
            Self::Lines(snapshot, only) => task::with_current_namespace(|namespace| {
                snapshot.write(&mut text, namespace, *only)
            })?,
        }
        Ok(text)
    }
}

impl Shared {
    /// Reads and executes a command.
    fn command(&self, mut from: UserSliceReader) -> Result<Answer> {
        let mut text = [0; COMMAND_MAX];
        let text = text.get_mut(..from.len()).ok_or(EINVAL)?;
        from.read_slice(text)?;
        match Command::parse(text).ok_or(EINVAL)? {
            Command::Reset => self.reset(),
            Command::All => Ok(Answer::Lines(self.snapshot(), None)),
            Command::Filter(name) => self.filter(name),
            Command::Del(name) => self.del(name),
        }
    }

    fn reset(&self) -> Result<Answer> {
        let snapshot = take(&self.memory)?;
        let old = core::mem::replace(&mut self.state.lock().snapshot, snapshot);
        // Not under the lock: there may be much to free.
        drop(old);
        Ok(Answer::Success)
    }

    fn filter(&self, name: &[u8]) -> Result<Answer> {
        let snapshot = self.snapshot();
        let index = find(&snapshot, name)?;
        Ok(Answer::Lines(snapshot, Some(index)))
    }

    fn del(&self, name: &[u8]) -> Result<Answer> {
        let mut state = self.state.lock();
        let index = find(&state.snapshot, name)?;
        let without = Arc::new(state.snapshot.without(index)?, charged::flags())?;
        let old = core::mem::replace(&mut state.snapshot, without);
        drop(state);
        drop(old);
        Ok(Answer::Success)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.state.lock().snapshot.clone()
    }

    /// Makes an answer the one that is read next, and logs it if it is a failure.
    fn publish(&self, answer: &Answer) {
        if let Answer::Failure(failure) = answer {
            log::error_line(format_args!("{ERROR}{}", failure.message()));
        }
        let old = core::mem::replace(&mut self.state.lock().answer, answer.clone());
        drop(old);
    }
}

/// Takes a snapshot and publishes what it was to take it.
fn take(memory: &Memory) -> Result<Arc<Snapshot>> {
    let Taken {
        snapshot,
        longest_lock,
        unsettled,
    } = Snapshot::take(memory)?;
    LONGEST_LOCK_NS.set(longest_lock.unsigned_abs());
    UNSETTLED.set(unsettled);
    Ok(Arc::new(snapshot, charged::flags())?)
}

fn find(snapshot: &Snapshot, name: &[u8]) -> Result<usize> {
    task::with_current_namespace(|namespace| snapshot.find(name, namespace))
}

fn failure(error: Error) -> Failure {
    match error {
        error if error == EFAULT => Failure::BadAddress,
        error if error == ESRCH => Failure::NoProcess,
        error if error == ENOMEM => Failure::NoMemory,
        error if error == EINTR => Failure::Interrupted,
        _ => Failure::Invalid,
    }
}
