// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers for which allocations and copies fail.

use std::io::Read as _;

use anyhow::{ensure, Result};
use pagelens::device::{Device, Question, Scope};
use workloads::Module;

use super::{all_of, holder, Loaded};
use crate::failing::{each_allocation, widen};

/// Asks, and reads to the end: the bytes, or what failed.
fn read_all(device: &Device, question: &Question<'_>) -> Result<usize, pagelens::Error> {
    let answer = device.snapshot(question)?;
    let (mut piece, mut all) = (vec![0; 5000], 0);
    loop {
        match answer.file().read(&mut piece) {
            Ok(0) => return Ok(all),
            Ok(count) => all += count,
            Err(source) => return Err(pagelens::Error::Device { source }),
        }
    }
}

#[test]
fn each_single_failure_is_told_and_the_next_question_is_answered() -> Result<()> {
    let _wide = widen()?;
    let loaded = Loaded::new()?;
    let mut holder = holder(&["rw:aa:10", "split:100"])?;
    let sharer: u32 = holder.ask("share")?.parse()?;
    holder.stop()?;
    let pids = [holder.pid(), sharer];
    let question = all_of(Scope::Pids(&pids));
    let whole = read_all(&loaded.device, &question)?;
    let failures = each_allocation(
        || read_all(&loaded.device, &question),
        |nth, result| {
            match result {
                Ok(read) => ensure!(read == whole, "failure {nth}: {read} of {whole} bytes"),
                Err(pagelens::Error::Device { source }) => {
                    let known = [libc::ENOMEM, libc::EFAULT, libc::ENFILE];
                    ensure!(
                        source.raw_os_error().is_some_and(|it| known.contains(&it)),
                        "{source}"
                    );
                }
                Err(other) => return Err(other.into()),
            }
            Ok(())
        },
    )?;
    ensure!(failures > 5, "only {failures} failed");
    assert_eq!(read_all(&loaded.device, &question)?, whole);
    Ok(())
}

#[test]
fn loading_fails_whole_or_not_at_all() -> Result<()> {
    let _wide = widen()?;
    let failures = each_allocation(
        || workloads::module::insert("pagelens", ""),
        |nth, result| {
            let node = std::fs::exists(pagelens::device::NODE)?;
            ensure!(
                node == result.is_ok(),
                "failure {nth}: {result:?}, node: {node}"
            );
            if result.is_ok() {
                workloads::module::remove("pagelens")?;
            }
            Ok(())
        },
    )?;
    ensure!(failures > 5, "only {failures} failed");
    drop(Module::load("pagelens", &[])?);
    Ok(())
}
