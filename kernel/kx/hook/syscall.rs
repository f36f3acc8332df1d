// SPDX-License-Identifier: GPL-2.0
//! System calls that a module serves under numbers that the kernel leaves unassigned.
//!
//! All unassigned numbers end in one function, `__x64_sys_ni_syscall`. A kprobe there looks at the
//! number; for one of ours it makes execution go on in [`Handler::call`] instead, as an ordinary
//! function of the calling task that may sleep.
//!
//! Callers of another ABI (`int 0x80`, x32) arrive at the same function and are left alone: they
//! get ENOSYS.
//!
//! # Neighbours
//!
//! The probe is a breakpoint on the first instruction behind the place where ftrace patches the
//! function: nothing is on the stack yet but the return address, and all registers are the
//! caller's. At that place itself the kernel would arm it by way of ftrace, and there:
//!
//! - a probe that redirects must not share its place with probes that were armed without it: the
//!   kernel then cannot find what it has armed, and what is freed stays armed;
//! - arming can fail, and registering succeeds nevertheless;
//! - only one owner may redirect (a live patch is another), and `kernel.ftrace_enabled` counts.
//!
//! Behind it none of that applies. Whatever comes and goes at the entry sees our calls as any other,
//! and a breakpoint may have several owners, which the kernel asks in turn, the last one first. Each
//! of our modules takes its own numbers only; if two claim the same number, the one that was loaded
//! last serves it.
//!
//! Switching all kprobes off (`kprobes/enabled` in debugfs) turns the calls into ENOSYS until they
//! are switched on. Nothing can be loaded meanwhile: [`Syscalls::new`] looks whether the breakpoint
//! is there.
//!
//! # Unloading
//!
//! A call begins with taking a reference to the module, and ends with giving it back: see
//! [`in_use`](kx_base::in_use). So unloading fails while a call is running, however long that takes,
//! and calls that are not granted one get ENOSYS. [`Syscalls::drop`] removes the probe, which waits
//! for probes that are running; then for tasks that the probe has sent on their way to taking the
//! reference, or that have given it back and not left the module's text yet
//! (`synchronize_rcu_tasks`).

use crate::sys;
use core::{mem, mem::ManuallyDrop, ops::RangeInclusive, ptr::NonNull};
use kernel::{bindings, error::to_result, ffi, prelude::*};
use kx_base::{in_use::InUse, log};

/// Numbers between x86-64's own and the first that all architectures agree on. The kernel's table
/// says that new calls shall not use those that are still free.
const GAP: RangeInclusive<u32> = 335..=423;

/// Most numbers that one module may serve.
const MOST: usize = 8;

/// Where unassigned numbers end.
const FUNCTION: &CStr = c"__x64_sys_ni_syscall";

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
/// `probe` is registered with a context that points to `*inner`, which is not freed while a call that
/// has a reference to the module may use it.
pub struct Syscalls<H: Handler> {
    inner: ManuallyDrop<KBox<Inner<H>>>,
    probe: NonNull<sys::Kprobe>,
}

struct Inner<H> {
    /// Unused places hold 0, which is not in [`GAP`].
    numbers: [u32; MOST],
    handler: H,
}

// SAFETY: The probe is only named by its owner; the kernel allows that from any task.
unsafe impl<H: Handler> Send for Syscalls<H> {}
// SAFETY: Nothing can be done with a reference.
unsafe impl<H: Handler> Sync for Syscalls<H> {}

impl<H: Handler> Syscalls<H> {
    /// Serves `numbers` from when the module's `init` has succeeded.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] for no numbers, more than eight, or one that is not among [`free_numbers`];
    /// [`ENOMEM`]; EOPNOTSUPP if kprobes are switched off; and what the kernel says if it
    /// refuses the probe.
    pub fn new(numbers: &[u32], handler: H) -> Result<Self> {
        let is_free = |&number: &u32| free_numbers().any(|free| free == number);
        if numbers.is_empty() || !numbers.iter().all(is_free) {
            return Err(EINVAL);
        }
        let mut places = [0; MOST];
        let wanted = places.get_mut(..numbers.len()).ok_or(EINVAL)?;
        wanted.copy_from_slice(numbers);
        let inner = Inner {
            numbers: places,
            handler,
        };
        let this = Self::register(KBox::new(inner, GFP_KERNEL)?)
            .inspect_err(|error| refused("the kernel refuses the probe", *error))?;
        if !this.is_armed() {
            // 7.2's crate has no name for it.
            let error = Error::from_errno(-(bindings::EOPNOTSUPP as ffi::c_int));
            refused("kprobes are switched off (debugfs: kprobes/enabled)", error);
            return Err(error);
        }
        Ok(this)
    }

    fn register(mut inner: KBox<Inner<H>>) -> Result<Self> {
        let mut error = 0;
        // SAFETY: The name is static; `probed` is a pre-handler that expects this context, which
        // stays where it is until `drop` has removed the probe.
        let probe = unsafe {
            sys::kx_kprobe_register(
                kernel::str::as_char_ptr_in_const_context(FUNCTION),
                probed::<H>,
                (&raw mut *inner).cast(),
                &raw mut error,
            )
        };
        to_result(error)?;
        // INVARIANT: Registered just above; `drop` keeps the rest.
        Ok(Self {
            inner: ManuallyDrop::new(inner),
            probe: NonNull::new(probe).ok_or(ENOMEM)?,
        })
    }

    fn is_armed(&self) -> bool {
        // SAFETY: By the invariant it is registered.
        unsafe { sys::kx_kprobe_is_armed(self.probe.as_ptr()) != 0 }
    }
}

/// Logs why no calls are served.
fn refused(why: &str, error: Error) {
    let error = error.to_errno();
    log::module_error(format_args!("{FUNCTION:?}: {why} ({error})"));
}

impl<H: Handler> Drop for Syscalls<H> {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is registered, and nobody uses it afterwards.
        unsafe { sys::kx_kprobe_unregister(self.probe.as_ptr()) };
        // SAFETY: Drop runs where sleeping is allowed.
        unsafe { bindings::synchronize_rcu_tasks() };
        match InUse::begin() {
            // Calls may be running. No module does that: its calls end with it.
            Some(in_use) => mem::forget(in_use),
            // SAFETY: Nobody uses it: no probe is running; a call has `inner` only with a reference
            // to the module, of which none was granted before the module was in service, and none
            // is left now that it is not any more.
            None => unsafe { ManuallyDrop::drop(&mut self.inner) },
        }
    }
}

/// The pre-handler; runs with interrupts off, where an NMI might.
///
/// # Safety
///
/// Only for `Syscalls::new` to register.
unsafe extern "C" fn probed<H: Handler>(
    probe: *mut sys::Kprobe,
    regs: *mut bindings::pt_regs,
) -> ffi::c_int {
    // SAFETY: Only registered by `Syscalls::new`; by its invariant `Inner` outlives the registration.
    let inner: &Inner<H> = unsafe { &*sys::kx_kprobe_context(probe).cast() };
    // SAFETY: The kernel passes the registers before the first instruction of a function whose only
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
    // SAFETY: As above. `served` takes the argument that the probed function would have taken, and
    // returns to the same place with the same type; a second argument is added, in a register that
    // belongs to the called function.
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
    let Some(_in_use) = InUse::begin() else {
        return -(bindings::ENOSYS as ffi::c_long);
    };
    // SAFETY: `probed` passes a pointer that is valid while the reference is held, as the invariant
    // of `Syscalls` says.
    let inner = unsafe { &*inner };
    // SAFETY: The registers of the current task's user space.
    let user = unsafe { &*user };
    let arguments = [user.di, user.si, user.dx, user.r10, user.r8, user.r9];
    match inner.handler.call(user.orig_ax as u32, arguments) {
        Ok(value) => value,
        Err(error) => error.to_errno() as ffi::c_long,
    }
}
