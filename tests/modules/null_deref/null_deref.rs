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
        let nowhere = core::ptr::null::<u64>();
        let word: u64;
        // Not a pointer's `read`: a kernel with Rust's debug assertions would stop before it.
        // SAFETY: There is none: the oops is what this module is for.
        unsafe { core::arch::asm!("mov {}, [{}]", out(reg) word, in(reg) nowhere) };
        pr_info!("read {word} from nowhere\n");
        Ok(Self)
    }
}
