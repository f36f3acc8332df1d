// SPDX-License-Identifier: GPL-2.0
//! What the kernel calls, for a [`Device`]. These convert and do nothing else.

use super::{Core, Device};
use crate::sys;
use core::marker::PhantomData;
use kernel::{
    bindings, container_of,
    error::from_result,
    ffi::c_ulong,
    fs::File,
    iov::{IovIterDest, IovIterSource},
    mm::virt::VmaNew,
    prelude::*,
    sync::poll::PollTable,
    types::{ForeignOwnable, Opaque},
};

/// # Invariants
///
/// The kernel calls the functions for files of `Nodes<T>` only: `open` first, `release` last and
/// once, the others in between.
pub(super) struct Calls<T>(PhantomData<T>);

impl<T: Device> Calls<T> {
    pub(super) const OPS: &'static bindings::file_operations = &bindings::file_operations {
        owner: (&raw const bindings::__this_module).cast_mut(),
        open: Some(Self::open),
        release: Some(Self::release),
        unlocked_ioctl: Some(Self::ioctl),
        compat_ioctl: Some(Self::ioctl),
        get_unmapped_area: Some(Self::place),
        mmap: Some(Self::mmap),
        llseek: Some(Self::seek),
        read_iter: Some(Self::read),
        write_iter: Some(Self::write),
        poll: Some(Self::poll),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `file` is open, by the type invariant.
    unsafe fn state<'a>(file: *mut bindings::file) -> &'a T::Open {
        // SAFETY: `open` put the state there and `release` alone takes it away.
        unsafe { KBox::<T::Open>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// `file` is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: The inode is that of the file.
            let cdev = unsafe { sys::kx_inode_cdev(inode) };
            // SAFETY: The kernel found this `cdev` by the inode's number and holds a reference to
            // it; it is part of a `Core<T>`, as no other bears these operations.
            let core =
                unsafe { &*container_of!(cdev.cast::<Opaque<bindings::cdev>>(), Core<T>, cdev) };
            // SAFETY: Both were written before the `cdev` was added, or by the kernel.
            let index = unsafe { (*inode).i_rdev.wrapping_sub((*cdev).dev) };
            let state = core.device.open(index)?;
            // SAFETY: Nobody else uses the file yet.
            unsafe { (*file).private_data = state.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `file` is released.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` put the state there.
        drop(unsafe { KBox::<T::Open>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// `file` is open.
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: c_uint,
        argument: c_ulong,
    ) -> isize {
        from_result(|| {
            // SAFETY: The file is open, and this thread is in no `fdget_pos` section.
            let (state, file) = unsafe { (Self::state(file), File::from_raw_file(file)) };
            T::ioctl(state, file, command, argument)
        })
    }

    /// # Safety
    ///
    /// `file` is open.
    unsafe extern "C" fn place(
        file: *mut bindings::file,
        address: c_ulong,
        length: c_ulong,
        page: c_ulong,
        flags: c_ulong,
    ) -> c_ulong {
        // SAFETY: The file is open.
        match T::memory(unsafe { Self::state(file) }) {
            Some(memory) => memory.place(address, length, page, flags),
            // SAFETY: The file is open; this is what files without an own function get.
            None => unsafe { sys::mm_get_unmapped_area(file, address, length, page, flags) },
        }
    }

    /// # Safety
    ///
    /// `file` is open and `vma` is being set up for it.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By this function's requirements.
            let (state, vma) = unsafe { (Self::state(file), VmaNew::from_raw(vma)) };
            T::map(state, vma)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `file` is open.
    unsafe extern "C" fn seek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        from_result(|| {
            // SAFETY: The file is open.
            let len = T::len(unsafe { Self::state(file) })?;
            let len = i64::try_from(len).map_err(|_| EOVERFLOW)?;
            // SAFETY: The file is open.
            Ok(unsafe { bindings::fixed_size_llseek(file, offset, whence, len) })
        })
    }

    /// # Safety
    ///
    /// `kiocb` is of an open file, `iter` is for writing into.
    unsafe extern "C" fn read(kiocb: *mut bindings::kiocb, iter: *mut bindings::iov_iter) -> isize {
        from_result(|| {
            // SAFETY: By this function's requirements; both are this call's own.
            let (state, position, iter) = unsafe {
                let state = Self::state((*kiocb).ki_filp);
                (state, &mut (*kiocb).ki_pos, IovIterDest::from_raw(iter))
            };
            let from = u64::try_from(*position).map_err(|_| EINVAL)?;
            let done = T::read(state, from, iter)?;
            advance(position, done)
        })
    }

    /// # Safety
    ///
    /// `kiocb` is of an open file, `iter` is for reading from.
    unsafe extern "C" fn write(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        from_result(|| {
            // SAFETY: By this function's requirements; both are this call's own.
            let (state, position, iter) = unsafe {
                let state = Self::state((*kiocb).ki_filp);
                (state, &mut (*kiocb).ki_pos, IovIterSource::from_raw(iter))
            };
            let at = u64::try_from(*position).map_err(|_| EINVAL)?;
            // SAFETY: As above.
            let is_append = unsafe { sys::kx_is_append(kiocb) } != 0;
            let done = T::write(state, (!is_append).then_some(at), iter)?;
            advance(position, done)
        })
    }

    /// # Safety
    ///
    /// `file` is open; `table` is valid or NULL.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table,
    ) -> bindings::__poll_t {
        // SAFETY: By this function's requirements, and this thread is in no `fdget_pos` section.
        let (state, file, table) = unsafe {
            let state = Self::state(file);
            (state, File::from_raw_file(file), PollTable::from_raw(table))
        };
        T::poll(state, file, table)
    }
}

/// Moves a position by what was done, and returns that for the caller.
fn advance(position: &mut bindings::loff_t, done: usize) -> Result<isize> {
    *position = position.saturating_add(done as i64);
    isize::try_from(done).map_err(|_| EOVERFLOW)
}
