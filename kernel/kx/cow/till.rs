// SPDX-License-Identifier: GPL-2.0
//! Where copies, the commonest faults by far, are counted without a lock: [`model::till`] for the
//! programs of one name.
//!
//! What is plain enough to be counted here is told, and counted, in C at the entry of the fault
//! (`kx_count_copy`).

use crate::lockless::Shared;
use core::{mem::offset_of, ops::Deref};
use kernel::prelude::*;
use kx_mm::task::Comm;
use pin_init::init_from_closure;

/// See the module's documentation; `struct kx_till`, and behind it what C does not know.
#[repr(C, align(64))]
pub(crate) struct Till {
    comm: Comm,
    counts: model::till::Till<Shared>,
}

// `till.h` has the same.
const _: () = assert!(offset_of!(Till, counts) == 16 && size_of::<Shared>() == 8);

impl Till {
    /// A closed till of the programs of this name. It is made where it will lie: it is larger than a
    /// frame of the stack may be.
    pub(crate) fn new(comm: Comm) -> impl Init<Self> {
        let make = move |slot: *mut Self| {
            // SAFETY: `slot` is memory for a till, which is a name, words that are valid when they are
            // 0, and room between them; and nobody else's yet.
            let till = unsafe {
                slot.write_bytes(0, 1);
                &mut *slot
            };
            till.comm = comm;
            till.counts.close_zeroed();
            Ok(())
        };
        // SAFETY: After the closure the slot holds a till. It never fails, and a till may be moved.
        unsafe { init_from_closure(make) }
    }

    /// The programs' name.
    pub(crate) fn comm(&self) -> &Comm {
        &self.comm
    }
}

impl Deref for Till {
    type Target = model::till::Till<Shared>;

    fn deref(&self) -> &Self::Target {
        &self.counts
    }
}
