// SPDX-License-Identifier: GPL-2.0
//! The processes of a scope, one after the other.
//!
//! Nothing is listed ahead: processes that come and go meanwhile are seen or not. Numbers are those of
//! the pid namespace of whoever asked, which is kept, as is the scope's.
//!
//! Locks: RCU read sections of bounded length. Nothing is locked when a function returns.

use crate::sys;
use core::ptr::NonNull;
use kernel::{
    bindings, error::from_err_ptr, pid_namespace::PidNamespace, prelude::*, sync::aref::ARef,
};
use kx_base::sched;
use kx_mm::{target::Target, task::Comm};

/// A cgroup of version 2.
///
/// # Invariants
///
/// The pointer is to a cgroup of which this value owns a reference.
pub struct Cgroup(NonNull<bindings::cgroup>);

// SAFETY: Cgroups are reference-counted atomically and belong to no task.
unsafe impl Send for Cgroup {}

impl Cgroup {
    /// The one whose folder the current task has open as `fd`.
    ///
    /// # Errors
    ///
    /// [`EBADF`] if that is no such folder; [`EOPNOTSUPP`] where the kernel has none.
    pub fn open(fd: i32) -> Result<Self> {
        // SAFETY: Takes a reference, or fails.
        let cgroup = from_err_ptr(unsafe { sys::kx_cgroup_of(fd) })?;
        // INVARIANT: As above.
        NonNull::new(cgroup).map(Self).ok_or(EBADF)
    }

    /// Whether a process is in it, or below.
    fn has(&self, process: &Target) -> bool {
        // SAFETY: Both are valid, by the references.
        unsafe { sys::kx_is_in_cgroup(process.as_ptr(), self.0.as_ptr()) != 0 }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours to give up.
        unsafe { sys::kx_cgroup_put(self.0.as_ptr()) };
    }
}

/// The pid namespace that the current task has open as `fd`.
///
/// # Errors
///
/// [`EBADF`]; [`EINVAL`] if that is something else.
pub fn pid_namespace(fd: i32) -> Result<ARef<PidNamespace>> {
    // SAFETY: Takes a reference, or fails.
    let namespace = from_err_ptr(unsafe { sys::kx_pid_ns_of(fd) })?;
    let namespace = NonNull::new(namespace).ok_or(EINVAL)?;
    // SAFETY: `PidNamespace` is a transparent wrapper of it; the reference goes to the `ARef`.
    Ok(unsafe { ARef::from_raw(namespace.cast()) })
}

/// Which processes are meant.
pub enum Scope {
    /// All that can be seen.
    All,
    /// Those with these numbers.
    Pids(KVVec<u32>),
    /// Those whose first thread has this name.
    Comm(Comm),
    /// Those in this cgroup, and below.
    Cgroup(Cgroup),
    /// Those that can be seen from this namespace.
    Namespace(ARef<PidNamespace>),
}

/// What comes next.
pub enum Next {
    /// This process, under its number.
    Process(u32, Target),
    /// There is none of this number, which was asked for.
    Absent(u32),
    /// Nothing yet.
    Later,
    /// No more.
    End,
}

/// Processes that are passed over at a time.
const AT_ONCE: usize = 256;

/// Goes through a scope.
pub struct Census {
    /// That of whoever asked.
    namespace: ARef<PidNamespace>,
    scope: Scope,
    /// The next number, in the namespace that is gone through; or the next of `Scope::Pids`.
    next: i32,
}

impl Census {
    /// Of what the current task can see of a scope.
    ///
    /// # Errors
    ///
    /// [`ESRCH`] if it is past seeing anything.
    pub fn new(scope: Scope) -> Result<Self> {
        let current = kernel::current!();
        let namespace = current.active_pid_ns().ok_or(ESRCH)?.into();
        Ok(Self {
            namespace,
            scope,
            next: 0,
        })
    }

    /// The namespace of whoever asked.
    pub fn namespace(&self) -> &PidNamespace {
        &self.namespace
    }

    /// Whether each process was named by its number.
    pub fn is_by_number(&self) -> bool {
        matches!(self.scope, Scope::Pids(_))
    }

    /// Whether it tells processes by something else than their numbers.
    pub fn is_filtered(&self) -> bool {
        matches!(self.scope, Scope::Comm(_) | Scope::Cgroup(_))
    }

    /// What comes next.
    ///
    /// # Errors
    ///
    /// Those of [`sched::yield_unless_killed_or_frozen`].
    pub fn advance(&mut self) -> Result<Next> {
        if let Scope::Pids(pids) = &self.scope {
            let Some(&pid) = pids.get(self.next.unsigned_abs() as usize) else {
                return Ok(Next::End);
            };
            self.next = self.next.saturating_add(1);
            let number = i32::try_from(pid).unwrap_or(-1);
            let found = Target::find_in(&self.namespace, number);
            return Ok(found.map_or(Next::Absent(pid), |process| Next::Process(pid, process)));
        }
        for _ in 0..AT_ONCE {
            sched::yield_unless_killed_or_frozen()?;
            let through = match &self.scope {
                Scope::Namespace(namespace) => namespace,
                _ => &self.namespace,
            };
            let Some((number, process)) = Target::first_from(through, self.next)? else {
                return Ok(Next::End);
            };
            self.next = match number.checked_add(1) {
                Some(next) => next,
                None => return Ok(Next::End),
            };
            if let Some(number) = self.number_of(number, &process) {
                return Ok(Next::Process(number, process));
            }
        }
        Ok(Next::Later)
    }

    /// The number of a process for whoever asked, if it is of the scope; `number` is that in the
    /// namespace that is gone through.
    fn number_of(&self, number: i32, process: &Target) -> Option<u32> {
        let is_meant = match &self.scope {
            Scope::All | Scope::Pids(_) => true,
            Scope::Comm(comm) => process.comm() == *comm,
            Scope::Cgroup(cgroup) => cgroup.has(process),
            Scope::Namespace(_) => {
                return process.number_in(&self.namespace);
            }
        };
        is_meant.then_some(number.unsigned_abs())
    }
}
