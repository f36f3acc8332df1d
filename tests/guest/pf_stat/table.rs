// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a copy-on-write fault and what is not, with exact counts.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use anyhow::Result;
use pagelens::pf_stat::{self, Ledger};
use workloads::process::rest;
use workloads::taskstats::{wpcopy, DelayAccounting};
use workloads::{SysSetting, Workload};

use crate::runner::skip;
use crate::support::Swap;

use super::{ledger, start_cow, step, tracking, Step, COW};

/// What a step adds to the ledger of everything.
fn difference(after: &Ledger, before: &Ledger) -> Ledger {
    Ledger {
        generation: after.generation,
        faults: after.faults - before.faults,
        copied: after.copied - before.copied,
        reused: after.reused - before.reused,
        zero_filled: after.zero_filled - before.zero_filled,
        split: after.split - before.split,
        first_write: after.first_write - before.first_write,
        remote: after.remote - before.remote,
        gone: after.gone - before.gone,
        unplaced: after.unplaced - before.unplaced,
        lost: after.lost - before.lost,
    }
}

/// The faults in the memory of a step.
fn in_area(step: Step) -> Result<u64> {
    let faults = pf_stat::get_info(COW.as_bytes())?;
    Ok(faults.at(step.start).expect("the memory is listed"))
}

/// Runs a step in a fresh program; asserts what is counted in its memory, and that of the program
/// and its child together as much was copied as the kernel says. Returns what the step added.
///
/// The kernel's own count leaves out copies during which its clock stood still (`delayacct_end`), so it
/// may be less. A guest whose host was too busy when it booted may have a clock that moves with
/// the ticks only: then nearly all are left out. Otherwise the row is done again.
fn row(text: &str, expected: u64) -> Result<Ledger> {
    for _ in 0..5 {
        let (after, copies) = row_once(text, expected)?;
        let counted = after.copied + after.zero_filled + unshared(text);
        assert!(copies <= counted, "{text}: WPCOPY {copies}; {after:?}");
        if copies == counted || copies < counted / 2 {
            return Ok(after);
        }
    }
    panic!("{text}: WPCOPY is always less, but not much");
}

/// What a step added, and what `WPCOPY` ought to say.
fn row_once(text: &str, expected: u64) -> Result<(Ledger, u64)> {
    let mut cow = start_cow()?;
    rest(cow.pid())?;
    let before = ledger(COW)?;
    let copies_before = wpcopy(cow.pid().into())?;
    let done = step(&mut cow, text)?;
    // Both go on after the answer, and copy pages that they share: the figures are read one after the
    // other.
    rest(cow.pid())?;
    if done.child != 0 {
        rest(u32::try_from(done.child)?)?;
    }
    let after = difference(&ledger(COW)?, &before);
    let mut copies = wpcopy(cow.pid().into())? - copies_before;
    if done.child != 0 {
        copies += wpcopy(done.child)?;
    }
    assert_eq!(in_area(done)?, expected, "{text}: {after:?}");
    Ok((after, copies + huge_fillings(text)))
}

/// `WPCOPY` counts the pages that KSM gives back, which nobody wrote to.
fn unshared(text: &str) -> u64 {
    text.strip_prefix("ksm ")
        .map_or(0, |count| count.parse().unwrap())
}

/// `WPCOPY` does not count the replacing of the huge zero page.
fn huge_fillings(text: &str) -> u64 {
    text.strip_prefix("huge-zero ")
        .map_or(0, |count| count.parse().unwrap())
}

/// Whether the kernel has a function to hook for them; clang inlines both.
fn shows_first_writes() -> Result<bool> {
    let symbols = std::fs::read_to_string("/proc/kallsyms")?;
    Ok(symbols.lines().any(|line| {
        let name = line.split(' ').nth(2).unwrap_or_default();
        ["do_cow_fault", "do_fault"].contains(&name)
    }))
}

/// The rows that do not depend on huge pages.
fn small_rows() -> Result<()> {
    assert!(row("child-writes 100", 100)?.copied >= 100);
    assert!(row("read-into 100", 100)?.copied >= 100);
    assert!(row("zero 100", 100)?.zero_filled >= 100);
    assert!(row("file-read 100", 100)?.copied >= 100);
    assert!(row("uffd-forked 100", 100)?.copied >= 100);
    let first_writes = row("file-first 100", 0)?.first_write;
    if shows_first_writes()? {
        assert!(first_writes >= 100);
    } else {
        assert_eq!(first_writes, 0);
    }
    for nothing in ["shared", "shared-soft", "soft", "protect", "uffd", "ksm"] {
        row(&format!("{nothing} 100"), 0)?;
    }
    Ok(())
}

/// The parent's child has ended: what that copied is known to nobody any more.
fn parent_row(text: &str, expected: u64) -> Result<Ledger> {
    let mut cow = start_cow()?;
    let before = ledger(COW)?;
    let done = step(&mut cow, text)?;
    assert_eq!(in_area(done)?, expected, "{text}");
    Ok(difference(&ledger(COW)?, &before))
}

fn all_rows() -> Result<()> {
    let _accounting = DelayAccounting::on()?;
    let _module = tracking(COW)?;
    small_rows()?;
    assert!(parent_row("parent-writes 100", 100)?.reused >= 100);
    Ok(())
}

#[test]
fn every_row_of_the_table_without_huge_pages() -> Result<()> {
    let _huge = SysSetting::huge_pages("never")?;
    all_rows()
}

#[test]
fn every_row_of_the_table_with_huge_pages() -> Result<()> {
    let _huge = SysSetting::huge_pages("always")?;
    all_rows()
}

#[test]
fn huge_pages_are_split_and_copied_by_the_small_page_or_taken_over_whole() -> Result<()> {
    let Some(_huge) = SysSetting::huge_pages("always")? else {
        return Ok(());
    };
    let _accounting = DelayAccounting::on()?;
    let _module = tracking(COW)?;
    // `huge` writes to each small page, the child to one of each huge page.
    assert_eq!(row("huge 2", 2)?.split, 2);
    let taken_over = parent_row("huge-parent 2", 2)?;
    assert_eq!(taken_over.split, 0, "{taken_over:?}");
    assert!(taken_over.reused >= 2, "{taken_over:?}");
    let filled = row("huge-zero 2", 2)?;
    assert_eq!((filled.zero_filled, filled.split), (2, 0));
    Ok(())
}

/// Copies are counted in an area without a lock once there was one; nothing else may be.
fn rows_after_a_copy() -> Result<()> {
    let _module = tracking(COW)?;
    for (step, expected) in [
        ("child-writes 100", 101),
        ("read-into 100", 101),
        ("zero 100", 100),
        ("soft 100", 1),
        ("protect 100", 1),
        ("uffd 100", 1),
        ("uffd-forked 100", 101),
        ("ksm 100", 1),
        ("parent-writes 100", 101),
        ("pinned 100", 51),
    ] {
        parent_row(&format!("warm {step}"), expected)?;
    }
    assert!(parent_row("warm zero 100", 100)?.zero_filled >= 99);
    assert!(parent_row("warm parent-writes 100", 101)?.reused >= 100);
    let pinned = parent_row("warm pinned 100", 51)?;
    // Those, and what the program needs for itself.
    assert!((50..90).contains(&pinned.reused), "{pinned:?}");
    Ok(())
}

#[test]
fn every_row_of_the_table_is_the_same_after_a_copy_in_the_area() -> Result<()> {
    for huge in ["never", "always"] {
        let _huge = SysSetting::huge_pages(huge)?;
        rows_after_a_copy()?;
    }
    Ok(())
}

#[test]
fn parts_of_a_huge_page_are_taken_over_when_nobody_else_has_them() -> Result<()> {
    let Some(_huge) = SysSetting::huge_pages("always")? else {
        return Ok(());
    };
    let _module = tracking(COW)?;
    // So many that what the program takes over elsewhere does not hide a page of each.
    let added = parent_row("huge-parts 30", 30 * 512)?;
    assert_eq!(added.split, 30, "{added:?}");
    assert!(added.reused >= 30 * 511, "{added:?}");
    Ok(())
}

#[test]
fn large_folios_are_taken_over_out_of_the_swap_cache() -> Result<()> {
    let Some(_no_huge_pages) = SysSetting::huge_pages("never")? else {
        return skip("this kernel has no large folios", &["rt"]);
    };
    let size = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled";
    let _folios = SysSetting::set(size, "always")?;
    let _swap = Swap::on()?;
    let _module = tracking(COW)?;
    // The first page of each folio finds it in the swap cache.
    let added = parent_row("swapped 4", 4 * 512)?;
    assert!(added.reused >= 4 * 512, "{added:?}");
    Ok(())
}

#[test]
fn what_another_task_writes_is_kept_apart() -> Result<()> {
    let _module = tracking(COW)?;
    for of_its_own in [0, 1] {
        another_task_writes(of_its_own)?;
    }
    Ok(())
}

/// After so many writes of the program itself.
fn another_task_writes(of_its_own: u64) -> Result<()> {
    let mut cow = start_cow()?;
    let held = step(&mut cow, "hold 100")?;
    step(&mut cow, &format!("write {of_its_own}"))?;
    let before = ledger(COW)?;
    let memory = OpenOptions::new()
        .write(true)
        .open(format!("/proc/{}/mem", cow.pid()))?;
    for page in of_its_own..40 {
        memory.write_all_at(b"x", held.start + page * 4096)?;
    }
    let added = difference(&ledger(COW)?, &before);
    let remote = 40 - of_its_own;
    assert_eq!((added.remote, added.faults), (remote, 0), "{added:?}");
    assert_eq!(in_area(held)?, of_its_own);
    // The other 60 are the program's own.
    step(&mut cow, "write 100")?;
    assert_eq!(in_area(held)?, 60 + of_its_own);
    Ok(())
}

#[test]
fn forced_copies_are_counted_exactly_from_one_to_eight_threads() -> Result<()> {
    let _huge = SysSetting::huge_pages("never")?;
    let _module = tracking(COW)?;
    let (pages, rounds) = if crate::support::is_long() {
        (20_000, 50)
    } else {
        (4_000, 5)
    };
    for threads in [1, 2, 4, 8] {
        let mut cow = start_cow()?;
        let done = step(&mut cow, &format!("threads {pages} {threads} {rounds}"))?;
        // The kernel begins a copy anew if the entry changed meanwhile, be it in its accessed bit:
        // that is counted again, and was seen once in four million copies.
        let forced = pages * rounds;
        let counted = in_area(done)?;
        let again = counted.checked_sub(forced);
        assert!(
            again.is_some_and(|again| again <= forced / 500_000),
            "{threads} threads: {counted} of {forced}"
        );
    }
    Ok(())
}

#[test]
fn faults_in_memory_that_is_gone_stay_in_the_total() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow: Workload = start_cow()?;
    let before = pf_stat::get_info(COW.as_bytes())?.total;
    let done = step(&mut cow, "grow 100")?;
    let faults = pf_stat::get_info(COW.as_bytes())?;
    assert_eq!(faults.at(done.start), None);
    assert!(faults.total >= before + 100);
    assert_eq!(ledger(COW)?.gone, 100);
    Ok(())
}
