// SPDX-License-Identifier: GPL-2.0
//! Device nodes with an owner, a mode and a group.
//!
//! The owner is this module: an open descriptor keeps it loaded. Registering takes two steps,
//! because a descriptor that is opened while the module is still being initialised would be left
//! without code if that failed later: [`Prepared::new`] does what may fail for many reasons, and
//! [`Prepared::publish`], which should come last in a module's `init`, lets descriptors be opened
//! and only then announces the nodes to udev.
//!
//! `kernel::miscdevice` offers less: its nodes have no owner before Linux 7.3, and never a mode, a
//! group, `llseek` or `poll`.

mod calls;
mod node;
mod registry;

pub use registry::Registry;

use crate::{shmem::Memory, sys};
use calls::Calls;
use kernel::{
    bindings,
    error::{from_err_ptr, to_result},
    fs::File,
    iov::{IovIterDest, IovIterSource},
    mm::virt::VmaNew,
    prelude::*,
    str::CString,
    sync::poll::PollTable,
    types::Opaque,
};
use node::{Initialised, Node};

/// Who may use a node: what `stat` shows of it.
#[derive(Clone, Copy)]
pub struct Access {
    /// The permissions.
    pub mode: u16,
    /// The group, as a number of the initial user namespace.
    pub group: u32,
}

/// What the nodes do. The value itself is shared by all of them.
pub trait Device: Send + Sync + 'static {
    /// The state of a descriptor.
    type Open: Send + Sync + 'static;

    /// Somebody opens node `index`.
    ///
    /// # Errors
    ///
    /// Become those of `open`, as the errors of the others become those of their calls.
    fn open(&self, index: u32) -> Result<KBox<Self::Open>>;

    /// The same for programs of 32 and 64 bits: records have the same layout for both.
    ///
    /// # Errors
    ///
    /// [`ENOTTY`] for a command that does not exist.
    fn ioctl(open: &Self::Open, file: &File, command: u32, argument: usize) -> Result<isize>;

    /// The memory that [`Device::map`] maps; `None` if there is none.
    fn memory(open: &Self::Open) -> Option<&Memory>;

    /// Sets up a mapping. Runs with the mmap lock held: no access to user memory.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the node cannot be mapped.
    fn map(open: &Self::Open, vma: &VmaNew) -> Result;

    /// Where `SEEK_END` starts.
    ///
    /// # Errors
    ///
    /// [`ESPIPE`] if the node has no positions.
    fn len(open: &Self::Open) -> Result<u64>;

    /// Reads from a position on; returns how much.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the node cannot be read.
    fn read(open: &Self::Open, from: u64, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// Writes from a position on, or behind the end if there is none; returns how much.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the node cannot be written.
    fn write(open: &Self::Open, at: Option<u64>, from: &mut IovIterSource<'_>) -> Result<usize>;

    /// What is ready now (`POLLIN` and so on), after registering for what may change.
    fn poll(open: &Self::Open, file: &File, table: PollTable<'_>) -> u32;
}

/// Whether the descriptor was opened for writing.
pub fn is_writable(file: &File) -> bool {
    file.flags() & kernel::fs::file::flags::O_ACCMODE != kernel::fs::file::flags::O_RDONLY
}

/// The number that the current call's argument is, as the caller's C has it: a program of 32 bits has
/// only those.
pub fn signed(argument: usize) -> i64 {
    // SAFETY: Only looks at the current task.
    match unsafe { sys::kx_in_compat_syscall() } {
        0 => argument as i64,
        _ => i64::from(argument as i32),
    }
}

/// A folder of `/sys/class`.
///
/// # Invariants
///
/// Made by `class_create`; owned by this value.
struct Class(*mut bindings::class);

// SAFETY: A class belongs to no task.
unsafe impl Send for Class {}
// SAFETY: A shared `Class` is only pointed to.
unsafe impl Sync for Class {}

impl Class {
    fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is static. INVARIANT: Made here.
        from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) }).map(Self)
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: By the invariant; its devices are gone, as `Nodes` and `Prepared` see to.
        unsafe { bindings::class_destroy(self.0) };
    }
}

/// A range of device numbers.
///
/// # Invariants
///
/// Made by `alloc_chrdev_region`; owned by this value.
struct Region {
    first: bindings::dev_t,
    count: u32,
}

impl Region {
    fn new(name: &'static CStr, count: u32) -> Result<Self> {
        let mut first = 0;
        // SAFETY: The name is static and the number has room.
        to_result(unsafe {
            bindings::alloc_chrdev_region(&mut first, 0, count, name.as_char_ptr())
        })?;
        // INVARIANT: Made just above.
        Ok(Self { first, count })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::unregister_chrdev_region(self.first, self.count) };
    }
}

/// Waits, when it is dropped, until those who released a node have left this module's code: they report
/// the release from there, and may then be preempted on their last instructions. (The kernel waits for
/// interrupts and sections of RCU by itself before it frees a module.)
struct LastOut;

impl Drop for LastOut {
    fn drop(&mut self) {
        // SAFETY: May sleep here, as the waiting for the nodes does.
        unsafe { bindings::synchronize_rcu_tasks() };
    }
}

/// What open descriptors lead to.
#[pin_data]
struct Core<T> {
    #[pin]
    cdev: Opaque<bindings::cdev>,
    device: T,
}

// SAFETY: The kernel locks the `cdev`; it belongs to no task.
unsafe impl<T: Send> Send for Core<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for Core<T> {}

impl<T: Device> Core<T> {
    fn new(device: T) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                cdev <- Opaque::ffi_init(|cdev: *mut bindings::cdev| {
                    // SAFETY: There is room for a `cdev`, which `cdev_init` writes as a whole, and
                    // the operations are a constant of the module.
                    unsafe {
                        bindings::cdev_init(cdev, Calls::<T>::OPS);
                        (*cdev).owner = (&raw const bindings::__this_module).cast_mut();
                    }
                }),
                device,
            }),
            GFP_KERNEL,
        )
    }
}

/// Nodes that are there but that nobody can open yet.
///
/// The order of the fields is that in which they go away.
pub struct Prepared<T: Device> {
    nodes: KVec<Node>,
    _class: Class,
    region: Region,
    core: Pin<KBox<Core<T>>>,
    _last_out: LastOut,
}

impl<T: Device> Prepared<T> {
    /// Makes `count` nodes below `/dev`, of the class and with the driver's name `class`.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; [`EEXIST`] if a name is taken; [`EINVAL`] for a group that is none.
    pub fn new(
        class: &'static CStr,
        count: u32,
        name: impl Fn(u32) -> Result<CString>,
        access: Access,
        device: T,
    ) -> Result<Self> {
        if access.group == u32::MAX {
            return Err(EINVAL);
        }
        // Dropped last here, too.
        let last_out = LastOut;
        let core = Core::new(device)?;
        let region = Region::new(class, count)?;
        let class = Class::new(class)?;
        let mut nodes = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for index in 0..count {
            let number = region.first.checked_add(index).ok_or(EINVAL)?;
            let node = Initialised::new(class.0, number, &name(index)?, access)?;
            nodes.push(Node::add(node)?, GFP_KERNEL)?;
        }
        Ok(Self {
            nodes,
            _class: class,
            region,
            core,
            _last_out: last_out,
        })
    }

    /// Lets the nodes be opened.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; nobody opened any then.
    pub fn publish(self) -> Result<Nodes<T>> {
        let (first, count) = (self.region.first, self.region.count);
        // SAFETY: `cdev` was initialised by `Core::new` and stays until `Nodes` deletes it.
        to_result(unsafe { bindings::cdev_add(self.core.cdev.get(), first, count) })?;
        // INVARIANT: Added just above.
        let nodes = Nodes(self);
        for node in &nodes.0.nodes {
            node.announce();
        }
        Ok(nodes)
    }
}

/// Device nodes, there until this value is dropped.
///
/// # Invariants
///
/// The core's `cdev` was added.
pub struct Nodes<T: Device>(Prepared<T>);

impl<T: Device> Drop for Nodes<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant. Descriptors keep the module loaded and so this value alive: there
        // are none, and after this nobody can open one.
        unsafe { bindings::cdev_del(self.0.core.cdev.get()) };
    }
}
