// SPDX-License-Identifier: GPL-2.0
//! Private declarations of the C side: what `shim.h` offers.

use kernel::ffi;

// `shim.h`
extern "C" {
    pub(crate) fn kx_ram_next(pfn: ffi::c_ulong) -> ffi::c_ulong;
    pub(crate) fn kx_ram_look(
        pfn: ffi::c_ulong,
        end: ffi::c_ulong,
        wanted: ffi::c_uint,
        runs: *mut Run,
        room: ffi::c_uint,
        next: *mut ffi::c_ulong,
    ) -> ffi::c_uint;
    pub(crate) fn kx_ram_name(
        run: *const Run,
        buffer: *mut ffi::c_char,
        len: ffi::c_uint,
        at: *mut ffi::c_uint,
    ) -> ffi::c_uint;
    pub(crate) fn kx_ram_node(from: ffi::c_int, counters: *mut Counters) -> ffi::c_int;
}

/// `enum kx_ram_wanted` of `shim.h`.
pub(crate) const KX_RAM_GROUPS: ffi::c_uint = 1;
pub(crate) const KX_RAM_FILES: ffi::c_uint = 2;

/// `enum kx_ram_named` of `shim.h`.
pub(crate) const KX_RAM_NAMED: ffi::c_uint = 1;
pub(crate) const KX_RAM_DELETED: ffi::c_uint = 2;
pub(crate) const KX_RAM_TOO_LONG: ffi::c_uint = 3;

/// `struct kx_ram_run` of `shim.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    pub(crate) pfn: u64,
    pub(crate) facts: u64,
    pub(crate) cgroup: u64,
    pub(crate) inode: u64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) magic: u32,
    pub(crate) node: u32,
    pub(crate) zone: u32,
    pub(crate) order: u32,
    pub(crate) frames: u64,
    pub(crate) mappings: u64,
}

const _: () = assert!(size_of::<Run>() == 72);

/// `struct kx_ram_node` of `shim.h`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) present: u64,
    pub(crate) vmalloc: u64,
    pub(crate) kernel_stacks: u64,
    pub(crate) page_tables: u64,
    pub(crate) secondary_page_tables: u64,
}

/// `enum kx_ram_zone` of `shim.h`.
pub(crate) const KX_RAM_ZONE_DMA: u32 = 0;
pub(crate) const KX_RAM_ZONE_DMA32: u32 = 1;
pub(crate) const KX_RAM_ZONE_NORMAL: u32 = 2;
pub(crate) const KX_RAM_ZONE_MOVABLE: u32 = 3;
/// A run's node if it has none.
pub(crate) const KX_RAM_NODE_NONE: u32 = 4294967295;
