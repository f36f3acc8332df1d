// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs whose pages are known must have no read-only pages of their own that are equal in two
//! processes. With RELRO, whether the last such page has anything but constants is a matter of chance.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,-z,norelro");
}
