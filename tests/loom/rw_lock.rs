// SPDX-License-Identifier: GPL-2.0
//! Tasks at an interruptible reader-writer lock. A wake that is lost leaves a task waiting for ever,
//! which loom calls a deadlock.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread;
use model::rw_lock::{self, Inside, Monitor};

use crate::check;

/// A lock, and under it something that loom does not let one change while others use it.
#[derive(Default)]
struct Lock {
    inside: Mutex<Inside>,
    left: Condvar,
    behind: UnsafeCell<()>,
}

/// A task at the lock.
#[derive(Clone)]
struct Task {
    lock: Arc<Lock>,
    /// Whether it has got a signal.
    signal: Arc<AtomicBool>,
    /// Whether it wakes others: if not, that is a mistake which the models have to find.
    wakes: bool,
}

/// What a wait ends with that a signal ends.
#[derive(Debug)]
struct Signalled;

struct Held<'a>(Option<MutexGuard<'a, Inside>>);

impl Deref for Held<'_> {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Inside {
        self.0.as_mut().unwrap()
    }
}

impl Monitor for Task {
    type Interruption = Signalled;
    type Guard<'a> = Held<'a>;

    fn lock(&self) -> Held<'_> {
        Held(Some(self.lock.inside.lock().unwrap()))
    }

    /// A signal that comes to a sleeper is noticed when something else wakes it: if the signal woke it,
    /// others that are woken together could hide that a wake is missing.
    fn wait<'a>(&'a self, guard: &mut Held<'a>) -> Result<(), Signalled> {
        let held = guard.0.take().unwrap();
        if self.signal.load(Ordering::Relaxed) {
            drop(held);
            *guard = self.lock();
            return Err(Signalled);
        }
        guard.0 = Some(self.lock.left.wait(held).unwrap());
        match self.signal.load(Ordering::Relaxed) {
            true => Err(Signalled),
            false => Ok(()),
        }
    }

    fn wake(&self) {
        if self.wakes {
            self.lock.left.notify_all();
        }
    }
}

impl Task {
    fn new(wakes: bool) -> Self {
        Self {
            lock: Arc::default(),
            signal: Arc::new(AtomicBool::new(false)),
            wakes,
        }
    }

    /// One more at the same lock.
    fn another(&self) -> Self {
        let signal = Arc::new(AtomicBool::new(false));
        Self {
            signal,
            ..self.clone()
        }
    }

    fn share(&self) -> Result<(), Signalled> {
        rw_lock::share(self)?;
        self.lock.behind.with(|_| ());
        rw_lock::leave_sharing(self);
        Ok(())
    }

    fn exclude(&self) -> Result<(), Signalled> {
        rw_lock::exclude(self)?;
        self.lock.behind.with_mut(|_| ());
        rw_lock::leave_excluding(self);
        Ok(())
    }
}

type Passes = fn(&Task) -> Result<(), Signalled>;

/// Tasks pass at the same time, and all come through.
fn pass(wakes: bool, tasks: [Passes; 3]) {
    check(3, move || {
        let [first, others @ ..] = tasks;
        let task = Task::new(wakes);
        let others = others.map(|passes| {
            let other = task.another();
            thread::spawn(move || passes(&other).unwrap())
        });
        first(&task).unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        // Nobody is left inside.
        task.exclude().unwrap();
    });
}

#[test]
fn nobody_is_in_beside_one_who_is_alone() {
    pass(true, [Task::share, Task::share, Task::exclude]);
}

#[test]
fn two_who_want_to_be_alone_come_through_one_after_the_other() {
    pass(true, [Task::share, Task::exclude, Task::exclude]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_that_is_missing_is_noticed() {
    pass(false, [Task::share, Task::share, Task::exclude]);
}

#[test]
fn who_gives_up_keeps_nobody_out() {
    check(3, || {
        let task = Task::new(true);
        let one = task.another();
        let other = task.another();
        let signal = one.signal.clone();
        rw_lock::share(&task).unwrap();
        let one = thread::spawn(move || drop(one.exclude()));
        let other = thread::spawn(move || other.share().unwrap());
        signal.store(true, Ordering::Relaxed);
        rw_lock::leave_sharing(&task);
        other.join().unwrap();
        one.join().unwrap();
        task.exclude().unwrap();
    });
}
