// SPDX-License-Identifier: GPL-2.0
//! Files in /proc with a state of their own for every descriptor.
//!
//! Unloading: procfs lets no new call in once removal has begun, waits for those inside, and then
//! releases what is still open; later calls on such descriptors fail. So a descriptor keeps no
//! module loaded, and none of its code is called after [`ProcFile`] was dropped.
//!
//! That waiting cannot be interrupted, and a call may last as long as its caller likes: as long as
//! the user memory that it copies to does not come. So a call that may be long keeps the module in
//! use, which lets unloading fail at once. One that comes when unloading has begun, or before
//! loading is done, fails before it touches user memory.

use crate::sys::{self, ProcOps};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings,
    error::from_result,
    prelude::*,
    types::ForeignOwnable,
    uaccess::{UserPtr, UserSlice, UserSliceReader, UserSliceWriter},
};
use kx_base::{charged, in_use::InUse};

/// What a file does. The value itself is shared by all its descriptors.
pub trait Handler: Send + Sync + 'static {
    /// The state of a descriptor.
    type Open: Send + Sync + 'static;

    /// Somebody opens the file.
    ///
    /// # Errors
    ///
    /// Become those of `open`.
    fn open(&self) -> Result<Pin<KBox<Self::Open>>>;

    /// Length of what the descriptor reads, for seeks.
    ///
    /// # Errors
    ///
    /// Become those of `lseek`.
    fn len(open: &Self::Open) -> Result<usize>;

    /// Reads from `offset` on; returns how much was read.
    ///
    /// # Errors
    ///
    /// Become those of `read`.
    fn read(open: &Self::Open, offset: usize, to: &mut UserSliceWriter) -> Result<usize>;

    /// Takes one write as a whole. What is read next starts at the beginning.
    ///
    /// # Errors
    ///
    /// Become those of `write`.
    fn write(open: &Self::Open, from: UserSliceReader) -> Result;
}

/// A file in /proc, there until this value is dropped.
///
/// # Invariants
///
/// - `entry` is the file's entry, which this value owns.
/// - `handler` came out of `KBox::into_raw` and stays until the entry is gone.
pub struct ProcFile<T: Handler> {
    entry: NonNull<sys::ProcDirEntry>,
    handler: NonNull<T>,
}

// SAFETY: The entry may be removed from any task; the handler is `Send` and `Sync`.
unsafe impl<T: Handler> Send for ProcFile<T> {}
// SAFETY: A shared `ProcFile` gives no access to anything.
unsafe impl<T: Handler> Sync for ProcFile<T> {}

impl<T: Handler> ProcFile<T> {
    /// Creates `/proc/NAME`, owned by root, with the permissions of `mode`.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], also if the name is taken.
    pub fn new(name: &CStr, mode: u16, handler: T) -> Result<Self> {
        let handler = KBox::into_raw(KBox::new(handler, charged::flags())?);
        // SAFETY: All pointers are valid; the operations are a constant of the module, which
        // outlives the entry, and so does the handler by the second invariant. What `Calls`
        // requires is what procfs promises: no call but between a successful open and the release,
        // and none outside the life of the entry.
        let entry = unsafe {
            sys::proc_create_data(
                kernel::str::as_char_ptr_in_const_context(name),
                mode,
                core::ptr::null_mut(),
                Calls::<T>::OPS,
                handler.cast(),
            )
        };
        match (NonNull::new(entry), NonNull::new(handler)) {
            // INVARIANT: Both were made just above.
            (Some(entry), Some(handler)) => Ok(Self { entry, handler }),
            _ => {
                // SAFETY: Made by `into_raw` above, and without an entry nobody else has it.
                drop(unsafe { KBox::from_raw(handler) });
                Err(ENOMEM)
            }
        }
    }
}

impl<T: Handler> Drop for ProcFile<T> {
    fn drop(&mut self) {
        // SAFETY: By the first invariant the entry is ours. After this call nobody is in one of
        // our functions or will enter one.
        unsafe { sys::proc_remove(self.entry.as_ptr()) };
        // SAFETY: By the second invariant, and nobody uses the handler any more.
        drop(unsafe { KBox::from_raw(self.handler.as_ptr()) });
    }
}

/// What procfs calls, for a handler. These convert and do nothing else.
struct Calls<T>(PhantomData<T>);

type State<T> = Pin<KBox<<T as Handler>::Open>>;

impl<T: Handler> Calls<T> {
    const OPS: &'static ProcOps = &ProcOps {
        flags: 0,
        open: Self::open,
        read: Self::read,
        read_iter: None,
        write: Self::write,
        lseek: Self::lseek,
        release: Self::release,
        rest: [0; 9],
    };

    /// # Safety
    ///
    /// [`Self::open`] succeeded for `file`, which is not released while the state is in use.
    unsafe fn state<'a>(file: *mut bindings::file) -> &'a T::Open {
        // SAFETY: `open` put the state there; it is taken away by `release` only, which the
        // caller excludes.
        let state = unsafe { State::<T>::borrow((*file).private_data) };
        Pin::get_ref(state)
    }

    /// Calls `call` with the state, and keeps the module in use meanwhile. If the file is about to go,
    /// the answer is `gone`: what procfs has for this call where it is gone.
    ///
    /// # Safety
    ///
    /// As for [`Self::state`].
    unsafe fn in_use<R>(
        file: *mut bindings::file,
        gone: Error,
        call: impl FnOnce(&T::Open) -> Result<R>,
    ) -> Result<R> {
        let _in_use = InUse::begin().ok_or(gone)?;
        // SAFETY: By this function's requirements.
        call(unsafe { Self::state(file) })
    }

    /// # Safety
    ///
    /// `inode` is that of an entry whose data is a `T`, which stays until this returns, and `file` is
    /// being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: By this function's requirements the data is a `T` that stays.
            let handler = unsafe { &*sys::kx_pde_data(inode).cast::<T>() };
            let state = handler.open()?;
            // SAFETY: By this function's requirements nobody else uses the file yet.
            unsafe { (*file).private_data = state.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// [`Self::open`] succeeded for `file`, and this is the last call for it.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` put the state there, and by this function's requirements nobody uses it
        // any more.
        drop(unsafe { State::<T>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// [`Self::open`] succeeded for `file`, which is not released, and `position` is valid.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        to: *mut c_char,
        len: usize,
        position: *mut bindings::loff_t,
    ) -> isize {
        let read = |state: &T::Open| {
            // SAFETY: By this function's requirements.
            let position = unsafe { &mut *position };
            let offset = usize::try_from(*position).map_err(|_| EINVAL)?;
            let mut to = UserSlice::new(UserPtr::from_ptr(to.cast()), len).writer();
            let count = T::read(state, offset, &mut to)?;
            *position = position.saturating_add(count as bindings::loff_t);
            Ok(count as isize)
        };
        // SAFETY: By this function's requirements.
        from_result(|| unsafe { Self::in_use(file, EIO, read) })
    }

    /// # Safety
    ///
    /// As for [`Self::read`].
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        from: *const c_char,
        len: usize,
        position: *mut bindings::loff_t,
    ) -> isize {
        let write = |state: &T::Open| {
            let from = UserSlice::new(UserPtr::from_ptr(from.cast_mut().cast()), len).reader();
            T::write(state, from)?;
            // SAFETY: By this function's requirements.
            unsafe { *position = 0 };
            isize::try_from(len).map_err(|_| EINVAL)
        };
        // SAFETY: By this function's requirements.
        from_result(|| unsafe { Self::in_use(file, EIO, write) })
    }

    /// # Safety
    ///
    /// [`Self::open`] succeeded for `file`, which is not released.
    unsafe extern "C" fn lseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        let seek = |state: &T::Open| {
            let size = T::len(state)? as bindings::loff_t;
            // SAFETY: By this function's requirements.
            Ok(unsafe { bindings::fixed_size_llseek(file, offset, whence, size) })
        };
        // SAFETY: By this function's requirements.
        let position = unsafe { Self::in_use(file, EINVAL, seek) };
        position.unwrap_or_else(|error: Error| error.to_errno().into())
    }
}
