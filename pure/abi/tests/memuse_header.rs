// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The C header of `memuse` has the numbers of the Rust constants: the C compiler is asked.

use std::path::Path;
use std::process::Command;

use abi::memuse;

/// Compiles a C file that includes the header and asserts these values.
fn compiles(name: &str, values: &[(&str, i64)]) -> bool {
    let mut source = String::from("#define _GNU_SOURCE\n#include \"memuse.h\"\n");
    for (constant, value) in values {
        source += &format!("_Static_assert({constant} == {value}, \"{constant}\");\n");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .args([&include, &file])
        .output()
        .expect("a C compiler `cc`, which links Rust programs too")
        .status
        .success()
}

#[test]
fn the_header_has_the_numbers_of_the_constants() {
    let values = [
        ("MEMUSE_NR", memuse::NR as i64),
        ("MEMUSE_ALL", memuse::ALL.into()),
        ("MEMUSE_CALL_STACK", memuse::CALL_STACK.into()),
        ("MEMUSE_KERNEL_STACK", memuse::KERNEL_STACK.into()),
        ("MEMUSE_HEAP", memuse::HEAP.into()),
        ("MEMUSE_THREAD_STACKS", memuse::THREAD_STACKS.into()),
        ("MEMUSE_ANONYMOUS", memuse::ANONYMOUS.into()),
        ("MEMUSE_FILE", memuse::FILE.into()),
        ("MEMUSE_SHARED", memuse::SHARED.into()),
        ("MEMUSE_VDSO", memuse::VDSO.into()),
        ("MEMUSE_PAGE_TABLES", memuse::PAGE_TABLES.into()),
        ("MEMUSE_SWAPPED", memuse::SWAPPED.into()),
    ];
    assert!(compiles("memuse-right.c", &values));
    assert!(!compiles("memuse-wrong.c", &[("MEMUSE_NR", 442)]));
}
