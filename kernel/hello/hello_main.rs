// SPDX-License-Identifier: GPL-2.0
//! The smallest module: it greets when it is loaded and takes its leave when it is unloaded.
//!
//! It shows what every module here consists of: a `Kbuild` that names the crate root, the
//! [`module!`] declaration, parameters through [`kx`], and a type that registers in `init` and
//! undoes it in `drop`.
#![deny(unsafe_code)]

use kernel::{prelude::*, str::BStr};

module! {
    type: Hello,
    name: "hello",
    authors: ["Pagelens developers"],
    description: "Greets on load and says goodbye on unload",
    license: "GPL",
}

kx_param::string_param! {
    /// Whom to greet.
    static NAME: name[64] = "world";
    "Whom to greet (default: world)"
}

struct Hello;

impl kernel::Module for Hello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // `BStr` escapes what could forge a line of the log.
        pr_alert!("Hello, {}!\n", BStr::from_bytes(NAME.get()));
        Ok(Self)
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        pr_alert!("Goodbye, world.\n");
    }
}
