// SPDX-License-Identifier: GPL-2.0
//! The file: commands in, answers out.
//!
//! An answer is kept as what it is about, not as text. A descriptor takes the answer that is current
//! when it is opened, or that of its own last command, and makes the text when it is first read: for
//! the pid namespace of its reader, and of a snapshot that does not change.
//!
//! Locks: a descriptor's `view` and the file's `state`, neither within the other. Both are held for
//! looking up and exchanging only: never while processes or their names are walked, a text is made, or
//! user memory is waited for.

use crate::{
    snapshot::{Snapshot, Taken},
    ERRNO, LEFT_OUT, LONGEST_LOCK_NS, UNSETTLED,
};
use kernel::{
    fmt::Write,
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
    uaccess::{UserSliceReader, UserSliceWriter},
};
use kx_base::{charged, chunked::Text, log};
use kx_frame::MachineFrames;
use kx_mm::task;
use kx_proc::procfile::Handler;
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
    memory: MachineFrames,
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
        let memory = MachineFrames::watch()?;
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
    /// The answer as text, if somebody read it.
    text: Option<Arc<Text>>,
    /// How many commands were given before.
    turn: u64,
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
        let view = View {
            answer,
            text: None,
            turn: 0,
        };
        KBox::pin_init(
            pin_init!(Open { shared, view <- new_mutex!(view, "memory_info.view") }),
            charged::flags(),
        )
    }

    fn len(open: &Open) -> Result<usize> {
        open.text().map(|text| text.len())
    }

    fn read(open: &Open, offset: usize, to: &mut UserSliceWriter) -> Result<usize> {
        open.text()?.read(offset, to)
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
        open.show(answer);
        match result {
            Err(error) if ERRNO.get() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Open {
    /// The answer as text, made now if nobody read it before.
    fn text(&self) -> Result<Arc<Text>> {
        let view = self.view.lock();
        if let Some(text) = &view.text {
            return Ok(text.clone());
        }
        let (answer, turn) = (view.answer.clone(), view.turn);
        drop(view);
        let made = Arc::new(answer.text()?, charged::flags())?;
        let mut view = self.view.lock();
        if view.turn != turn {
            // Another command was given meanwhile; this is what was to be read before.
            return Ok(made);
        }
        Ok(match &view.text {
            Some(text) => text.clone(),
            None => {
                view.text = Some(made.clone());
                made
            }
        })
    }

    /// Makes an answer what is read next.
    fn show(&self, answer: Answer) {
        let mut view = self.view.lock();
        let turn = view.turn.wrapping_add(1);
        let next = View {
            answer,
            text: None,
            turn,
        };
        let old = core::mem::replace(&mut *view, next);
        // Not under the lock: there may be much to free.
        drop(view);
        drop(old);
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
        loop {
            let snapshot = self.snapshot();
            let index = find(&snapshot, name)?;
            let without = Arc::new(snapshot.without(index)?, charged::flags())?;
            let mut state = self.state.lock();
            // Not if another command made a new one meanwhile: then again. Somebody else got on for
            // that, and a fatal signal ends the looking.
            if Arc::ptr_eq(&state.snapshot, &snapshot) {
                let old = core::mem::replace(&mut state.snapshot, without);
                drop(state);
                drop(old);
                return Ok(Answer::Success);
            }
        }
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
fn take(memory: &MachineFrames) -> Result<Arc<Snapshot>> {
    let Taken {
        snapshot,
        longest_lock,
        missed,
    } = Snapshot::take(memory)?;
    LONGEST_LOCK_NS.set(longest_lock.unsigned_abs());
    UNSETTLED.set(missed.unsettled);
    LEFT_OUT.set(missed.left_out);
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
