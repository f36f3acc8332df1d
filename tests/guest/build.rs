// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the C side of the interfaces, so that the tests can go through the C headers.

fn main() {
    println!("cargo::rerun-if-changed=memuse/memuse.c");
    println!("cargo::rerun-if-changed=../../pure/abi/include");
    cc::Build::new()
        .file("memuse/memuse.c")
        .include("../../pure/abi/include")
        .warnings_into_errors(true)
        .compile("headers");
}
