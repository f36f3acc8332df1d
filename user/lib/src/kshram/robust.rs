// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library's mutex and condition in memory that processes share.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::Mapping;

/// A mutex with a condition at the beginning of a mapping, for all processes that map the same memory.
/// It is *robust*: if a holder dies, the next one gets it and is told ([`Held::owner_died`]).
///
/// It is the C library's, so that programs in other languages can use it too: at offset 0 a
/// `pthread_mutex_t`, and right behind it a `pthread_cond_t`.
///
/// The condition is not robust: a process that is killed while it waits may leave others waiting that
/// were to be woken. What must not hang polls, or waits on a futex of its own
/// ([`Mapping::atomic_u32`]).
///
/// ```no_run
/// use pagelens::kshram::{RobustMutex, Slot};
///
/// let memory = Slot::open(0)?.map()?;
/// // SAFETY: All who map this slot use its beginning as this mutex only, which one of them has made.
/// let mutex = unsafe { RobustMutex::open(&memory)? };
/// let mut held = mutex.lock()?;
/// if held.owner_died {
///     // Put in order what it guards, then:
///     held.make_consistent()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Invariants
/// The mapping starts with both, initialised, and what [`RobustMutex::create`] asks for is kept.
#[derive(Debug)]
pub struct RobustMutex<'a> {
    memory: &'a Mapping,
}

/// The mutex is held by this thread. Dropping it unlocks.
#[derive(Debug)]
pub struct Held<'a> {
    mutex: &'a RobustMutex<'a>,
    /// Whether the last holder died while it held the mutex: what it guards may be half done. If that
    /// is not followed by [`Held::make_consistent`] nobody gets the mutex ever again.
    pub owner_died: bool,
    /// Only the thread that locked can unlock: a raw pointer is not `Send`.
    of_this_thread: PhantomData<*const ()>,
}

impl<'a> RobustMutex<'a> {
    /// Bytes of the mapping that it takes.
    pub const SIZE: usize = size_of::<libc::pthread_mutex_t>() + size_of::<libc::pthread_cond_t>();

    /// Makes a new one that nobody holds.
    ///
    /// # Safety
    /// Nobody uses it yet. From now on, while any process has a value of this type for this memory:
    ///
    /// - its first [`RobustMutex::SIZE`] bytes are left alone by everybody, this process's writes through
    ///   the mapping included, except through the C library's functions;
    /// - a [`Held`] that is not dropped (`mem::forget`) is one of a thread that ends before the mapping is
    ///   dropped: the C library keeps a list of the mutexes that a thread holds, in their memory.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the mapping is smaller than [`RobustMutex::SIZE`]; else what the
    /// C library answers.
    pub unsafe fn create(memory: &'a Mapping) -> io::Result<Self> {
        let this = Self::within(memory)?;
        let mut for_mutex = MaybeUninit::uninit();
        let mut for_condition = MaybeUninit::uninit();
        let shared = libc::PTHREAD_PROCESS_SHARED;
        let robust = libc::PTHREAD_MUTEX_ROBUST;
        let checked = libc::PTHREAD_MUTEX_ERRORCHECK;
        // SAFETY: The attributes are initialised before they are used, and the mapping has room for
        // both at addresses that are aligned, as it starts with a page.
        unsafe {
            check(libc::pthread_mutexattr_init(for_mutex.as_mut_ptr()))?;
            let attributes = for_mutex.as_mut_ptr();
            check(libc::pthread_mutexattr_setpshared(attributes, shared))?;
            check(libc::pthread_mutexattr_setrobust(attributes, robust))?;
            check(libc::pthread_mutexattr_settype(attributes, checked))?;
            check(libc::pthread_mutex_init(this.mutex(), attributes))?;
            let attributes = for_condition.as_mut_ptr();
            check(libc::pthread_condattr_init(attributes))?;
            check(libc::pthread_condattr_setpshared(attributes, shared))?;
            check(libc::pthread_cond_init(this.condition(), attributes))?;
        }
        Ok(this)
    }

    /// The one that this process or another has made.
    ///
    /// # Safety
    /// It was made by [`RobustMutex::create`], or in the same way, and what that asks for is kept.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the mapping is smaller than [`RobustMutex::SIZE`].
    pub unsafe fn open(memory: &'a Mapping) -> io::Result<Self> {
        Self::within(memory)
    }

    fn within(memory: &'a Mapping) -> io::Result<Self> {
        match memory.len() >= Self::SIZE {
            true => Ok(Self { memory }),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Waits until nobody holds it and takes it.
    ///
    /// # Errors
    /// `EDEADLK` if this thread holds it; `ENOTRECOVERABLE` if a holder died and the next one did not
    /// make it consistent.
    pub fn lock(&'a self) -> io::Result<Held<'a>> {
        // SAFETY: By the type invariant.
        let owner_died = is_orphaned(unsafe { libc::pthread_mutex_lock(self.mutex()) })?;
        Ok(Held {
            mutex: self,
            owner_died,
            of_this_thread: PhantomData,
        })
    }

    /// Wakes all who wait for the condition, whether this thread holds the mutex or not.
    ///
    /// # Errors
    /// None that is known.
    pub fn notify_all(&self) -> io::Result<()> {
        // SAFETY: By the type invariant.
        check(unsafe { libc::pthread_cond_broadcast(self.condition()) })
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.memory.as_mut_ptr().cast()
    }

    fn condition(&self) -> *mut libc::pthread_cond_t {
        let mutex = size_of::<libc::pthread_mutex_t>();
        self.memory.as_mut_ptr().wrapping_add(mutex).cast()
    }
}

impl Held<'_> {
    /// Says that what a dead holder left has been put in order.
    ///
    /// # Errors
    /// `EINVAL` if no holder died.
    pub fn make_consistent(&mut self) -> io::Result<()> {
        // SAFETY: By the invariant of the mutex.
        check(unsafe { libc::pthread_mutex_consistent(self.mutex.mutex()) })?;
        self.owner_died = false;
        Ok(())
    }

    /// Unlocks, waits for the condition (or for nothing at all) and locks again. If a holder died
    /// meanwhile, `owner_died` tells.
    ///
    /// # Errors
    /// `ENOTRECOVERABLE` if one died meanwhile and the next did not make the mutex consistent: then it is
    /// not held any more.
    pub fn wait(&mut self) -> io::Result<()> {
        // SAFETY: By the invariant of the mutex, which this thread holds.
        let waited = unsafe { libc::pthread_cond_wait(self.mutex.condition(), self.mutex.mutex()) };
        self.owner_died |= is_orphaned(waited)?;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: By the invariant of the mutex. It refuses if this thread does not hold it.
        unsafe { libc::pthread_mutex_unlock(self.mutex.mutex()) };
    }
}

/// Whether the thread got the mutex because its holder died.
fn is_orphaned(result: libc::c_int) -> io::Result<bool> {
    match result {
        libc::EOWNERDEAD => Ok(true),
        result => check(result).map(|()| false),
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

    use super::*;

    /// Two mappings of one memory, as two processes have them.
    fn twice(bytes: u64) -> io::Result<[Mapping; 2]> {
        let file = File::from(memfd_create("robust", MemfdFlags::CLOEXEC)?);
        ftruncate(&file, bytes)?;
        Ok([
            Mapping::new(&file, 0, bytes)?,
            Mapping::new(&file, 0, bytes)?,
        ])
    }

    /// A new one, as two processes see it.
    fn new([first, second]: &[Mapping; 2]) -> io::Result<[RobustMutex<'_>; 2]> {
        // SAFETY: The memory is new, the tests use what is behind only, and the threads that forget to
        // unlock have ended before they do.
        unsafe { Ok([RobustMutex::create(first)?, RobustMutex::open(second)?]) }
    }

    /// Has a holder die.
    fn orphan(mutex: &RobustMutex<'_>) {
        thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(mutex.lock().unwrap()));
        });
    }

    fn errno<T>(result: io::Result<T>) -> Option<i32> {
        result.err()?.raw_os_error()
    }

    #[test]
    fn it_keeps_out_others_and_the_holder_itself() {
        const ROUNDS: u32 = 1000;
        let memory = twice(4096).unwrap();
        let mutexes = new(&memory).unwrap();
        thread::scope(|scope| {
            for (mutex, memory) in mutexes.iter().zip(&memory) {
                scope.spawn(move || {
                    let counter = memory.atomic_u32(RobustMutex::SIZE.next_multiple_of(4));
                    for _ in 0..ROUNDS {
                        let _held = mutex.lock().unwrap();
                        counter.store(counter.load(Relaxed) + 1, Relaxed);
                    }
                });
            }
        });
        let counter = memory[0].atomic_u32(RobustMutex::SIZE.next_multiple_of(4));
        assert_eq!(counter.load(Relaxed), 2 * ROUNDS);
        let _held = mutexes[0].lock().unwrap();
        assert_eq!(errno(mutexes[0].lock()), Some(libc::EDEADLK));
    }

    #[test]
    fn the_next_holder_learns_that_one_died() {
        let memory = twice(4096).unwrap();
        let [first, second] = new(&memory).unwrap();
        orphan(&first);
        let mut held = second.lock().unwrap();
        assert!(held.owner_died);
        held.make_consistent().unwrap();
        assert!(!held.owner_died);
        assert_eq!(errno(held.make_consistent()), Some(libc::EINVAL));
        drop(held);
        assert!(!first.lock().unwrap().owner_died);
        orphan(&first);
        drop(second.lock().unwrap());
        assert_eq!(errno(first.lock()), Some(libc::ENOTRECOVERABLE));
    }

    #[test]
    fn who_waits_is_woken() {
        let memory = twice(4096).unwrap();
        let [first, second] = new(&memory).unwrap();
        let flag = |memory: &Mapping| memory.atomic_u32(1024).load(Relaxed) == 1;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut held = first.lock().unwrap();
                while !flag(&memory[0]) {
                    held.wait().unwrap();
                }
                assert!(!held.owner_died);
            });
            let _held = second.lock().unwrap();
            memory[1].atomic_u32(1024).store(1, Relaxed);
            second.notify_all().unwrap();
        });
    }

    #[test]
    fn it_wants_room() {
        let memory = twice(RobustMutex::SIZE as u64 - 1).unwrap();
        assert_eq!(
            new(&memory).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
