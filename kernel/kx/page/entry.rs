// SPDX-License-Identifier: GPL-2.0
//! What entries mean that only the running kernel can tell.

use crate::sys;
use model::pte::{Absent, Entry, Level};

/// Whether the resident set counts what an entry maps: present memory but for the zero pages and
/// what has no `struct page`; and pages on their way to another frame, or in a device.
#[inline]
pub fn is_in_rss(entry: Entry) -> bool {
    if entry.is_present() {
        !entry.is_special()
    } else {
        !entry.is_none() && absent(entry).is_in_rss()
    }
}

/// What an entry stands for that is neither empty nor present.
pub fn absent(entry: Entry) -> Absent {
    // SAFETY: Both only decode the number.
    let absent = unsafe {
        match entry.level {
            Level::Pte => sys::kx_pte_absent(entry.value),
            Level::Pmd => sys::kx_pmd_absent(entry.value),
            Level::Pud => return Absent::Nothing,
        }
    };
    match absent {
        sys::KX_SWAPPED => Absent::Swapped,
        sys::KX_MOVING => Absent::Moving,
        sys::KX_IN_DEVICE => Absent::InDevice,
        _ => Absent::Nothing,
    }
}

/// Whether an entry stands for a page that is on its way to another frame, so that it will soon map
/// that one. What a device keeps may stay with it for ever.
#[inline]
pub fn is_moving(entry: Entry) -> bool {
    !entry.is_present() && !entry.is_none() && absent(entry) == Absent::Moving
}

/// The bits of an entry that hold a physical address on this machine.
pub fn pfn_mask() -> u64 {
    // SAFETY: Reads a constant of the running kernel.
    unsafe { sys::kx_pfn_mask() }
}
