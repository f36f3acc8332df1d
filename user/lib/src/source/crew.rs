// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that look into one process each, and are left behind if it does not let them go.
//!
//! Reading a file such as `smaps_rollup` waits for the process's mmap lock, and somebody may hold that for
//! as long as a disk does not answer. Whoever waits so cannot be called back, only left: the thread ends
//! when the lock is given up, or with us.
//!
//! # Locks
//! [`Desk::done`] is held for the time that it takes to add an outcome or to take all away; never while a
//! file is read.

use std::fs;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often somebody looks whether one does not get on.
const LOOK: Duration = Duration::from_millis(20);
/// The most threads that work, and the most that replace those that do not get on.
const MOST: usize = 8;
const MOST_SPARE: usize = 64;
/// Processes for which it is worth while to start one more thread.
const WORTH_A_THREAD: usize = 16;
/// One that works is not taken for stuck unless it takes so many times as long as patience lasts.
const WORK_IS_LONGER: u32 = 30;

/// What all have in common.
struct Work<T> {
    pids: Vec<u32>,
    next: AtomicUsize,
    look: Box<dyn Fn(u32) -> T + Send + Sync>,
}

/// Where one thread is, and what it has done.
struct Desk<T> {
    /// The thread's number; 0 until it has begun.
    thread: AtomicU32,
    /// The process that it looks into; 0 for none.
    pid: AtomicU32,
    is_left: AtomicBool,
    done: Mutex<Vec<T>>,
}

impl<T> Desk<T> {
    fn done(&self) -> MutexGuard<'_, Vec<T>> {
        // What was added is whole, even if somebody panicked afterwards.
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, work: &Work<T>) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(thread.unsigned_abs(), Ordering::Relaxed);
        while let Some(&pid) = work.pids.get(work.next.fetch_add(1, Ordering::Relaxed)) {
            self.pid.store(pid, Ordering::Relaxed);
            let outcome = (work.look)(pid);
            let mut done = self.done();
            // Under the lock, as is leaving: nobody is both told and left out.
            if self.is_left.load(Ordering::Relaxed) {
                return;
            }
            done.push(outcome);
            self.pid.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the thread waits for something, by the state that the kernel shows.
    fn is_asleep(&self) -> bool {
        let thread = self.thread.load(Ordering::Relaxed);
        let stat = fs::read(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
        let behind_name = stat.rsplit(|&byte| byte == b')').next();
        !matches!(behind_name.and_then(|rest| rest.get(1)), Some(b'R'))
    }
}

/// A desk as whoever watches over it sees it.
struct Watched<T> {
    desk: Arc<Desk<T>>,
    pid: u32,
    since: Instant,
    is_replaced: bool,
    is_over: bool,
}

/// What came of it.
pub(super) struct Finished<T> {
    /// What looking gave, in no order.
    pub outcomes: Vec<T>,
    /// The processes that did not let go.
    pub stuck: Vec<u32>,
}

/// Looks into all processes. One that keeps a thread waiting for longer than `patience` is left behind.
pub(super) fn look_into<T: Send + 'static>(
    pids: Vec<u32>,
    patience: Duration,
    look: impl Fn(u32) -> T + Send + Sync + 'static,
) -> Finished<T> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = pids.len().div_ceil(WORTH_A_THREAD);
    let work = Arc::new(Work {
        pids,
        next: AtomicUsize::new(0),
        look: Box::new(look),
    });
    let (sender, receiver) = mpsc::channel();
    let mut crew = Crew {
        work,
        sender,
        watched: Vec::new(),
        stuck: Vec::new(),
        patience,
    };
    for _ in 0..wanted.clamp(1, processors.min(MOST)) {
        crew.hire();
    }
    while crew.watched.iter().any(|watched| !watched.is_over) {
        match receiver.recv_timeout(LOOK) {
            Ok(place) => crew.watched[place].is_over = true,
            Err(RecvTimeoutError::Timeout) => crew.inspect(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    crew.finish()
}

struct Crew<T> {
    work: Arc<Work<T>>,
    /// A thread that is done says its place in `watched`.
    sender: Sender<usize>,
    watched: Vec<Watched<T>>,
    stuck: Vec<u32>,
    patience: Duration,
}

impl<T: Send + 'static> Crew<T> {
    /// Starts one more thread; if there can be none, does the work here.
    fn hire(&mut self) {
        let desk = Arc::new(Desk {
            thread: AtomicU32::new(0),
            pid: AtomicU32::new(0),
            is_left: AtomicBool::new(false),
            done: Mutex::new(Vec::new()),
        });
        let place = self.watched.len();
        let (work, sender) = (Arc::clone(&self.work), self.sender.clone());
        let theirs = Arc::clone(&desk);
        let started = thread::Builder::new().spawn(move || {
            theirs.work(&work);
            // Nobody listens any more if this one was left.
            let _ = sender.send(place);
        });
        if started.is_err() && self.watched.is_empty() {
            desk.work(&self.work);
        }
        self.watched.push(Watched {
            desk,
            pid: 0,
            since: Instant::now(),
            is_replaced: false,
            is_over: started.is_err(),
        });
    }

    /// Looks at each thread: one that waits is replaced at once, and left when patience ends.
    fn inspect(&mut self) {
        let mut replacements = 0;
        for watched in self.watched.iter_mut().filter(|watched| !watched.is_over) {
            let pid = watched.desk.pid.load(Ordering::Relaxed);
            if pid == 0 || pid != watched.pid {
                (watched.pid, watched.since) = (pid, Instant::now());
                continue;
            }
            let (waited, is_asleep) = (watched.since.elapsed(), watched.desk.is_asleep());
            if is_asleep && !watched.is_replaced {
                watched.is_replaced = true;
                replacements += 1;
            }
            let limit = match is_asleep {
                true => self.patience,
                false => self.patience * WORK_IS_LONGER,
            };
            if waited > limit {
                let done = watched.desk.done();
                if watched.desk.pid.load(Ordering::Relaxed) == pid {
                    watched.desk.is_left.store(true, Ordering::Relaxed);
                    watched.is_over = true;
                    self.stuck.push(pid);
                }
                drop(done);
            }
        }
        for _ in 0..replacements {
            if self.watched.len() < MOST + MOST_SPARE {
                self.hire();
            }
        }
    }

    fn finish(mut self) -> Finished<T> {
        let mut outcomes = Vec::new();
        for watched in &self.watched {
            outcomes.append(&mut watched.desk.done());
        }
        // Where too many are stuck, nobody is left to look into the rest.
        let begun = self.work.next.load(Ordering::Relaxed);
        let rest = self.work.pids.get(begun..).unwrap_or_default();
        self.stuck.extend_from_slice(rest);
        Finished {
            outcomes,
            stuck: self.stuck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);

    #[test]
    fn each_process_is_looked_into_once() {
        let finished = look_into((1..=1000).collect(), SHORT, |pid| pid);
        let mut pids = finished.outcomes;
        pids.sort_unstable();
        assert!(pids.into_iter().eq(1..=1000));
        assert!(finished.stuck.is_empty());
        assert!(look_into(Vec::new(), SHORT, |pid| pid).outcomes.is_empty());
    }

    #[test]
    fn those_that_do_not_let_go_are_left_and_the_others_told() {
        let stuck = [3, 4, 5, 6, 500];
        let start = Instant::now();
        let finished = look_into((1..=500).collect(), SHORT, move |pid| {
            if stuck.contains(&pid) {
                thread::sleep(Duration::from_secs(3600));
            }
            pid
        });
        let mut left = finished.stuck;
        left.sort_unstable();
        assert_eq!(left, stuck);
        assert_eq!(finished.outcomes.len(), 495);
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn one_that_is_at_work_is_waited_for() {
        let finished = look_into(vec![1], SHORT, |pid| {
            let start = Instant::now();
            while start.elapsed() < 4 * SHORT {
                std::hint::spin_loop();
            }
            pid
        });
        assert_eq!(finished.outcomes, [1]);
    }
}
