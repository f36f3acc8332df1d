// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The C header says what the Rust records say: the C compiler is asked.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use abi::kshram::{self, Info, Label, Mappers, Slot};

/// Compiles assertions about `kshram.h`; `Err` is what the compiler said.
fn compile(assertions: &[(String, u64)]) -> Result<(), String> {
    let mut source = String::from("#include <stddef.h>\n#include \"kshram.h\"\n");
    for (expression, value) in assertions {
        writeln!(
            source,
            "_Static_assert(({expression}) == {value}UL, \"{expression}\");"
        )
        .unwrap();
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("header-{}.c", assertions.len()));
    std::fs::write(&file, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .args([&include, &file])
        .output()
        .expect("a C compiler `cc`, which links Rust programs too");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn assertion(expression: &str, value: usize) -> (String, u64) {
    (expression.to_owned(), value as u64)
}

#[test]
fn the_header_has_the_numbers_of_the_records() {
    let mut assertions = vec![
        assertion("KSHRAM_GETSLOTS", kshram::GETSLOTS as usize),
        assertion("KSHRAM_GETSIZE", kshram::GETSIZE as usize),
        assertion("KSHRAM_SETSIZE", kshram::SETSIZE as usize),
        assertion("KSHRAM_FORCE_SHRINK", kshram::FORCE_SHRINK as usize),
        assertion("KSHRAM_CTL_INFO", kshram::CTL_INFO as usize),
        assertion("KSHRAM_CTL_SLOT", kshram::CTL_SLOT as usize),
        assertion("KSHRAM_CTL_MAPPERS", kshram::CTL_MAPPERS as usize),
        assertion("KSHRAM_CTL_LABEL", kshram::CTL_LABEL as usize),
        assertion("KSHRAM_CTL_SEAL", kshram::CTL_SEAL as usize),
        assertion("KSHRAM_CTL_WIPE", kshram::CTL_WIPE as usize),
        assertion("KSHRAM_SWAP", kshram::SWAP as usize),
        assertion("KSHRAM_SEALED", kshram::SEALED as usize),
        assertion("KSHRAM_LABEL_LEN", kshram::LABEL_LEN),
        assertion("KSHRAM_COMM_LEN", kshram::COMM_LEN),
        assertion("KSHRAM_MAPPERS_MAX", kshram::MAPPERS_MAX as usize),
    ];
    macro_rules! record {
        ($c:literal, $rust:ty, $($field:ident),+) => {
            assertions.push(assertion(concat!("sizeof(struct ", $c, ")"), size_of::<$rust>()));
            $(assertions.push(assertion(
                concat!("offsetof(struct ", $c, ", ", stringify!($field), ")"),
                offset_of!($rust, $field),
            ));)+
        };
    }
    record!("kshram_info", Info, slots, flags, max_bytes, changes);
    record!(
        "kshram_slot",
        Slot,
        index,
        flags,
        size,
        resident,
        generation,
        opens,
        mappings,
        sizer,
        reserved,
        sized_at,
        sizer_comm,
        label
    );
    record!(
        "kshram_mappers",
        Mappers,
        index,
        capacity,
        pids,
        count,
        truncated
    );
    record!("kshram_label", Label, index, reserved, label);
    compile(&assertions).unwrap();
}

#[test]
fn a_wrong_number_is_noticed() {
    let wrong = [assertion("KSHRAM_GETSIZE", kshram::SETSIZE as usize)];
    assert!(compile(&wrong).unwrap_err().contains("KSHRAM_GETSIZE"));
}
