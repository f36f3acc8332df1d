// SPDX-License-Identifier: GPL-2.0
//! The threads of a process, of which there may be very many, dead ones that a tracer has not let go
//! among them.
//!
//! Locks: RCU read sections of bounded length, within which a thread's `alloc_lock` may be taken.
//! Nothing is locked when a function returns.
//!
//! # Threads that are gone
//!
//! A thread to which there is a reference may be reaped at any time, by an exec of another thread
//! too, and then what its fields point to may be freed: `group_leader`, the neighbours in lists. A
//! reference to a thread keeps its `signal_struct`, which is the process's as long as there is one,
//! and which has the list of the threads; also its own credentials, as they were.

use crate::{mm::Mm, sys};
use core::{
    iter::from_fn,
    ptr::{self, NonNull},
};
use kernel::{
    prelude::*,
    sync::{aref::ARef, rcu},
    task::Task,
};

/// Threads that are looked at in one RCU read section, unless the thread at which one ended was
/// gone when the next should go on. Few, as whoever is preempted in such a section keeps the whole
/// machine waiting for its end: for seconds, where thousands want to run.
const BATCH: usize = 256;

/// The first thing that `view` finds in one of the threads of `task`'s process. It sees all of them,
/// some perhaps more than once, each within an RCU read section. `pace` is called between sections.
/// Holds a reference to one thread and no more, however many there are.
///
/// New threads join the list at its end. So whoever goes on behind a thread of the list misses
/// nobody; if that one is gone meanwhile, all is begun anew, with twice as much in a section, so
/// that nobody who ends threads in time can keep this from coming to an end.
///
/// # Errors
///
/// Those of `pace`.
pub(crate) fn find<T>(
    task: &Task,
    mut pace: impl FnMut() -> Result,
    mut view: impl FnMut(&Task) -> Option<T>,
) -> Result<Option<T>> {
    let (mut last, mut batch) = (None, BATCH);
    loop {
        match find_among(task, last.as_deref(), batch, &mut view) {
            Batch::Found(found) => return Ok(Some(found)),
            Batch::All => return Ok(None),
            Batch::Upto(thread) => last = Some(thread),
            Batch::Lost => (last, batch) = (None, batch.saturating_mul(2)),
        }
        pace()?;
    }
}

/// How far a look at some threads went.
enum Batch<T> {
    /// To a thread in which this was found.
    Found(T),
    /// To the end.
    All,
    /// To this thread.
    Upto(ARef<Task>),
    /// Nowhere: the thread behind which to go on is gone.
    Lost,
}

/// The same for `most` threads from that on which follows `last`.
fn find_among<T>(
    task: &Task,
    last: Option<&Task>,
    most: usize,
    view: &mut impl FnMut(&Task) -> Option<T>,
) -> Batch<T> {
    let guard = rcu::read_lock();
    if last.is_some_and(|last| !is_listed(last)) {
        return Batch::Lost;
    }
    let mut seen = 0;
    for thread in after(task, &guard, last) {
        if let Some(found) = view(thread) {
            return Batch::Found(found);
        }
        seen += 1;
        if seen >= most {
            return Batch::Upto(thread.into());
        }
    }
    Batch::All
}

/// The threads of `task`'s process behind `last`, which must have been [listed](is_listed) within
/// this section, or all of them.
fn after<'a>(
    task: &'a Task,
    _section: &'a rcu::Guard,
    last: Option<&Task>,
) -> impl Iterator<Item = &'a Task> {
    let mut last = last.map_or(ptr::null_mut(), Task::as_ptr);
    let next = move || {
        // SAFETY: In an RCU read section, in which `last` was on the list: by this function's
        // condition, or because it was found there. `task` is valid.
        last = unsafe { sys::kx_next_thread(task.as_ptr(), last) };
        // SAFETY: Valid or NULL; tasks are freed after the section that the reference is bound to.
        unsafe { last.cast::<Task>().as_ref() }
    };
    from_fn(next).fuse()
}

/// Whether a thread is on the list of its process's threads. Within an RCU read section in which it
/// was, what follows it there can be looked at.
fn is_listed(thread: &Task) -> bool {
    // SAFETY: The task is valid.
    unsafe { sys::kx_is_listed(thread.as_ptr()) != 0 }
}

/// Whether the first thread on the list of `task`'s process, which is its leader unless that is on its
/// way out after an exec, has a kernel stack still.
pub(crate) fn first_has_stack(task: &Task) -> bool {
    let section = rcu::read_lock();
    let first = after(task, &section, None).next();
    // SAFETY: The task is valid.
    first.is_none_or(|first| unsafe { sys::kx_has_stack(first.as_ptr()) } != 0)
}

/// The address space of a thread, without asking whether the current task may look into it.
pub(crate) fn mm_of(thread: &Task) -> Option<ARef<Mm>> {
    // SAFETY: The task is valid.
    let mm = NonNull::new(unsafe { sys::kx_thread_mm(thread.as_ptr()) })?;
    // SAFETY: `kx_thread_mm` took a reference of the `mmgrab` kind, which goes to the `ARef`.
    Some(unsafe { ARef::from_raw(mm.cast()) })
}
