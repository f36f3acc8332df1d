// SPDX-License-Identifier: GPL-2.0
//! Handlers at the entry of kernel functions.
//!
//! The function itself is not changed, and costs nothing once the probe is gone.
//! There are two kinds of probes:
//!
//! - a [`FunctionProbe`] is an fprobe without an exit handler. All fprobes share one entry in the
//!   kernel's tracing, which looks up whom to call.
//! - a [`HotProbe`] has an entry of its own (`struct ftrace_ops`) and is called without a lookup.
//!   It is faster, but takes longer to remove: the kernel then waits for every task that may have
//!   been preempted in it.
//!
//! # In a handler
//!
//! The probed function's caller may hold anything down to a page table's lock. So: no sleeping, no
//! allocation, no lock but a [`RawLock`](kx_base::rawlock::RawLock) that is never held around code
//! that is probed. In a `FunctionProbe`'s preemption is off, in a `HotProbe`'s it is as in the
//! function.

use crate::sys;
use core::mem::{self, ManuallyDrop};
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    ffi,
    prelude::*,
    types::Opaque,
};
use kx_base::in_use;

/// What happens at the entry of a function.
pub trait Hook: Send + Sync + 'static {
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
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Those of the probed function, as far as arguments are passed in them.
    regs: &'a bindings::pt_regs,
}

impl Entry<'_> {
    /// # Safety
    ///
    /// `regs` must come from the kernel and be valid as long as the value lives.
    unsafe fn new(regs: *mut bindings::ftrace_regs) -> Self {
        // SAFETY: By this function's requirements; `shim.c` asserts that the one structure
        // begins with the other.
        let regs = unsafe { &*regs.cast() };
        Self { regs }
    }

    /// The function's first argument.
    pub fn first<T>(&self) -> *mut T {
        self.regs.di as *mut T
    }

    /// The function's second argument.
    pub fn second<T>(&self) -> *mut T {
        self.regs.si as *mut T
    }
}

/// A probe that is registered as long as the value lives.
///
/// # Invariants
///
/// `inner.probe` is registered.
pub struct FunctionProbe<H: Hook> {
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
    pub fn new(hook: H) -> Result<Self> {
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
        // SAFETY: By the invariant it is registered. This waits for handlers that are running. It
        // fails for probes only that are not registered: where tracing has broken down, the kernel's
        // own entry goes on being called, but has forgotten ours.
        unsafe { sys::unregister_fprobe(&raw mut self.inner.probe) };
    }
}

/// The kernel's way in.
///
/// # Safety
///
/// Only for `FunctionProbe::new` to register.
unsafe extern "C" fn entered<H: Hook>(
    probe: *mut sys::Fprobe,
    _entry: ffi::c_ulong,
    _return: ffi::c_ulong,
    regs: *mut bindings::ftrace_regs,
    _data: *mut ffi::c_void,
) -> ffi::c_int {
    // SAFETY: Only `FunctionProbe::new` registers this function, with a probe that is the first
    // field of an `Inner<H>`; unregistering waits for handlers.
    let inner = unsafe { &*probe.cast::<Inner<H>>() };
    // SAFETY: The kernel's own, valid while the handler runs.
    let entry = unsafe { Entry::new(regs) };
    // SAFETY: The probe is on `H::FUNCTION` only.
    unsafe { inner.hook.entered(&entry) };
    0
}

/// A probe on a function that is called often; it is registered as long as the value lives.
///
/// # Invariants
///
/// `inner.ops` is registered.
pub struct HotProbe<H: Hook> {
    inner: ManuallyDrop<KBox<HotInner<H>>>,
}

/// The kernel knows its address: it must not move, and a `KBox`'s content does not.
#[repr(C)]
struct HotInner<H> {
    ops: Opaque<bindings::ftrace_ops>,
    hook: H,
}

// SAFETY: As for `FunctionProbe`.
unsafe impl<H: Hook> Send for HotProbe<H> {}
// SAFETY: Nothing can be done with a reference.
unsafe impl<H: Hook> Sync for HotProbe<H> {}

impl<H: Hook> HotProbe<H> {
    /// Hooks the function.
    ///
    /// # Errors
    ///
    /// [`ENOENT`] if the kernel has no such function or it cannot be traced; [`EBUSY`] if
    /// `kernel.ftrace_enabled` is 0; [`ENOMEM`].
    pub fn new(hook: H) -> Result<Self> {
        let ops = bindings::ftrace_ops {
            func: Some(hot_entered::<H>),
            // Until 7.2 `kernel.ftrace_enabled` would switch it off, and what it has to see would be
            // missed. With this the kernel refuses one of the two, whichever comes later.
            flags: bindings::FTRACE_OPS_FL_PERMANENT as ffi::c_ulong,
            ..Default::default()
        };
        let ops = Opaque::new(ops);
        let inner = KBox::new(HotInner { ops, hook }, GFP_KERNEL)?;
        let ops = inner.ops.get();
        let name = kernel::str::as_char_ptr_in_const_context(H::FUNCTION);
        // SAFETY: The name is a string; may sleep here.
        let address = from_err_ptr(unsafe { sys::kx_function_address(name) })? as usize;
        // By address: given a name, the kernel takes a failing allocation for success, and the
        // handler would be called for all functions.
        // SAFETY: The structure is zero but for the handler, as the kernel wants it, and stays where
        // it is until `drop`.
        let filtered = to_result(unsafe { bindings::ftrace_set_filter_ip(ops, address, 0, 1) });
        if let Err(error) = filtered {
            release(inner, Ok(()));
            return Err(error);
        }
        // SAFETY: As above; without a filter it would be called for all functions, but it has one.
        let registered = to_result(unsafe { bindings::register_ftrace_function(ops) });
        if let Err(error) = registered {
            // Tracing broke down over this function. What is patched then stays as it is.
            let unhooked = if error == ENODEV { registered } else { Ok(()) };
            release(inner, unhooked);
            return Err(error);
        }
        // INVARIANT: Registered just above.
        Ok(Self {
            inner: ManuallyDrop::new(inner),
        })
    }
}

impl<H: Hook> Drop for HotProbe<H> {
    fn drop(&mut self) {
        // SAFETY: It is not used afterwards.
        let inner = unsafe { ManuallyDrop::take(&mut self.inner) };
        // SAFETY: By the invariant it is registered. The kernel waits for handlers that are running
        // or were preempted.
        let unhooked = to_result(unsafe { bindings::unregister_ftrace_function(inner.ops.get()) });
        release(inner, unhooked);
    }
}

/// Frees what the kernel does not call any more. It fails to unhook a function once tracing has
/// broken down, for whatever reason, and goes on calling: then nothing may go, nor the module.
fn release<H: Hook>(inner: KBox<HotInner<H>>, unhooked: Result) {
    match unhooked {
        // SAFETY: It is not registered.
        Ok(()) => unsafe { bindings::ftrace_free_filter(inner.ops.get()) },
        Err(error) => {
            mem::forget(inner);
            in_use::for_ever(error);
        }
    }
}

/// The kernel's way in.
///
/// # Safety
///
/// Only for `HotProbe::new` to register.
unsafe extern "C" fn hot_entered<H: Hook>(
    _entry: ffi::c_ulong,
    _parent: ffi::c_ulong,
    ops: *mut bindings::ftrace_ops,
    regs: *mut bindings::ftrace_regs,
) {
    // SAFETY: Only `HotProbe::new` registers this function, with operations that are the first field
    // of a `HotInner<H>`; unregistering waits for handlers.
    let inner = unsafe { &*ops.cast::<HotInner<H>>() };
    // SAFETY: The kernel's own, valid while the handler runs.
    let entry = unsafe { Entry::new(regs) };
    // SAFETY: The filter lets nothing but `H::FUNCTION` through.
    unsafe { inner.hook.entered(&entry) };
}
