// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers for which allocations and copies fail.

use std::fs::File;
use std::io::Read as _;

use anyhow::{ensure, Result};
use pagelens::device::{ram, Device, Question, Scope};
use workloads::Module;

use super::ram::everything;
use super::{all_of, holder, Loaded};
use crate::failing::{each_allocation, widen};

/// Asks, and reads to the end: the bytes, or what failed.
fn read_all(device: &Device, question: &Question<'_>) -> Result<usize, pagelens::Error> {
    read_to_the_end(device.snapshot(question)?.file())
}

fn read_to_the_end(mut answer: &File) -> Result<usize, pagelens::Error> {
    let (mut piece, mut all) = (vec![0; 5000], 0);
    loop {
        match answer.read(&mut piece) {
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
                Err(error) => return is_a_failure(error),
            }
            Ok(())
        },
    )?;
    ensure!(failures > 5, "only {failures} failed");
    assert_eq!(read_all(&loaded.device, &question)?, whole);
    Ok(())
}

/// Makes sure that it is what a failed allocation or copy leads to.
fn is_a_failure(error: pagelens::Error) -> Result<()> {
    let pagelens::Error::Device { source } = error else {
        return Err(error.into());
    };
    let known = [libc::ENOMEM, libc::EFAULT, libc::ENFILE];
    ensure!(
        source.raw_os_error().is_some_and(|it| known.contains(&it)),
        "{source}"
    );
    Ok(())
}

#[test]
fn each_single_failure_of_a_ram_map_is_told_and_the_next_is_whole() -> Result<()> {
    let _wide = widen()?;
    let loaded = Loaded::new()?;
    // A few megabytes, so that it is not read for ever.
    let question = ram::Question {
        addresses: 0x100_0000..0x140_0000,
        ..everything()
    };
    let failures = each_allocation(
        || read_to_the_end(loaded.device.ram(&question)?.file()),
        |_, result| result.map_or_else(is_a_failure, |_| Ok(())),
    )?;
    ensure!(failures > 7, "only {failures} failed");
    let map = ram::Ram::read(loaded.device.ram(&question)?)?;
    assert_eq!(map.end.bytes, 4 << 20);
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
