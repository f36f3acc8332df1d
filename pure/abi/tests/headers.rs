// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The C headers say what the Rust records and constants say: the C compiler is asked.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use abi::kshram::{self, Info, Label, Mappers, Slot};
use abi::memuse;
use abi::pf_stat::{self, PfStat};

/// Compiles assertions about a header; `Err` is what the compiler said.
fn compile(header: &str, assertions: &[(String, u64)]) -> Result<(), String> {
    let mut source = format!("#define _GNU_SOURCE\n#include <stddef.h>\n#include \"{header}\"\n");
    for (expression, value) in assertions {
        writeln!(
            source,
            "_Static_assert(({expression}) == {value}UL, \"{expression}\");"
        )
        .unwrap();
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{header}-{}.c", assertions.len()));
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

/// Adds the size of a record and the place of each field.
macro_rules! record {
    ($assertions:ident, $c:literal, $rust:ty, $($field:ident),+) => {
        $assertions.push(assertion(concat!("sizeof(struct ", $c, ")"), size_of::<$rust>()));
        $($assertions.push(assertion(
            concat!("offsetof(struct ", $c, ", ", stringify!($field), ")"),
            offset_of!($rust, $field),
        ));)+
    };
}

#[test]
fn kshram_h_has_the_numbers_of_the_records() {
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
    record!(
        assertions,
        "kshram_info",
        Info,
        slots,
        flags,
        max_bytes,
        changes
    );
    record!(
        assertions,
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
        assertions,
        "kshram_mappers",
        Mappers,
        index,
        capacity,
        pids,
        count,
        truncated
    );
    record!(assertions, "kshram_label", Label, index, reserved, label);
    compile("kshram.h", &assertions).unwrap();
}

#[test]
fn pf_stat_h_has_the_numbers_of_the_record() {
    let mut assertions = vec![
        assertion("PF_SET_PARAM_NR", pf_stat::NR_SET_PARAM as usize),
        assertion("PF_GET_INFO_NR", pf_stat::NR_GET_INFO as usize),
        assertion("PF_CLEANUP_NR", pf_stat::NR_CLEANUP as usize),
        assertion("MAX_SIZE_PF", pf_stat::MAX_AREAS),
    ];
    record!(
        assertions,
        "pf_stat",
        PfStat,
        nb_vma,
        cow_page_faults,
        vma_fault,
        vma_list_start,
        vma_list_end
    );
    compile("pf_stat.h", &assertions).unwrap();
}

#[test]
fn memuse_h_has_the_numbers_of_the_constants() {
    let kinds = [
        ("MEMUSE_ALL", memuse::ALL),
        ("MEMUSE_CALL_STACK", memuse::CALL_STACK),
        ("MEMUSE_KERNEL_STACK", memuse::KERNEL_STACK),
        ("MEMUSE_HEAP", memuse::HEAP),
        ("MEMUSE_THREAD_STACKS", memuse::THREAD_STACKS),
        ("MEMUSE_ANONYMOUS", memuse::ANONYMOUS),
        ("MEMUSE_FILE", memuse::FILE),
        ("MEMUSE_SHARED", memuse::SHARED),
        ("MEMUSE_VDSO", memuse::VDSO),
        ("MEMUSE_PAGE_TABLES", memuse::PAGE_TABLES),
        ("MEMUSE_SWAPPED", memuse::SWAPPED),
    ];
    let kinds = kinds.map(|(name, number)| assertion(name, number as usize));
    let assertions = [
        kinds.as_slice(),
        &[assertion("MEMUSE_NR", memuse::NR as usize)],
    ]
    .concat();
    compile("memuse.h", &assertions).unwrap();
}

#[test]
fn a_wrong_number_is_noticed() {
    for (header, name, wrong) in [
        ("kshram.h", "KSHRAM_GETSIZE", kshram::SETSIZE as usize),
        ("pf_stat.h", "PF_CLEANUP_NR", 388),
        ("memuse.h", "MEMUSE_NR", 442),
    ] {
        let said = compile(header, &[assertion(name, wrong)]).unwrap_err();
        assert!(said.contains(name), "{said}");
    }
}
