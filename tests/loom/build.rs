// SPDX-License-Identifier: GPL-2.0
//! Compiles the kernel's way of counting in a fast counter, with the models' words.

const HEADERS: &str = "../../kernel/kx/cow";

fn main() {
    println!("cargo:rerun-if-changed=count.c");
    println!("cargo:rerun-if-changed={HEADERS}/fast_counter.h");
    cc::Build::new()
        .file("count.c")
        .include(HEADERS)
        .opt_level(2)
        // A model that fails unwinds through it.
        .flag("-fexceptions")
        .warnings_into_errors(true)
        .compile("count");
}
