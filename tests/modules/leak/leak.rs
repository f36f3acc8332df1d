// SPDX-License-Identifier: GPL-2.0
//! Loses an allocation on load, so that the lab can be seen to notice a leak.

use kernel::prelude::*;

module! {
    type: Leak,
    name: "leak",
    authors: ["Pagelens developers"],
    description: "Leaks memory on load: a test of the lab, not for use",
    license: "GPL",
}

struct Leak;

impl kernel::Module for Leak {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // More than one, because a stale register or stack slot may still point to the last.
        for _ in 0..8 {
            core::mem::forget(KBox::new([0xA5_u8; 192], GFP_KERNEL)?);
        }
        Ok(Self)
    }
}
