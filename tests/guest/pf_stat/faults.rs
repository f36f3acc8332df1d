// SPDX-License-Identifier: MIT OR Apache-2.0
//! Failing allocations, where the kernel can inject them (the debug kernel).

use anyhow::Result;
use pagelens::pf_stat;
use workloads::Module;

use super::{errno, ledger, start_cow, step, COW};
use crate::failing::{self, not_within, widen, FAILSLAB, FAIL_PAGE_ALLOC};

/// Fails each allocation of `call` in turn; asserts that it ends in ENOMEM (or EFAULT) or succeeds,
/// and calls `check` afterwards.
fn each_allocation<T: std::fmt::Debug>(
    call: impl Fn() -> Result<T, pagelens::Error>,
    check: impl Fn() -> Result<()>,
) -> Result<u32> {
    failing::each_allocation(call, |nth, result| {
        if result.is_err() {
            // Copies from and to user space are made to fail, too.
            let errno = errno(result);
            let known = [libc::ENOMEM, libc::EFAULT];
            assert!(known.contains(&errno), "allocation {nth}: {errno}");
        }
        check()
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
        || Ok(pf_stat::cleanup()?),
    )?;
    assert!(failures > 5, "only {failures} allocations failed");

    pf_stat::set_param(b"first")?;
    let more = each_allocation(|| pf_stat::set_param(COW.as_bytes()), || Ok(()))?;
    // Few: what kmalloc refuses comes from vmalloc, for a program's tables.
    assert!(more > 0, "nothing failed");
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    let failed = each_allocation(|| pf_stat::get_info(COW.as_bytes()), || Ok(()))?;
    assert!(failed > 0, "nothing failed");
    let faults = pf_stat::get_info(COW.as_bytes())?;
    assert_eq!(faults.at(done.start), Some(100));
    assert_eq!(ledger(COW)?.generation, 1);
    Ok(())
}
