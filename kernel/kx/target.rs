// SPDX-License-Identifier: GPL-2.0
//! A process that a caller names by pid, and whether the caller may look into it.
//!
//! Locks: the target's `exec_update_lock` outside of everything else, so that permission and
//! address space belong to the same program; then RCU, then a thread's `alloc_lock`. Nothing is
//! locked when a function returns.
//!
//! # Threads that are gone
//!
//! The thread that was named may be reaped at any time, by an exec of another thread too, and then
//! what its fields point to may be freed: `group_leader`, the neighbours in lists. A reference to a
//! thread keeps its `signal_struct`, which is the process's as long as there is one, and which has
//! the list of the threads and the `exec_update_lock`; also its own credentials, as they were.

use crate::{mm::Mm, sched, sys};
use core::{
    iter::{from_fn, once},
    ptr::{self, NonNull},
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{aref::ARef, rcu},
    task::Task,
};

/// Threads that are looked at in one RCU read section, unless the thread at which one ended was
/// gone when the next should go on. Few, as whoever is preempted in such a section keeps the whole
/// machine waiting for its end: for seconds, where thousands want to run.
const BATCH: usize = 256;

/// A process, by one of its threads.
pub struct Target(ARef<Task>);

impl Target {
    /// The process that has a thread of this number in the caller's pid namespace.
    pub fn find(number: i32) -> Option<Self> {
        // SAFETY: Takes a reference, or returns NULL.
        let pid = unsafe { bindings::find_get_pid(number) };
        // SAFETY: `pid` is NULL, which is allowed, or valid by the reference just taken; so is the
        // result.
        let task = unsafe { bindings::get_pid_task(pid, bindings::pid_type_PIDTYPE_PID) };
        // SAFETY: As above; the reference is given up.
        unsafe { bindings::put_pid(pid) };
        // SAFETY: `get_pid_task` took a reference, which goes to the `ARef`.
        NonNull::new(task).map(|task| Self(unsafe { ARef::from_raw(task.cast()) }))
    }

    /// Its address space, if the current task may look into it as ptrace defines it for reading:
    /// it is of the same process, or of the same user and group and the target may dump core, or
    /// else has `CAP_SYS_PTRACE`. Security modules are not asked.
    ///
    /// As in the kernel's `mm_access`, the thread that is judged is the one whose address space this
    /// is: that which was named or, if it has none any more, the first that has.
    ///
    /// `None` for a kernel thread, and for a process that has ended.
    ///
    /// # Errors
    ///
    /// [`EPERM`]; [`EINTR`] if the current task was killed while it waited for an exec.
    pub fn access(&self) -> Result<Option<ARef<Mm>>> {
        // SAFETY: The task is valid, and with it its `signal_struct`.
        to_result(unsafe { sys::kx_exec_lock(self.0.as_ptr()) })?;
        let (may, mm) = self.with_owner(|thread, mm| (may_inspect(thread), mm));
        // SAFETY: Locked above by the current task.
        unsafe { sys::kx_exec_unlock(self.0.as_ptr()) };
        if may {
            Ok(mm)
        } else {
            Err(EPERM)
        }
    }

    /// Whether `mm` is its address space still: it has neither ended nor become another program.
    pub fn still_has(&self, mm: &Mm) -> bool {
        let now = self.with_owner(|_, now| now);
        now.is_some_and(|now| ptr::eq::<Mm>(&*now, mm))
    }

    /// Calls `view` with the thread that was named or, if it has no address space any more, the
    /// first one of its process that has; and with the address space. If there is none, with the
    /// thread that was named.
    fn with_owner<T>(&self, view: impl FnOnce(&Task, Option<ARef<Mm>>) -> T) -> T {
        let guard = rcu::read_lock();
        // `chain` alone might also mean that of `pin_init`.
        let threads = Iterator::chain(once(&*self.0), self.threads_after(&guard, None));
        let mut owners = threads.filter_map(|thread| mm_of(thread).map(|mm| (thread, mm)));
        match owners.next() {
            Some((thread, mm)) => view(thread, Some(mm)),
            None => view(&self.0, None),
        }
    }

    /// Whether it is a thread of the kernel's own.
    pub fn is_kernel_thread(&self) -> bool {
        // SAFETY: The task is valid.
        unsafe { sys::kx_is_kthread(self.0.as_ptr()) != 0 }
    }

    /// How many threads it has, for which dead ones that a tracer has not yet let go are counted.
    pub fn thread_count(&self) -> usize {
        // SAFETY: The task is valid, and with it its `signal_struct`.
        unsafe { sys::kx_thread_count(self.0.as_ptr()) as usize }
    }

    /// Bytes of the kernel stacks of its threads. Takes the same time for any number of them, of
    /// which there are [`thread_count`](Self::thread_count).
    pub fn kernel_stack_bytes(&self) -> u64 {
        // SAFETY: As above.
        unsafe { sys::kx_kernel_stacks(self.0.as_ptr()) as u64 }
    }

    /// Calls `each` with the user stack pointer of each of its threads that lives in `mm`, with some
    /// perhaps more than once. That of a thread which runs is as it was when it last entered the
    /// kernel. Holds a reference to one thread and no more, however many there are.
    ///
    /// New threads join the list at its end. So whoever goes on behind a thread of the list misses
    /// nobody; if that one is gone meanwhile, all is begun anew, with twice as much in a section, so
    /// that nobody who ends threads in time can keep this from coming to an end.
    ///
    /// # Errors
    ///
    /// [`EINTR`] if the current task was killed.
    pub fn each_stack_pointer(&self, mm: &Mm, mut each: impl FnMut(u64)) -> Result {
        let (mut last, mut batch) = (None, BATCH);
        loop {
            match self.some_stack_pointers(mm, last.as_deref(), batch, &mut each) {
                Batch::All => return Ok(()),
                Batch::Upto(thread) => last = Some(thread),
                Batch::Lost => (last, batch) = (None, batch.saturating_mul(2)),
            }
            sched::breathe()?;
        }
    }

    /// The same for `most` threads from that on which follows `last`.
    fn some_stack_pointers(
        &self,
        mm: &Mm,
        last: Option<&Task>,
        most: usize,
        each: &mut impl FnMut(u64),
    ) -> Batch {
        let guard = rcu::read_lock();
        if last.is_some_and(|last| !is_listed(last)) {
            return Batch::Lost;
        }
        let mut seen = 0;
        for thread in self.threads_after(&guard, last) {
            if let Some(pointer) = stack_pointer(thread, mm) {
                each(pointer);
            }
            seen += 1;
            if seen >= most {
                return Batch::Upto(thread.into());
            }
        }
        Batch::All
    }

    /// Its threads behind `last`, which must have been [listed](is_listed) within this section, or
    /// all of them.
    fn threads_after<'a>(
        &'a self,
        _section: &'a rcu::Guard,
        last: Option<&Task>,
    ) -> impl Iterator<Item = &'a Task> {
        let mut last = last.map_or(ptr::null_mut(), Task::as_ptr);
        let next = move || {
            // SAFETY: In an RCU read section, in which `last` was on the list: by this function's
            // condition, or because it was found there. The task of `self` is valid.
            last = unsafe { sys::kx_next_thread(self.0.as_ptr(), last) };
            // SAFETY: Valid or NULL; tasks are freed after the section that the reference is
            // bound to.
            unsafe { last.cast::<Task>().as_ref() }
        };
        from_fn(next).fuse()
    }
}

/// How far a look at some threads went.
enum Batch {
    /// To the end.
    All,
    /// To this thread.
    Upto(ARef<Task>),
    /// Nowhere: the thread behind which to go on is gone.
    Lost,
}

/// Whether a thread is on the list of its process's threads. Within an RCU read section in which it
/// was, what follows it there can be looked at.
fn is_listed(thread: &Task) -> bool {
    // SAFETY: The task is valid.
    unsafe { sys::kx_is_listed(thread.as_ptr()) != 0 }
}

/// The address space of a thread, without asking whether the current task may look into it.
fn mm_of(thread: &Task) -> Option<ARef<Mm>> {
    // SAFETY: The task is valid.
    let mm = NonNull::new(unsafe { sys::kx_thread_mm(thread.as_ptr()) })?;
    // SAFETY: `kx_thread_mm` took a reference of the `mmgrab` kind, which goes to the `ARef`.
    Some(unsafe { ARef::from_raw(mm.cast()) })
}

/// The user stack pointer of a thread, if it lives in `mm`.
fn stack_pointer(thread: &Task, mm: &Mm) -> Option<u64> {
    let (thread, mm, mut pointer) = (thread.as_ptr(), mm.as_raw(), 0);
    // SAFETY: The task is valid; `mm` is only compared with its.
    let is_there = unsafe { sys::kx_stack_pointer(thread, mm, &mut pointer) } != 0;
    is_there.then_some(pointer)
}

/// What `ptrace_may_access` decides for `PTRACE_MODE_READ_REALCREDS`, without the security modules:
/// neither it nor their hook is exported.
fn may_inspect(thread: &Task) -> bool {
    let current = kernel::current!();
    // SAFETY: Both tasks are valid, and with them their `signal_struct`s, which are only compared.
    if unsafe { sys::kx_is_same_process(thread.as_ptr(), current.as_ptr()) } != 0 {
        return true;
    }
    let _section = rcu::read_lock();
    // SAFETY: Both tasks are valid. The current task's credentials change by its own doing only,
    // those of others are freed after this RCU read section, and either has a namespace. So has
    // the program that `kx_is_dumpable` looks at; a namespace is valid as long as what has it.
    unsafe {
        let own = (&raw const (*current.as_ptr()).cred).read_volatile();
        let theirs = (&raw const (*thread.as_ptr()).real_cred).read_volatile();
        if !has_ids_of(own, theirs) && !may_trace_in((*theirs).user_ns) {
            return false;
        }
        let mut namespace = ptr::null_mut();
        if sys::kx_is_dumpable(thread.as_ptr(), &mut namespace) == 0 && !may_trace_in(namespace) {
            return false;
        }
        has_rights_of(own, theirs) || may_trace_in((*theirs).user_ns)
    }
}

/// Whether `own` may have every capability that `theirs` may have, and has them in the same user
/// namespace: what `cap_ptrace_access_check` wants, which is asked in every kernel, besides the ids.
///
/// # Safety
///
/// Both must be valid.
unsafe fn has_rights_of(own: *const bindings::cred, theirs: *const bindings::cred) -> bool {
    // SAFETY: By this function's requirements; namespace and capabilities of credentials that are in
    // use never change.
    unsafe {
        (*own).user_ns == (*theirs).user_ns
            && (*theirs).cap_permitted.val & !(*own).cap_permitted.val == 0
    }
}

/// Whether all ids of `theirs` are those of `own`'s real user and group.
///
/// # Safety
///
/// Both must be valid.
unsafe fn has_ids_of(own: *const bindings::cred, theirs: *const bindings::cred) -> bool {
    // SAFETY: By this function's requirements; the ids of credentials never change.
    let (user, users, group, groups) = unsafe {
        (
            (*own).uid.val,
            [(*theirs).euid.val, (*theirs).suid.val, (*theirs).uid.val],
            (*own).gid.val,
            [(*theirs).egid.val, (*theirs).sgid.val, (*theirs).gid.val],
        )
    };
    users == [user; 3] && groups == [group; 3]
}

/// Whether the current task may trace all processes of a user namespace.
///
/// # Safety
///
/// The namespace must be valid.
unsafe fn may_trace_in(namespace: *mut bindings::user_namespace) -> bool {
    // SAFETY: By this function's requirements.
    unsafe { bindings::ns_capable(namespace, bindings::CAP_SYS_PTRACE as c_int) }
}
