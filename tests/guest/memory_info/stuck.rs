// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that nobody can look at.

use std::fs;
use std::process::Command;

use anyhow::{ensure, Result};
use workloads::Running;

use super::Loaded;
use crate::pf_stat::stuck::{self, while_stuck};
use crate::pf_stat::{start_cow, COW};
use crate::support::wait_until;

fn left_out() -> Result<u64> {
    let text = fs::read_to_string("/sys/module/memory_info/parameters/left_out")?;
    Ok(text.trim().parse()?)
}

#[test]
fn a_reset_leaves_out_whose_mmap_lock_nobody_gets() -> Result<()> {
    if !stuck::can_be() {
        return stuck::skip();
    }
    let mut loaded = Loaded::new()?;
    let mut cow = start_cow()?;
    assert_eq!(left_out()?, 0);
    while_stuck(&mut cow, || {
        let reset = ["-c", "echo RESET > /proc/memory_info"];
        let mut reset = Running::start(Command::new("sh").args(reset))?;
        wait_until("the RESET is done", || Ok(reset.try_wait()?.is_some()))?;
        ensure!(reset.wait()?.success(), "the RESET failed");
        Ok(())
    })?;
    assert_eq!(left_out()?, 1);
    let seen = loaded.info.program(COW.as_bytes())?;
    assert_eq!((seen.total, seen.valid), (0, 0), "{seen:?}");
    let seen = loaded.now(COW)?;
    assert_eq!(left_out()?, 0);
    assert!(seen.valid > 0, "{seen:?}");
    Ok(())
}
