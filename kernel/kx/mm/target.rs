// SPDX-License-Identifier: GPL-2.0
//! A process that a caller names by pid, and whether the caller may look into it.
//!
//! Locks: the target's `exec_update_lock` outside of everything else, so that permission and
//! address space belong to the same program; then RCU, then a thread's `alloc_lock`. Nothing is
//! locked when a function returns.
//!
//! The thread that was named may be reaped at any time: see [`threads`].

use crate::{
    mm::Mm,
    sys,
    task::Comm,
    threads::{self, mm_of},
};
use core::ptr::{self, NonNull};
use kernel::{
    bindings,
    error::to_result,
    page::PAGE_SIZE,
    pid_namespace::PidNamespace,
    prelude::*,
    sync::{aref::ARef, rcu},
    task::Task,
};
use kx_base::sched;

/// Bytes of a thread's kernel stack: `THREAD_SIZE`.
const STACK_SIZE: u64 = (PAGE_SIZE as u64) << bindings::THREAD_SIZE_ORDER;

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

    /// The first process whose number in `namespace` is not below `number`, and that number.
    ///
    /// # Errors
    ///
    /// Those of [`sched::yield_unless_killed_or_frozen`].
    pub fn first_from(namespace: &PidNamespace, number: i32) -> Result<Option<(i32, Self)>> {
        let mut number = number;
        loop {
            let section = rcu::read_lock();
            // SAFETY: In an RCU read section; the namespace is valid as it is borrowed.
            let pid = unsafe { bindings::find_ge_pid(number, namespace.as_ptr()) };
            let Some(pid) = NonNull::new(pid) else {
                return Ok(None);
            };
            // SAFETY: Both are valid, the pid as long as the section lasts.
            number = unsafe { bindings::pid_nr_ns(pid.as_ptr(), namespace.as_ptr()) };
            // SAFETY: It was found in this section.
            if let Some(process) = unsafe { Self::of(pid) } {
                return Ok(Some((number, process)));
            }
            // Not a process but a thread, or one that is on its way out.
            drop(section);
            sched::yield_unless_killed_or_frozen()?;
            let Some(next) = number.checked_add(1) else {
                return Ok(None);
            };
            number = next;
        }
    }

    /// The process that bears `number` in `namespace`. The numbers of other threads than a process's
    /// first are not found.
    pub fn find_in(namespace: &PidNamespace, number: i32) -> Option<Self> {
        let _section = rcu::read_lock();
        // SAFETY: In an RCU read section; the namespace is valid as it is borrowed.
        let pid = NonNull::new(unsafe { sys::find_pid_ns(number, namespace.as_ptr()) })?;
        // SAFETY: It was found in this section.
        unsafe { Self::of(pid) }
    }

    /// The process whose number this is.
    ///
    /// # Safety
    ///
    /// `pid` was found in this RCU read section.
    unsafe fn of(pid: NonNull<bindings::pid>) -> Option<Self> {
        // SAFETY: By this function's requirements.
        let leader = unsafe { bindings::pid_task(pid.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
        let leader = NonNull::new(leader)?.cast::<Task>();
        // SAFETY: As above; the `ARef` takes a reference of its own.
        Some(Self(ARef::from(unsafe { leader.as_ref() })))
    }

    /// Its number in `namespace`; `None` if it cannot be seen from there.
    pub fn number_in(&self, namespace: &PidNamespace) -> Option<u32> {
        // SAFETY: Both pointers are valid, by the references.
        let number = unsafe {
            bindings::__task_pid_nr_ns(
                self.0.as_ptr(),
                bindings::pid_type_PIDTYPE_TGID,
                namespace.as_ptr(),
            )
        };
        u32::try_from(number).ok().filter(|&number| number != 0)
    }

    /// The thread by which it was found.
    pub fn as_ptr(&self) -> *mut bindings::task_struct {
        self.0.as_ptr()
    }

    /// The name of that thread.
    pub fn comm(&self) -> Comm {
        // SAFETY: The task is valid.
        unsafe { Comm::of(self.0.as_ptr()) }
    }

    /// Its address space without asking whether the current task may look into it; `None` for a kernel
    /// thread, and for a process that has ended.
    ///
    /// # Errors
    ///
    /// Those of [`sched::yield_unless_killed_or_frozen`].
    pub fn space(&self) -> Result<Option<ARef<Mm>>> {
        match mm_of(&self.0) {
            Some(mm) => Ok(Some(mm)),
            None => Ok(self.first_owner()?.map(|(_, mm)| mm)),
        }
    }

    /// [`access`](Self::access) by the credentials alone, without waiting for an exec: `None` if one
    /// is under way. Whoever works with another's credentials must not be taken for the process itself,
    /// which may be another program by now.
    ///
    /// # Errors
    ///
    /// [`EPERM`]; those of [`sched::yield_unless_killed_or_frozen`].
    pub fn try_access(&self) -> Result<Option<Option<ARef<Mm>>>> {
        // SAFETY: The task is valid, and with it its `signal_struct`.
        if unsafe { sys::kx_exec_trylock(self.0.as_ptr()) } == 0 {
            return Ok(None);
        }
        let found = self.owned_if(may_inspect_as);
        // SAFETY: Locked above by the current task.
        unsafe { sys::kx_exec_unlock(self.0.as_ptr()) };
        found.map(Some)
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
    /// [`EPERM`]; [`EINTR`] if the current task was killed while it waited for an exec; and those of
    /// [`sched::yield_unless_killed_or_frozen`].
    pub fn access(&self) -> Result<Option<ARef<Mm>>> {
        // SAFETY: The task is valid, and with it its `signal_struct`.
        to_result(unsafe { sys::kx_exec_lock(self.0.as_ptr()) })?;
        let found = self.owned_if(may_inspect);
        // SAFETY: Locked above by the current task.
        unsafe { sys::kx_exec_unlock(self.0.as_ptr()) };
        found
    }

    /// Its address space, if the thread that has it is `allowed` to be looked into; for whom holds the
    /// `exec_update_lock`.
    fn owned_if(&self, allowed: impl FnOnce(&Task) -> bool) -> Result<Option<ARef<Mm>>> {
        let (other, mm) = match mm_of(&self.0) {
            Some(mm) => (None, Some(mm)),
            None => self.first_owner()?.unzip(),
        };
        let judged = other.as_deref().unwrap_or(&self.0);
        if allowed(judged) {
            Ok(mm)
        } else {
            Err(EPERM)
        }
    }

    /// Whether `mm` is its address space still: it has neither ended nor become another program.
    ///
    /// # Errors
    ///
    /// Those of [`sched::yield_unless_killed_or_frozen`].
    pub fn still_has(&self, mm: &Mm) -> Result<bool> {
        // SAFETY: The task is valid. The pointer is only compared, with one to what is kept.
        let named = unsafe { (&raw const (*self.0.as_ptr()).mm).read_volatile() };
        if !named.is_null() {
            return Ok(ptr::eq(named, mm.as_raw()));
        }
        let owner = self.first_owner()?;
        Ok(owner.is_some_and(|(_, now)| ptr::eq::<Mm>(&*now, mm)))
    }

    /// The first of its threads that has an address space, and that.
    fn first_owner(&self) -> Result<Option<(ARef<Task>, ARef<Mm>)>> {
        threads::find(&self.0, sched::yield_unless_killed_or_frozen, |thread| {
            mm_of(thread).map(|mm| (thread.into(), mm))
        })
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
        let mut stacks = self.thread_count() as u64;
        // The first thread has given up its stack when it ended, but stays in the count for as long
        // as there are others.
        if stacks > 1 && !threads::first_has_stack(&self.0) {
            stacks -= 1;
        }
        stacks.saturating_mul(STACK_SIZE)
    }

    /// Calls `each` with the user stack pointer of each of its threads that lives in `mm`, with some
    /// perhaps more than once. That of a thread which runs is as it was when it last entered the
    /// kernel.
    ///
    /// # Errors
    ///
    /// Those of [`sched::yield_unless_killed_or_frozen`].
    pub fn each_stack_pointer(&self, mm: &Mm, mut each: impl FnMut(u64)) -> Result {
        let nothing = threads::find(&self.0, sched::yield_unless_killed_or_frozen, |thread| {
            if let Some(pointer) = stack_pointer(thread, mm) {
                each(pointer);
            }
            None::<()>
        });
        nothing.map(drop)
    }
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
    let is_same = unsafe { sys::kx_is_same_process(thread.as_ptr(), current.as_ptr()) } != 0;
    is_same || may_inspect_as(thread)
}

/// The same for whom is not of the process itself.
fn may_inspect_as(thread: &Task) -> bool {
    let current = kernel::current!();
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
