// SPDX-License-Identifier: GPL-2.0
//! One node: a `struct device` whose only purpose is to have devtmpfs and udev know it.

use super::Access;
use kernel::{
    bindings, container_of, error::to_result, ffi, prelude::*, str::CString, sync::Completion,
    types::Opaque,
};

/// A `struct device` that is not known to anybody yet.
#[pin_data(PinnedDrop)]
pub(super) struct Initialised {
    #[pin]
    device: Opaque<bindings::device>,
    #[pin]
    released: Completion,
    access: Access,
}

// SAFETY: The driver core locks the device; it belongs to no task.
unsafe impl Send for Initialised {}
// SAFETY: As above.
unsafe impl Sync for Initialised {}

impl Initialised {
    /// Makes one. `class` must stay until it is dropped.
    pub(super) fn new(
        class: *const bindings::class,
        number: bindings::dev_t,
        name: &CString,
        access: Access,
    ) -> Result<Pin<KBox<Self>>> {
        let device = Opaque::ffi_init(|device: *mut bindings::device| {
            // SAFETY: There is room for a device, which must be zero beforehand; the type is static.
            unsafe {
                device.write_bytes(0, 1);
                bindings::device_initialize(device);
                (*device).type_ = &TYPE.0;
                (*device).class = class;
                (*device).devt = number;
            }
        });
        let node = KBox::pin_init(
            pin_init!(Self {
                device <- device,
                released <- Completion::new(),
                access,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The device is initialised and nobody else knows it; the format takes a string.
        to_result(unsafe {
            bindings::dev_set_name(node.device.get(), c"%s".as_char_ptr(), name.as_char_ptr())
        })?;
        Ok(node)
    }
}

#[pinned_drop]
impl PinnedDrop for Initialised {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The reference is that of `device_initialize`.
        unsafe { bindings::put_device(self.device.get()) };
        // Somebody else may hold one a little longer, and our type's code with it.
        self.released.wait_for_completion();
    }
}

/// A node below `/dev`.
pub(super) struct Node(Pin<KBox<Initialised>>);

impl Node {
    /// Adds the node, without telling udev.
    pub(super) fn add(node: Pin<KBox<Initialised>>) -> Result<Self> {
        let device = node.device.get();
        // SAFETY: The device is initialised and nobody else knows it yet.
        to_result(unsafe {
            (*device).kobj.set_uevent_suppress(1);
            bindings::device_add(device)
        })?;
        Ok(Self(node))
    }

    /// Tells udev.
    pub(super) fn announce(&self) {
        let device = self.0.device.get();
        // SAFETY: The device is registered. The flag shares its word with others that change only
        // when it is added or removed, which is not now. An event that could not be sent has no
        // remedy, as in the driver core itself.
        unsafe {
            (*device).kobj.set_uevent_suppress(0);
            bindings::kobject_uevent(&raw mut (*device).kobj, bindings::kobject_action_KOBJ_ADD);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: `add` registered the device.
        unsafe { bindings::device_del(self.0.device.get()) };
    }
}

struct Type(bindings::device_type);

// SAFETY: Never written; its functions may be called by any task.
unsafe impl Sync for Type {}

static TYPE: Type = Type(bindings::device_type {
    devnode: Some(devnode),
    release: Some(release),
    ..pin_init::zeroed()
});

/// Where the device with the type [`TYPE`] lives.
///
/// # Safety
///
/// `device` is that of an [`Initialised`], which alone have the type.
unsafe fn owner<'a>(device: *const bindings::device) -> &'a Initialised {
    let device = device.cast_mut().cast::<Opaque<bindings::device>>();
    // SAFETY: By this function's requirements; the device goes away before its owner.
    unsafe { &*container_of!(device, Initialised, device) }
}

/// # Safety
///
/// As for [`owner`]; the other pointers are valid or NULL.
unsafe extern "C" fn devnode(
    device: *const bindings::device,
    mode: *mut bindings::umode_t,
    _user: *mut bindings::kuid_t,
    group: *mut bindings::kgid_t,
) -> *mut ffi::c_char {
    // SAFETY: By this function's requirements.
    let access = unsafe { owner(device) }.access;
    // SAFETY: As above.
    if let Some(mode) = unsafe { mode.as_mut() } {
        // Of a mode that is 0 as a whole, devtmpfs makes 0600.
        *mode = access.mode | bindings::S_IFCHR as bindings::umode_t;
    }
    // SAFETY: As above.
    if let Some(group) = unsafe { group.as_mut() } {
        *group = bindings::kgid_t { val: access.group };
    }
    core::ptr::null_mut()
}

/// # Safety
///
/// As for [`owner`]; nobody uses the device any more.
unsafe extern "C" fn release(device: *mut bindings::device) {
    // SAFETY: By this function's requirements.
    unsafe { owner(device) }.released.complete_all();
}
