// SPDX-License-Identifier: GPL-2.0
//! System calls that a module serves under numbers that the kernel leaves unassigned.
//!
//! All unassigned numbers end in one function, `__x64_sys_ni_syscall`. A kprobe at its entry looks
//! at the number; for one of ours it makes execution go on in [`Handler::call`] instead, as an
//! ordinary function of the calling task that may sleep. Several modules may do so at once: the
//! kernel asks their probes in turn, and each takes its own numbers only. If two claim the same
//! number, the one that was loaded first serves it.
//!
//! Callers of another ABI (`int 0x80`, x32) arrive at the same function and are left alone: they
//! get ENOSYS. Writing 0 to `kernel.ftrace_enabled` turns the calls into ENOSYS until it is 1 again.
//!
//! # Unloading
//!
//! The probe counts a call before it redirects it, the call counts itself out when it returns.
//! [`Syscalls::drop`] removes the probe, which waits for probes that are running; then waits for
//! the calls to return; then for tasks that were preempted between counting themselves out and
//! leaving the module's text (`synchronize_rcu_tasks`). A call should therefore be killable and
//! short.

use crate::sys;
use core::{ops::RangeInclusive, ptr::NonNull};
use kernel::{
    bindings,
    error::to_result,
    ffi,
    prelude::*,
    sync::atomic::{Acquire, Atomic, Relaxed, Release},
    time::{delay::fsleep, Delta},
};

/// Numbers between x86-64's own and the first that all architectures agree on. The kernel's table
/// says that new calls shall not use those that are still free.
const GAP: RangeInclusive<u32> = 335..=423;

/// Most numbers that one module may serve.
const MOST: usize = 8;

/// How long unloading sleeps between looks at the calls in flight.
const LOOK_AGAIN: Delta = Delta::from_millis(5);

/// The numbers that may be served: those of the gap 335–423 that the kernel leaves unassigned, as
/// it was when the module was built for it.
pub fn free_numbers() -> impl Iterator<Item = u32> {
    // SAFETY: Only looks the number up.
    GAP.filter(|&number| unsafe { sys::kx_syscall_is_assigned(number) } == 0)
}

/// Serves the calls of a module.
pub trait Handler: Send + Sync + 'static {
    /// Serves one call in the context of the calling task.
    ///
    /// # Errors
    ///
    /// What the caller shall find in `errno`.
    fn call(&self, number: u32, arguments: [usize; 6]) -> Result<isize>;
}

/// System calls that are served as long as the value lives.
///
/// # Invariants
///
/// `probe` is registered with a context that points to `*inner`.
pub struct Syscalls<H: Handler> {
    inner: KBox<Inner<H>>,
    probe: NonNull<sys::Kprobe>,
}

struct Inner<H> {
    /// Unused places hold 0, which is not in [`GAP`].
    numbers: [u32; MOST],
    in_flight: Atomic<i64>,
    handler: H,
}

// SAFETY: The probe is only named by its owner; the kernel allows that from any task.
unsafe impl<H: Handler> Send for Syscalls<H> {}
// SAFETY: Nothing can be done with a reference.
unsafe impl<H: Handler> Sync for Syscalls<H> {}

impl<H: Handler> Syscalls<H> {
    /// Serves `numbers` from now on.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] for no numbers, more than eight, or one that is not among [`free_numbers`];
    /// [`ENOMEM`]; and what the kernel says if it refuses the probe.
    pub fn new(numbers: &[u32], handler: H) -> Result<Self> {
        let mut inner = KBox::new(
            Inner {
                numbers: [0; MOST],
                in_flight: Atomic::new(0),
                handler,
            },
            GFP_KERNEL,
        )?;
        let is_free = |&number: &u32| free_numbers().any(|free| free == number);
        if numbers.is_empty() || !numbers.iter().all(is_free) {
            return Err(EINVAL);
        }
        let places = inner.numbers.get_mut(..numbers.len()).ok_or(EINVAL)?;
        places.copy_from_slice(numbers);
        let mut error = 0;
        // SAFETY: The name is static; `probed` is a pre-handler that expects this context, which
        // stays where it is until `drop` has removed the probe.
        let probe = unsafe {
            sys::kx_kprobe_register(
                kernel::str::as_char_ptr_in_const_context(c"__x64_sys_ni_syscall"),
                probed::<H>,
                (&raw mut *inner).cast(),
                &raw mut error,
            )
        };
        to_result(error)?;
        // INVARIANT: Registered just above.
        Ok(Self {
            inner,
            probe: NonNull::new(probe).ok_or(ENOMEM)?,
        })
    }
}

impl<H: Handler> Drop for Syscalls<H> {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is registered, and nobody uses it afterwards.
        unsafe { sys::kx_kprobe_unregister(self.probe.as_ptr()) };
        while self.inner.in_flight.load(Acquire) != 0 {
            fsleep(LOOK_AGAIN);
        }
        // SAFETY: Drop runs where sleeping is allowed.
        unsafe { bindings::synchronize_rcu_tasks() };
    }
}

/// The pre-handler; runs with preemption off.
///
/// # Safety
///
/// Only for `Syscalls::new` to register.
unsafe extern "C" fn probed<H: Handler>(
    probe: *mut sys::Kprobe,
    regs: *mut bindings::pt_regs,
) -> ffi::c_int {
    // SAFETY: Only registered by `Syscalls::new`, whose `Inner` outlives the registration.
    let inner: &Inner<H> = unsafe { &*sys::kx_kprobe_context(probe).cast() };
    // SAFETY: The kernel passes the registers at the entry of `__x64_sys_ni_syscall`, whose only
    // argument points to the registers of user space.
    let number = unsafe { (*((*regs).di as *const bindings::pt_regs)).orig_ax } as u32;
    // The kernel, too, looks at the lower half of the register only.
    if number == 0 || !inner.numbers.contains(&number) {
        return 0;
    }
    // SAFETY: Looks at the current task only.
    if unsafe { sys::kx_in_32bit_syscall() } != 0 {
        return 0;
    }
    inner.in_flight.add(1, Relaxed);
    // SAFETY: As above. `served` takes the argument that the probed function would have taken, and
    // returns to the same place with the same type; a second argument is added. The count that was
    // taken just above keeps `inner` until `served` gives it up.
    unsafe {
        (*regs).si = (&raw const *inner) as ffi::c_ulong;
        (*regs).ip = served::<H> as *const () as ffi::c_ulong;
    }
    1
}

/// Runs in place of `__x64_sys_ni_syscall`.
///
/// # Safety
///
/// Only for `probed` to redirect to.
unsafe extern "C" fn served<H: Handler>(
    user: *const bindings::pt_regs,
    inner: *const Inner<H>,
) -> ffi::c_long {
    // SAFETY: `probed` passes a pointer that stays valid while this call is counted.
    let inner = unsafe { &*inner };
    // SAFETY: The registers of the current task's user space.
    let user = unsafe { &*user };
    let arguments = [user.di, user.si, user.dx, user.r10, user.r8, user.r9];
    let result = inner.handler.call(user.orig_ax as u32, arguments);
    // Release: what the call did comes before the handler's end in `drop`.
    inner.in_flight.fetch_sub(1, Release);
    match result {
        Ok(value) => value,
        Err(error) => error.to_errno() as ffi::c_long,
    }
}
