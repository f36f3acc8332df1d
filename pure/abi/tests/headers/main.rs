// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! The C headers say what the Rust records and constants say: the C compiler is asked.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use abi::kshram::{self, Info, Label, Mappers, Slot};
use abi::memuse;
use abi::pagelens;
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

mod ram;

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
fn pagelens_h_has_the_numbers_of_the_records() {
    fn number(name: &str, value: impl TryInto<usize>) -> (String, u64) {
        assertion(name, value.try_into().ok().unwrap())
    }
    let mut assertions = vec![
        number("PAGELENS_VERSION", pagelens::VERSION),
        number("PAGELENS_SNAPSHOT", pagelens::SNAPSHOT),
        number("PAGELENS_COMM_LEN", pagelens::COMM_LEN),
        number("PAGELENS_PROTOCOL", pagelens::PROTOCOL),
        number("PAGELENS_CAPABILITIES", pagelens::CAPABILITIES),
        number(
            "PAGELENS_CAPABILITY_SNAPSHOT",
            pagelens::CAPABILITY_SNAPSHOT,
        ),
        number("PAGELENS_MISSING", pagelens::MISSING),
        number("PAGELENS_AVAILABLE", pagelens::AVAILABLE),
        number("PAGELENS_OWN_ONLY", pagelens::OWN_ONLY),
        number("PAGELENS_REFUSED", pagelens::REFUSED),
        number("PAGELENS_SCOPE_ALL", pagelens::SCOPE_ALL),
        number("PAGELENS_SCOPE_PIDS", pagelens::SCOPE_PIDS),
        number("PAGELENS_SCOPE_COMM", pagelens::SCOPE_COMM),
        number("PAGELENS_SCOPE_CGROUP", pagelens::SCOPE_CGROUP),
        number(
            "PAGELENS_SCOPE_PID_NAMESPACE",
            pagelens::SCOPE_PID_NAMESPACE,
        ),
        number("PAGELENS_DETAIL_COUNTERS", pagelens::DETAIL_COUNTERS),
        number("PAGELENS_DETAIL_ENTRIES", pagelens::DETAIL_ENTRIES),
        number("PAGELENS_DETAIL_FRAMES", pagelens::DETAIL_FRAMES),
        number("PAGELENS_WITH_VMAS", pagelens::WITH_VMAS),
        number("PAGELENS_WITH_NAMES", pagelens::WITH_NAMES),
        number("PAGELENS_PIDS_MAX", pagelens::PIDS_MAX),
        number("PAGELENS_KIND_BEGIN", pagelens::KIND_BEGIN),
        number("PAGELENS_KIND_PROCESS", pagelens::KIND_PROCESS),
        number("PAGELENS_KIND_VMA", pagelens::KIND_VMA),
        number("PAGELENS_KIND_NAME", pagelens::KIND_NAME),
        number("PAGELENS_KIND_MEMORY", pagelens::KIND_MEMORY),
        number("PAGELENS_KIND_LEFT_OUT", pagelens::KIND_LEFT_OUT),
        number("PAGELENS_KIND_END", pagelens::KIND_END),
        number("PAGELENS_PROCESS_KERNEL", pagelens::PROCESS_KERNEL),
        number("PAGELENS_PROCESS_TOLD", pagelens::PROCESS_TOLD),
        number(
            "PAGELENS_PROCESS_MAY_BE_TOLD",
            pagelens::PROCESS_MAY_BE_TOLD,
        ),
        number("PAGELENS_PROCESS_ENDED", pagelens::PROCESS_ENDED),
        number("PAGELENS_VMA_CHANGED", pagelens::VMA_CHANGED),
        number("PAGELENS_VMA_READ", pagelens::VMA_READ),
        number("PAGELENS_VMA_WRITE", pagelens::VMA_WRITE),
        number("PAGELENS_VMA_EXEC", pagelens::VMA_EXEC),
        number("PAGELENS_VMA_SHARED", pagelens::VMA_SHARED),
        number("PAGELENS_VMA_GROWS_DOWN", pagelens::VMA_GROWS_DOWN),
        number("PAGELENS_VMA_LOCKED", pagelens::VMA_LOCKED),
        number("PAGELENS_VMA_HUGETLB", pagelens::VMA_HUGETLB),
        number("PAGELENS_VMA_FRAMES", pagelens::VMA_FRAMES),
        number("PAGELENS_VMA_SHADOW_STACK", pagelens::VMA_SHADOW_STACK),
        number("PAGELENS_VMA_HEAP", pagelens::VMA_HEAP),
        number("PAGELENS_VMA_STACK", pagelens::VMA_STACK),
        number("PAGELENS_VMA_MERGEABLE", pagelens::VMA_MERGEABLE),
        number("PAGELENS_VMA_ANONYMOUS", pagelens::VMA_ANONYMOUS),
        number("PAGELENS_NAME_MAX", pagelens::NAME_MAX),
        number("PAGELENS_NAME_CUT", pagelens::NAME_CUT),
        number("PAGELENS_MEMORY_CHANGED", pagelens::MEMORY_CHANGED),
        number("PAGELENS_MEMORY_ENDED", pagelens::MEMORY_ENDED),
        number("PAGELENS_MEMORY_BUSY", pagelens::MEMORY_BUSY),
        number("PAGELENS_LEFT_OUT_REFUSED", pagelens::LEFT_OUT_REFUSED),
        number("PAGELENS_LEFT_OUT_BUSY", pagelens::LEFT_OUT_BUSY),
        number("PAGELENS_LEFT_OUT_ABSENT", pagelens::LEFT_OUT_ABSENT),
    ];
    record!(
        assertions,
        "pagelens_version",
        pagelens::Version,
        size,
        protocol,
        capabilities
    );
    record!(
        assertions,
        "pagelens_snapshot",
        pagelens::Snapshot,
        size,
        flags,
        scope,
        detail,
        pids,
        count,
        fd,
        comm
    );
    record!(
        assertions,
        "pagelens_header",
        pagelens::Header,
        len,
        kind,
        flags
    );
    record!(
        assertions,
        "pagelens_begin",
        pagelens::Begin,
        header,
        protocol,
        page_size,
        time,
        detail,
        flags
    );
    record!(
        assertions,
        "pagelens_process",
        pagelens::Process,
        header,
        pid,
        ppid,
        uid,
        threads,
        memory,
        cgroup,
        start_time,
        kernel_stacks,
        comm
    );
    record!(
        assertions,
        "pagelens_sums",
        pagelens::Sums,
        size,
        present,
        swapped,
        zero,
        special,
        moving,
        huge_2m,
        huge_1g,
        read_only,
        accessed,
        written,
        not_walked,
        corrupt,
        anonymous,
        file,
        shared_memory,
        large,
        ksm,
        lazy_free,
        referenced,
        private_clean,
        private_dirty,
        shared_clean,
        shared_dirty,
        pss,
        pss_anonymous,
        pss_file,
        pss_shared_memory,
        pss_dirty,
        pss_locked
    );
    record!(
        assertions,
        "pagelens_vma",
        pagelens::Vma,
        header,
        memory,
        start,
        end,
        offset,
        inode,
        dev_major,
        dev_minor,
        traits,
        reserved,
        sums
    );
    record!(assertions, "pagelens_name", pagelens::Name, header);
    record!(
        assertions,
        "pagelens_memory",
        pagelens::Memory,
        header,
        memory,
        rss_anonymous,
        rss_file,
        rss_shared_memory,
        swap,
        total,
        locked,
        hugetlb,
        page_tables,
        areas,
        sums
    );
    record!(
        assertions,
        "pagelens_left_out",
        pagelens::LeftOut,
        header,
        pid,
        reason
    );
    record!(
        assertions,
        "pagelens_end",
        pagelens::End,
        header,
        processes,
        memories,
        refused,
        busy,
        longest_lock,
        time
    );
    compile("pagelens.h", &assertions).unwrap();
}

#[test]
fn a_wrong_number_is_noticed() {
    for (header, name, wrong) in [
        ("kshram.h", "KSHRAM_GETSIZE", kshram::SETSIZE as usize),
        ("pf_stat.h", "PF_CLEANUP_NR", 388),
        ("memuse.h", "MEMUSE_NR", 442),
        ("pagelens.h", "sizeof(struct pagelens_vma)", 8),
        ("pagelens_ram.h", "PAGELENS_RAM_HOLE", 21),
    ] {
        let said = compile(header, &[assertion(name, wrong)]).unwrap_err();
        assert!(said.contains(name), "{said}");
    }
}
