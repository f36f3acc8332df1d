// SPDX-License-Identifier: GPL-2.0
//! Dereferences NULL on load, so that the lab can be seen to notice an oops.

use kernel::prelude::*;

module! {
    type: NullDeref,
    name: "null_deref",
    authors: ["Pagelens developers"],
    description: "Dereferences NULL on load: a test of the lab, not for use",
    license: "GPL",
}

struct NullDeref;

impl kernel::Module for NullDeref {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let nowhere = core::hint::black_box(core::ptr::null::<u8>());
        // SAFETY: There is none: the oops is what this module is for.
        let byte = unsafe { nowhere.read_volatile() };
        pr_info!("read {byte} from nowhere\n");
        Ok(Self)
    }
}
