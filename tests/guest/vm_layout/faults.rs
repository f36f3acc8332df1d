// SPDX-License-Identifier: MIT OR Apache-2.0
//! Allocations that fail while the module is loaded and reports.

use std::io::ErrorKind;

use anyhow::{Context, Result};
use workloads::{layout_of, module, Workload};

use crate::failing::{widen, Switch};

/// Allocations that loading makes after the module's own, and some to spare.
const LAST: usize = 60;
/// More than loading has chances to fail.
const NEVER: usize = 1_000_000;

/// Loads with the `nth` chance to fail taken. Returns whether it was loaded all the same, and how
/// many chances were left.
fn load(switch: &Switch, parameters: &str, nth: usize) -> Result<(bool, usize)> {
    let (result, left) =
        switch.during(&nth.to_string(), || module::insert("vm_layout", parameters))?;
    let loaded = match result {
        Ok(()) => {
            module::remove("vm_layout")?;
            true
        }
        Err(error) if error.kind() == ErrorKind::OutOfMemory => false,
        Err(error) => return Err(error).with_context(|| format!("chance {nth}")),
    };
    Ok((loaded, left))
}

/// The loader's own allocations come first and are the kernel's business: what fails here are the
/// last ones, the module's among them.
#[test]
fn each_of_the_last_allocations_that_fails_ends_in_enomem() -> Result<()> {
    let _wide = widen()?;
    let holder = Workload::start("holder", &["rw:aa:10"])?;
    let address = pagelens::layout::from_proc(holder.pid())?
        .segments
        .stack
        .end
        - 8;
    let parameters = format!("pid={} address={address}", holder.pid());
    let switch = Switch::open("fail-nth")?;
    load(&switch, &parameters, NEVER)?; // what is allocated only once
    let (loaded, left) = load(&switch, &parameters, NEVER)?;
    assert!(loaded);
    let chances = NEVER - left;
    let mut failures = 0;
    for nth in chances.saturating_sub(LAST).max(1)..=chances {
        let (loaded, _) = load(&switch, &parameters, nth)?;
        failures += usize::from(!loaded);
    }
    println!("{chances} chances to fail, {failures} of the last {LAST} ended in ENOMEM");
    // Room for the VMAs, for a name, for the table and for the walk.
    assert!(failures >= 4);
    assert_eq!(layout_of(holder.pid())?.pid, holder.pid());
    Ok(())
}
