// SPDX-License-Identifier: MIT OR Apache-2.0
//! Failing allocations, where the kernel can inject them (the debug kernel).

use std::cell::Cell;

use anyhow::{ensure, Result};
use pagelens::pf_stat::{self, Ledger};
use workloads::Module;

use super::{errno, ledger, start_cow, step, COW};
use crate::failing::{self, not_within, widen, FAILSLAB, FAIL_PAGE_ALLOC};

/// Fails each allocation of `call` in turn; asserts that it ends in ENOMEM (or EFAULT) or succeeds,
/// and has `check` look at what it left, told whether it succeeded.
fn each_allocation<T: std::fmt::Debug>(
    call: impl Fn() -> Result<T, pagelens::Error>,
    check: impl Fn(bool) -> Result<()>,
) -> Result<u32> {
    failing::each_allocation(call, |nth, result| {
        let is_done = result.is_ok();
        if !is_done {
            // Copies from and to user space are made to fail, too.
            let errno = errno(result);
            let known = [libc::ENOMEM, libc::EFAULT];
            assert!(known.contains(&errno), "allocation {nth}: {errno}");
        }
        check(is_done)
    })
}

#[test]
fn each_single_failing_allocation_ends_in_enomem_and_changes_nothing() -> Result<()> {
    let _wide = widen()?;
    // The kernel does not look whether its trampoline became executable, and jumps there.
    let _bearable = [FAILSLAB, FAIL_PAGE_ALLOC]
        .map(|folder| not_within(folder, "arch_ftrace_update_trampoline"))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let _module = Module::load("pf_stat", &[])?;
    let failures = each_allocation(
        || pf_stat::set_param(COW.as_bytes()),
        |is_done| {
            assert_eq!(Ledger::of(COW)?.is_some(), is_done);
            Ok(pf_stat::cleanup()?)
        },
    )?;
    assert!(failures > 5, "only {failures} allocations failed");

    pf_stat::set_param(b"first")?;
    let is_tracked = Cell::new(false);
    let more = each_allocation(
        || pf_stat::set_param(COW.as_bytes()),
        |is_done| {
            is_tracked.set(is_tracked.get() || is_done);
            assert_eq!(Ledger::of(COW)?.is_some(), is_tracked.get());
            ensure!(Ledger::of("first")?.is_some(), "the other name is gone");
            Ok(())
        },
    )?;
    // Few: what kmalloc refuses comes from vmalloc, for a program's tables.
    assert!(more > 0, "nothing failed");
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    let failed = each_allocation(
        || pf_stat::get_info(COW.as_bytes()),
        |_| {
            let counted = pf_stat::get_info(COW.as_bytes())?.at(done.start);
            ensure!(counted == Some(100), "{counted:?}");
            Ok(())
        },
    )?;
    assert!(failed > 0, "nothing failed");
    assert_eq!(ledger(COW)?.generation, 1);
    Ok(())
}
