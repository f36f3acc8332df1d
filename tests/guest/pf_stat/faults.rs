// SPDX-License-Identifier: MIT OR Apache-2.0
//! Failing allocations, where the kernel can inject them (the debug kernel).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use anyhow::Result;
use pagelens::pf_stat;
use workloads::Module;

use super::{errno, ledger, start_cow, step, COW};

const FAIL_NTH: &str = "/proc/thread-self/fail-nth";

/// Runs `call` with its `nth` allocation failing; also tells whether that was reached.
fn with_failure<T>(switch: &File, nth: u32, call: impl FnOnce() -> T) -> Result<(T, bool)> {
    switch.write_all_at(nth.to_string().as_bytes(), 0)?;
    let result = call();
    let mut left = [0; 16];
    let length = switch.read_at(&mut left, 0)?;
    let was_reached = left[..length].starts_with(b"0");
    switch.write_all_at(b"0", 0)?;
    Ok((result, was_reached))
}

/// Fails each allocation of `call` in turn; asserts that it ends in ENOMEM or succeeds, and calls
/// `check` afterwards.
fn each_allocation<T: std::fmt::Debug>(
    call: impl Fn() -> Result<T, pagelens::Error>,
    check: impl Fn() -> Result<()>,
) -> Result<u32> {
    let switch = OpenOptions::new().read(true).write(true).open(FAIL_NTH)?;
    let mut failures = 0;
    for nth in 1..2000 {
        let (result, was_reached) = with_failure(&switch, nth, &call)?;
        if result.is_err() {
            assert_eq!(errno(result), libc::ENOMEM, "allocation {nth}");
            failures += 1;
        } else if !was_reached {
            return Ok(failures);
        }
        check()?;
    }
    panic!("no end of allocations");
}

#[test]
fn each_single_failing_allocation_ends_in_enomem_and_changes_nothing() -> Result<()> {
    if fs::metadata(FAIL_NTH).is_err() {
        println!("skipped: this kernel has no fault injection");
        return Ok(());
    }
    let _module = Module::load("pf_stat", &[])?;
    let failures = each_allocation(
        || pf_stat::set_param(COW.as_bytes()),
        || Ok(pf_stat::cleanup()?),
    )?;
    assert!(failures > 5, "only {failures} allocations failed");
    pf_stat::cleanup()?;

    pf_stat::set_param(b"first")?;
    let more = each_allocation(|| pf_stat::set_param(COW.as_bytes()), || Ok(()))?;
    assert!(more > 2, "only {more} allocations failed");
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    let failed = each_allocation(|| pf_stat::get_info(COW.as_bytes()), || Ok(()))?;
    assert!(failed > 2, "only {failed} allocations failed");
    let faults = pf_stat::get_info(COW.as_bytes())?;
    assert_eq!(faults.at(done.start), Some(100));
    assert_eq!(ledger(COW)?.generation, 1);
    Ok(())
}
