// SPDX-License-Identifier: GPL-2.0
//! Handlers at the entry of kernel functions.
//!
//! An [`FunctionProbe`] is an fprobe without an exit handler: the function itself is not changed,
//! and costs nothing once the probe is gone. [`watch`](crate::watch) builds typed events on it.
//!
//! # In a handler
//!
//! Preemption is off, and the probed function's caller may hold anything down to a page table's
//! lock. So: no sleeping, no allocation, no lock but a [`RawLock`](crate::rawlock::RawLock) that is
//! never held around code that is probed.

use crate::sys;
use core::marker::PhantomData;
use kernel::{error::to_result, ffi, prelude::*};

/// What happens at the entry of a function.
pub(crate) trait Hook: Send + Sync + 'static {
    /// The function's name.
    const FUNCTION: &'static CStr;

    /// Called at each entry.
    ///
    /// # Safety
    ///
    /// `entry` must be of the function that [`Self::FUNCTION`] names.
    unsafe fn entered(&self, entry: &Entry<'_>);
}

/// The entry of a probed function.
pub(crate) struct Entry<'a> {
    regs: *const sys::FtraceRegs,
    _during_the_handler: PhantomData<&'a ()>,
}

impl Entry<'_> {
    /// The function's argument with this number, of 0 to 5, as a pointer.
    pub(crate) fn pointer<T>(&self, number: u32) -> *mut T {
        // SAFETY: The registers are valid while the handler runs, which `self` does not outlive.
        (unsafe { sys::kx_ftrace_argument(self.regs, number) }) as *mut T
    }
}

/// A probe that is registered as long as the value lives.
///
/// # Invariants
///
/// `inner.probe` is registered.
pub(crate) struct FunctionProbe<H: Hook> {
    inner: KBox<Inner<H>>,
}

/// The kernel knows its address: it must not move, and a `KBox`'s content does not.
#[repr(C)]
struct Inner<H> {
    probe: sys::Fprobe,
    hook: H,
}

// SAFETY: The kernel allows to unregister a probe from any task; a hook is `Send` and `Sync`.
unsafe impl<H: Hook> Send for FunctionProbe<H> {}
// SAFETY: Nothing can be done with a reference.
unsafe impl<H: Hook> Sync for FunctionProbe<H> {}

impl<H: Hook> FunctionProbe<H> {
    /// Hooks the function.
    ///
    /// # Errors
    ///
    /// [`ENOENT`] if the kernel has no such function or it cannot be traced; [`ENOMEM`].
    pub(crate) fn new(hook: H) -> Result<Self> {
        let probe = sys::Fprobe {
            nmissed: 0,
            flags: 0,
            entry_data_size: 0,
            entry_handler: entered::<H>,
            exit_handler: None,
            hlist_array: core::ptr::null_mut(),
        };
        let mut inner = KBox::new(Inner { probe, hook }, GFP_KERNEL)?;
        let mut name = kernel::str::as_char_ptr_in_const_context(H::FUNCTION);
        // SAFETY: The probe stays where it is until `drop` has unregistered it; one name is passed.
        to_result(unsafe { sys::register_fprobe_syms(&raw mut inner.probe, &raw mut name, 1) })?;
        // INVARIANT: Registered just above.
        Ok(Self { inner })
    }
}

impl<H: Hook> Drop for FunctionProbe<H> {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is registered. This waits for handlers that are running.
        unsafe { sys::unregister_fprobe(&raw mut self.inner.probe) };
    }
}

unsafe extern "C" fn entered<H: Hook>(
    probe: *mut sys::Fprobe,
    _entry: ffi::c_ulong,
    _return: ffi::c_ulong,
    regs: *mut sys::FtraceRegs,
    _data: *mut ffi::c_void,
) -> ffi::c_int {
    // SAFETY: Only `FunctionProbe::new` registers this function, with a probe that is the first
    // field of an `Inner<H>`; unregistering waits for handlers.
    let inner = unsafe { &*probe.cast::<Inner<H>>() };
    let entry = Entry {
        regs,
        _during_the_handler: PhantomData,
    };
    // SAFETY: The probe is on `H::FUNCTION` only.
    unsafe { inner.hook.entered(&entry) };
    0
}
