// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page tables against what the machine says of itself, and against a program that knows its own
//! mappings: this one. The lab runs these tests again with four levels and page-table isolation.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{ensure, Result};
use pagelens::layout::{from_proc, Question, Report, ShownStep, What};
use rustix::mm::{Advice, MprotectFlags};
use workloads::map::{Map, HUGE_PAGE, PAGE};
use workloads::{layout_of, SysSetting, Workload, VM_LAYOUT};

use crate::runner::skip;

/// The entries on the way to an address of this process.
fn walk(address: usize) -> Result<Vec<ShownStep>> {
    let question = Question::of(std::process::id()).address(address as u64);
    let report = question.unmask().ask(VM_LAYOUT)?;
    check_way(&report, address);
    Ok(report.walk)
}

/// The levels come in order, each with the index that the address has there, and each but the last
/// points to the next.
fn check_way(report: &Report, address: usize) {
    let names = ["pgd", "p4d", "pud", "pmd", "pte"];
    let names = match report.table.levels {
        5 => names.to_vec(),
        _ => vec!["pgd", "pud", "pmd", "pte"],
    };
    let walk = &report.walk;
    assert!(!walk.is_empty() && walk.len() <= names.len(), "{walk:?}");
    for (depth, (step, name)) in walk.iter().zip(&names).enumerate() {
        assert_eq!(step.level, *name);
        let shift = 12 + 9 * (names.len() - 1 - depth);
        assert_eq!(step.index, address >> shift & 511, "{name}");
        let leads_on = matches!(step.entry.what, What::Table(Some(_)));
        assert_eq!(leads_on, depth + 1 < walk.len(), "{walk:?}");
    }
    let top = report
        .table
        .runs
        .iter()
        .find(|run| run.first == walk[0].index);
    assert_eq!(top.map(|run| run.entry.what), Some(walk[0].entry.what));
}

/// The physical address of a page of this process, as `pagemap` has it.
fn physical(address: usize) -> Result<u64> {
    let mut entry = [0; 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, (address / PAGE * 8) as u64)?;
    let entry = u64::from_ne_bytes(entry);
    ensure!(
        entry >> 63 == 1,
        "pagemap has nothing at {address:#x}: {entry:#x}"
    );
    Ok((entry & ((1 << 55) - 1)) * PAGE as u64)
}

/// Walks to a page of memory and compares its frame with pagemap. Returns the leaf.
fn leaf(address: usize, level: &str) -> Result<ShownStep> {
    let mut walk = walk(address)?;
    let leaf = walk.remove(walk.len() - 1);
    assert_eq!(leaf.level, level);
    let offset = match level {
        "pmd" => (address % HUGE_PAGE / PAGE * PAGE) as u64,
        _ => 0,
    };
    let expected = physical(address)? - offset;
    assert_eq!(leaf.entry.what, What::Page(Some(expected)), "{leaf:?}");
    Ok(leaf)
}

/// Pages that are small whatever the kernel's default.
fn small(pages: usize) -> Result<Map> {
    let mut map = Map::anonymous(pages, false)?;
    // A kernel without huge pages does not know the advice.
    let _ = map.advise(Advice::LinuxNoHugepage);
    Ok(map)
}

#[test]
fn a_written_page_is_writable_and_dirty() -> Result<()> {
    let mut map = small(3)?;
    map.touch_by_writing();
    for page in 0..3 {
        let leaf = leaf(map.address() + page * PAGE + 123, "pte")?;
        for word in [
            "present",
            "writable",
            "user",
            "accessed",
            "dirty",
            "no-execute",
        ] {
            assert!(leaf.entry.is(word), "no {word}: {leaf:?}");
        }
    }
    map.unmap()
}

#[test]
fn a_protected_page_is_read_only() -> Result<()> {
    let mut map = small(1)?;
    map.touch_by_writing();
    map.protect(MprotectFlags::READ)?;
    let leaf = leaf(map.address(), "pte")?;
    assert!(
        leaf.entry.is("read-only") && leaf.entry.is("present"),
        "{leaf:?}"
    );
    map.unmap()
}

#[test]
fn a_page_without_permission_is_there_and_inaccessible() -> Result<()> {
    let mut map = small(1)?;
    map.touch_by_writing();
    map.protect(MprotectFlags::empty())?;
    let leaf = leaf(map.address(), "pte")?;
    assert!(leaf.entry.is("inaccessible"), "{leaf:?}");
    assert!(
        !leaf.entry.is("present") && !leaf.entry.is("global"),
        "{leaf:?}"
    );
    map.unmap()
}

#[test]
fn read_only_memory_that_was_never_written_is_the_zero_page() -> Result<()> {
    let map = small(2)?;
    map.touch_by_reading();
    let leaves = [0, PAGE].map(|offset| leaf(map.address() + offset, "pte"));
    let [first, second] = leaves;
    let (first, second) = (first?, second?);
    assert_eq!(first.entry.what, second.entry.what);
    assert!(
        first.entry.is("read-only") && first.entry.is("soft9"),
        "{first:?}"
    );
    map.unmap()
}

#[test]
fn memory_that_was_never_touched_has_an_empty_entry() -> Result<()> {
    let mut map = small(1024)?;
    let walk_to = |page| walk(map.address() + page * PAGE);
    let before = walk_to(512)?;
    assert_eq!(before.last().map(|step| step.entry.what), Some(What::Empty));
    map.write_pages(|index, page| {
        if index == 512 {
            page[0] = 1;
        }
    });
    leaf(map.address() + 512 * PAGE, "pte")?;
    let neighbour = 512 ^ 1; // in the same table unless it begins between the two
    let after = walk(map.address() + neighbour * PAGE)?;
    assert_eq!(after.last().map(|step| step.entry.what), Some(What::Empty));
    map.unmap()
}

#[test]
fn a_huge_page_is_a_leaf_one_level_up() -> Result<()> {
    if !SysSetting::has_huge_pages() {
        return skip("this kernel has no transparent huge pages", &["rt"]);
    }
    let mut map = Map::huge(1)?;
    map.advise(Advice::LinuxHugepage)?;
    map.touch_by_writing();
    for offset in [0, 5 * PAGE + 1, HUGE_PAGE - 1] {
        let leaf = leaf(map.address() + offset, "pmd")?;
        assert!(
            leaf.entry.is("writable") && leaf.entry.is("dirty"),
            "{leaf:?}"
        );
    }
    map.unmap()
}

#[test]
fn code_may_be_executed() -> Result<()> {
    let address = walk as *const () as usize;
    let leaf = leaf(address, "pte")?;
    assert!(
        leaf.entry.is("execute") && leaf.entry.is("read-only"),
        "{leaf:?}"
    );
    Ok(())
}

#[test]
fn the_levels_are_those_of_the_machine() -> Result<()> {
    let report = layout_of(std::process::id())?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let has_la57 = cpuinfo.split_whitespace().any(|flag| flag == "la57");
    // The kernel clears the flag if it was told not to use it.
    assert_eq!(report.table.levels, if has_la57 { 5 } else { 4 });
    println!("{} levels", report.table.levels);
    Ok(())
}

#[test]
fn isolation_is_what_the_machine_says() -> Result<()> {
    let report = layout_of(std::process::id())?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let has_pti = cpuinfo.split_whitespace().any(|flag| flag == "pti");
    assert_eq!(report.table.is_isolated, has_pti);
    let user = report.table.runs.iter().filter(|run| run.is_user_half);
    for run in user.filter(|run| run.entry.what != What::Empty) {
        // With isolation the kernel may not execute the program's half: its own table says so.
        assert_eq!(run.entry.is("no-execute"), has_pti, "{run:?}");
        assert_eq!(run.entry.is("in-user-table"), has_pti, "{run:?}");
    }
    let kernel = report.table.runs.iter().filter(|run| !run.is_user_half);
    let hidden = kernel.filter(|run| run.entry.is("not-in-user-table"));
    assert_eq!(hidden.count() > 0, has_pti);
    println!("isolated: {has_pti}");
    Ok(())
}

#[test]
fn the_top_level_table_covers_what_is_mapped() -> Result<()> {
    let holder = Workload::start("holder", &["rw:aa:10"])?;
    let report = layout_of(holder.pid())?;
    let mappings = from_proc(holder.pid())?.mappings;
    let mut used = 0;
    for run in &report.table.runs {
        let (first, last) = run.addresses;
        let holds_some = mappings
            .iter()
            .any(|mapping| mapping.vma.span.start <= last && mapping.vma.span.end > first);
        let is_empty = run.entry.what == What::Empty;
        if run.is_user_half {
            assert_eq!(holds_some, !is_empty, "{run:?}");
            used += usize::from(holds_some);
        } else {
            assert!(!holds_some, "{run:?}");
        }
    }
    assert!(used > 0);
    // The kernel itself is in the last entry: its code is at 0xffffffff80000000 or above.
    let last = report.table.runs.last();
    assert!(last.is_some_and(|run| run.first == 511 && matches!(run.entry.what, What::Table(_))));
    Ok(())
}
