// SPDX-License-Identifier: MIT OR Apache-2.0
//! Callers that are to be frozen.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use anyhow::{ensure, Result};
use pagelens::Kind;
use workloads::Workload;

use super::{Loaded, PAGE};
use crate::memory_info::neighbours::Calls;
use crate::support::{wait_until, Cgroup};

#[test]
fn a_call_lets_itself_be_frozen_and_is_made_again_when_it_is_thawed() -> Result<()> {
    const FILE: &str = "/dev/shm/memuse-views";
    const PAGES: u64 = 256;
    const VIEWS: u64 = 4000;
    let loaded = Loaded::new()?;
    File::create(FILE)?.set_len(PAGES * PAGE)?;
    let holder = Workload::start("holder", &[format!("views:{FILE}:{VIEWS}")])?;
    fs::remove_file(FILE)?;
    holder.stop()?;
    let expected = loaded.call.bytes(holder.pid(), Kind::Shared)?;
    ensure!(expected >= VIEWS * PAGES * PAGE, "{expected} bytes");

    let group = Cgroup::new("memuse-freezer")?;
    // They leave the caller, who gives way to all, a hundredth of the time.
    let _busy = [
        Workload::start("storm", &["mprotect"])?,
        Workload::start("storm", &["mprotect"])?,
    ];
    // A walk asks for each area, and others hardly ever do.
    let areas = Calls::of("find_vma")?;
    let before = areas.count()?;
    let script = format!(
        "echo $$ > {} && exec nice -n 19 memuse-asm {} {}",
        group.file("cgroup.procs").display(),
        holder.pid(),
        Kind::Shared.number()
    );
    let call = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()?;
    wait_until("the call is under way", || {
        Ok(areas.count()? >= before + VIEWS / 8)
    })?;
    group.freeze(true)?;
    let looked_at = areas.count()? - before;
    ensure!(
        looked_at < VIEWS,
        "it was frozen only when it had looked at {looked_at} areas"
    );
    group.freeze(false)?;
    let output = call.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the call failed: {}",
        output.status
    );
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(answer.trim(), expected.to_string());
    let looked_at = areas.count()? - before - looked_at;
    ensure!(
        looked_at >= VIEWS,
        "only {looked_at} areas were looked at anew"
    );
    Ok(())
}
