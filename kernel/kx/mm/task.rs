// SPDX-License-Identifier: GPL-2.0
//! The processes of the system.
//!
//! Locks: RCU read sections of bounded length only, within which a task's `alloc_lock` is taken.
//! Nothing is locked when a function returns; what it returns is held by references.

use crate::{
    mm::{Mm, MmWithUser},
    sys, threads,
};
use core::{num::NonZeroI32, ptr::NonNull};
use kernel::{
    bindings,
    pid_namespace::PidNamespace,
    prelude::*,
    sync::{aref::ARef, rcu},
    task::Task,
};
use kx_base::sched;

/// Bytes of a `comm`, its NUL included.
pub const COMM_LEN: usize = 16;

/// The name of a process as the kernel keeps it. Equal names have equal bytes.
///
/// # Invariants
///
/// The bytes behind the first NUL, of which there is one, are NULs too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Comm([u8; COMM_LEN]);

impl Comm {
    /// The name of these bytes; `None` if they are none: empty, too long or with a NUL.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut comm = [0; COMM_LEN];
        let fits = !name.is_empty() && name.len() < COMM_LEN && !name.contains(&0);
        comm.get_mut(..name.len())?.copy_from_slice(name);
        // INVARIANT: Shorter than the array, and copied into NULs.
        fits.then_some(Self(comm))
    }

    /// The name of the current thread.
    pub fn of_current() -> Self {
        // SAFETY: The current task is valid.
        unsafe { Self::of(bindings::get_current()) }
    }

    /// The name of a task.
    ///
    /// # Safety
    ///
    /// `task` is valid during the call.
    pub(crate) unsafe fn of(task: *mut bindings::task_struct) -> Self {
        // SAFETY: By this function's requirements; the array is as long. It may change while it is
        // read, as for all readers in the kernel.
        let mut comm = unsafe {
            (&raw const (*task).comm)
                .cast::<[u8; COMM_LEN]>()
                .read_volatile()
        };
        // Whoever renames the task may not have come to the end of its old name yet: that is not
        // part of a name, and names are compared with all their bytes.
        let end = comm.iter().position(|&byte| byte == 0);
        let rest = comm.iter_mut().skip(end.unwrap_or(COMM_LEN - 1));
        rest.for_each(|byte| *byte = 0);
        // INVARIANT: Filled from the first NUL or from the last byte on.
        Self(comm)
    }

    /// Its bytes, [`COMM_LEN`] of them.
    pub fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// A number for hash tables.
    pub fn hash(&self) -> u32 {
        let word = u128::from_le_bytes(self.0);
        let folded = (word as u64) ^ ((word >> 64) as u64).rotate_left(29);
        (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
    }

    /// The name with all its bytes.
    pub fn to_bytes(self) -> [u8; COMM_LEN] {
        self.0
    }

    /// The name without what follows its first NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// An identity: the number of a process in each of its pid namespaces. It stays readable when the
/// process is gone.
///
/// # Invariants
///
/// The pointer is to a `struct pid` of which this value owns a reference.
pub struct Pid(NonNull<bindings::pid>);

// SAFETY: `struct pid` is reference-counted atomically and its numbers never change.
unsafe impl Send for Pid {}
// SAFETY: As above.
unsafe impl Sync for Pid {}

impl Pid {
    /// The identity of the current process.
    pub fn current() -> Result<Self> {
        // SAFETY: Only reads the current task's own fields and takes a reference, which goes to
        // the `Pid`.
        let pid = unsafe { sys::kx_get_current_tgid() };
        // INVARIANT: As above.
        NonNull::new(pid).map(Self).ok_or(ESRCH)
    }

    /// The number in `namespace`; `None` if the process cannot be seen from there.
    pub fn number_in(&self, namespace: &PidNamespace) -> Option<NonZeroI32> {
        // SAFETY: Both pointers are valid: by the invariant, and because it is a reference.
        NonZeroI32::new(unsafe { bindings::pid_nr_ns(self.0.as_ptr(), namespace.as_ptr()) })
    }

    /// Pins the address space that the process has now. `None` if it has none any more: then
    /// nothing is kept, whoever else may look at it.
    pub fn pin_space(&self) -> Option<ARef<MmWithUser>> {
        let guard = rcu::read_lock();
        // SAFETY: In an RCU read section; the pointer is valid by the invariant.
        let leader =
            unsafe { bindings::pid_task(self.0.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
        // SAFETY: Valid or NULL, in the same section.
        let leader = ARef::from(unsafe { leader.cast::<Task>().as_ref() }?);
        drop(guard);
        address_space(&leader)?.mmget_not_zero()
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours to give up.
        unsafe { bindings::put_pid(self.0.as_ptr()) };
    }
}

/// A process as it was found.
pub struct Process {
    /// Its number in the initial pid namespace.
    pub number: i32,
    /// Its identity.
    pub pid: Pid,
    /// The name of its leading thread.
    pub comm: Comm,
    /// Whether it belongs to the kernel.
    pub is_kernel_thread: bool,
    /// Its address space; `None` for a kernel thread and for a process without a living thread.
    pub mm: Option<ARef<Mm>>,
}

/// The process with the lowest number from `number` on, in the initial pid namespace.
///
/// # Errors
///
/// Those of [`sched::yield_unless_killed_or_frozen`].
pub fn first_from(number: i32) -> Result<Option<Process>> {
    let mut number = number;
    loop {
        let guard = rcu::read_lock();
        // SAFETY: In an RCU read section; the initial namespace always exists.
        let pid = unsafe { bindings::find_ge_pid(number, &raw mut bindings::init_pid_ns) };
        let Some(pid) = NonNull::new(pid) else {
            return Ok(None);
        };
        // SAFETY: As above, and `pid` is valid as long as the section lasts.
        number = unsafe { bindings::pid_nr_ns(pid.as_ptr(), &raw mut bindings::init_pid_ns) };
        // SAFETY: As above.
        let leader = unsafe { bindings::pid_task(pid.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
        if let Some(leader) = NonNull::new(leader) {
            // SAFETY: Both were found in this section.
            return Ok(Some(unsafe { describe(guard, number, pid, leader) }));
        }
        // Not a process but a thread, or one that is on its way out.
        drop(guard);
        sched::yield_unless_killed_or_frozen()?;
        let Some(next) = number.checked_add(1) else {
            return Ok(None);
        };
        number = next;
    }
}

/// The process that bears `number` in the pid namespace of the current task. The numbers of other
/// threads than a process's first are not found.
pub fn find(number: i32) -> Option<Process> {
    let guard = rcu::read_lock();
    // SAFETY: In an RCU read section.
    let pid = NonNull::new(unsafe { bindings::find_vpid(number) })?;
    // SAFETY: As above, and `pid` is valid as long as the section lasts.
    let leader = unsafe { bindings::pid_task(pid.as_ptr(), bindings::pid_type_PIDTYPE_TGID) };
    let leader = NonNull::new(leader)?;
    // SAFETY: `pid` and the initial namespace are valid.
    let number = unsafe { bindings::pid_nr_ns(pid.as_ptr(), &raw mut bindings::init_pid_ns) };
    // SAFETY: Both were found in this section.
    Some(unsafe { describe(guard, number, pid, leader) })
}

/// # Safety
///
/// `pid` and `leader` were found in this RCU read section.
unsafe fn describe(
    section: rcu::Guard,
    number: i32,
    pid: NonNull<bindings::pid>,
    leader: NonNull<bindings::task_struct>,
) -> Process {
    // SAFETY: By this function's requirements the pointer is valid.
    let comm = unsafe { Comm::of(leader.as_ptr()) };
    // SAFETY: As above; a task does not change sides.
    let flags = unsafe { (&raw const (*leader.as_ptr()).flags).read_volatile() };
    // SAFETY: By this function's requirements.
    unsafe { sys::kx_get_pid(pid.as_ptr()) };
    // SAFETY: As above.
    let leader = ARef::from(unsafe { leader.cast::<Task>().as_ref() });
    drop(section);
    Process {
        number,
        // INVARIANT: The reference was taken just above.
        pid: Pid(pid),
        comm,
        is_kernel_thread: flags & bindings::PF_KTHREAD != 0,
        mm: address_space(&leader),
    }
}

/// The address space of the first thread of a process that has one. To be called where sleeping is
/// allowed.
fn address_space(leader: &Task) -> Option<ARef<Mm>> {
    let pace = || {
        sched::cond_resched();
        Ok(())
    };
    // The pace has no errors: at worst, all threads of one process are looked at.
    let first = || threads::find(leader, pace, threads::mm_of).ok().flatten();
    threads::mm_of(leader).or_else(first)
}

/// Calls `view` with the pid namespace of the current task.
///
/// # Errors
///
/// [`ESRCH`] if the current task is past having one.
pub fn with_current_namespace<T>(view: impl FnOnce(&PidNamespace) -> Result<T>) -> Result<T> {
    view(kernel::current!().active_pid_ns().ok_or(ESRCH)?)
}

/// Whether the current task may administer the whole machine (`CAP_SYS_ADMIN` in the initial user
/// namespace).
pub fn is_administrator() -> bool {
    // SAFETY: Only looks at the current task's credentials.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
}

/// Whether the current task may look into all processes (`CAP_SYS_PTRACE` in the initial user
/// namespace).
pub fn may_trace_all() -> bool {
    // SAFETY: Only looks at the current task's credentials.
    unsafe { bindings::capable(bindings::CAP_SYS_PTRACE as c_int) }
}

/// Whether the current task may watch what others do (`CAP_PERFMON` or `CAP_SYS_ADMIN` in the
/// initial user namespace).
pub fn may_monitor() -> bool {
    // SAFETY: Only looks at the current task's credentials.
    unsafe { bindings::capable(bindings::CAP_PERFMON as c_int) || is_administrator() }
}

/// A number that tells the current task from all others that live.
pub fn current_id() -> usize {
    // SAFETY: Has no preconditions.
    (unsafe { bindings::get_current() }) as usize
}
