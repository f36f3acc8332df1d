// SPDX-License-Identifier: GPL-2.0
//! A process that a caller names by pid, and whether the caller may look into it.
//!
//! Locks: the target's `exec_update_lock` outside of everything else, so that permission and
//! address space belong to the same program; then RCU, then a thread's `alloc_lock`. Nothing is
//! locked when a function returns.

use crate::{mm::Mm, sys};
use core::ptr::NonNull;
use kernel::{bindings, error::to_result, prelude::*, sync::aref::ARef};

/// Room for threads that start between counting them and looking at them.
const SPARE: usize = 16;

/// A process.
///
/// # Invariants
///
/// The pointer is to one of its threads, of which this value owns a reference.
pub struct Target(NonNull<bindings::task_struct>);

// SAFETY: A task is reference-counted atomically, and the methods may be called from any task.
unsafe impl Send for Target {}
// SAFETY: As above.
unsafe impl Sync for Target {}

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
        // INVARIANT: `get_pid_task` took a reference.
        NonNull::new(task).map(Self)
    }

    /// Its address space, if the current task may look into it as ptrace defines it for reading:
    /// it is of the same process, or of the same user and group and the target may dump core, or
    /// else has `CAP_SYS_PTRACE`. Security modules are not asked.
    ///
    /// `None` for a kernel thread, and for a process that has ended.
    ///
    /// # Errors
    ///
    /// [`EPERM`]; [`EINTR`] if the current task was killed while it waited for an exec.
    pub fn access(&self) -> Result<Option<ARef<Mm>>> {
        // SAFETY: By the invariant the task is valid.
        to_result(unsafe { sys::kx_exec_lock(self.0.as_ptr()) })?;
        // SAFETY: By the invariant the task is valid.
        let may = unsafe { sys::kx_may_inspect(self.0.as_ptr()) } != 0;
        let mm = if may { self.mm() } else { None };
        // SAFETY: Locked above by the current task.
        unsafe { sys::kx_exec_unlock(self.0.as_ptr()) };
        if may {
            Ok(mm)
        } else {
            Err(EPERM)
        }
    }

    /// Its address space now, without asking whether the current task may look into it.
    fn mm(&self) -> Option<ARef<Mm>> {
        // SAFETY: By the invariant the task is valid.
        let mm = NonNull::new(unsafe { sys::kx_process_mm(self.0.as_ptr()) })?;
        // SAFETY: `kx_process_mm` took a reference of the `mmgrab` kind, which goes to the `ARef`.
        Some(unsafe { ARef::from_raw(mm.cast()) })
    }

    /// Whether `mm` is its address space still: it has neither ended nor become another program.
    pub fn still_has(&self, mm: &Mm) -> bool {
        self.mm().is_some_and(|now| core::ptr::eq::<Mm>(&*now, mm))
    }

    /// Whether it is a thread of the kernel's own.
    pub fn is_kernel_thread(&self) -> bool {
        // SAFETY: By the invariant the task is valid.
        unsafe { sys::kx_is_kthread(self.0.as_ptr()) != 0 }
    }

    /// Bytes of the kernel stacks of its threads. Takes the same time for any number of them, for
    /// which it counts dead threads that a tracer has not yet let go.
    pub fn kernel_stack_bytes(&self) -> u64 {
        // SAFETY: By the invariant the task is valid.
        unsafe { sys::kx_kernel_stacks(self.0.as_ptr()) as u64 }
    }

    /// The user stack pointers of its threads that live in `mm`, in ascending order. That of a
    /// thread which runs is as it was when it last entered the kernel.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn stack_pointers(&self, mm: &Mm) -> Result<KVVec<u64>> {
        let mut pointers = KVVec::new();
        let mut threads = self.read_stack_pointers(mm, &mut pointers);
        while threads > pointers.len() {
            pointers.resize(threads.saturating_add(SPARE), 0, GFP_KERNEL)?;
            threads = self.read_stack_pointers(mm, &mut pointers);
        }
        pointers.truncate(threads);
        pointers.sort_unstable();
        Ok(pointers)
    }

    /// Fills `pointers` as far as it goes; returns how many there are.
    fn read_stack_pointers(&self, mm: &Mm, pointers: &mut [u64]) -> usize {
        // SAFETY: By the invariant the task is valid, `mm` is a valid structure, and no more is
        // written than there is room for.
        unsafe {
            sys::kx_thread_stack_pointers(
                self.0.as_ptr(),
                mm.as_raw(),
                pointers.as_mut_ptr(),
                pointers.len(),
            ) as usize
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours to give up.
        unsafe { sys::kx_put_task(self.0.as_ptr()) };
    }
}
