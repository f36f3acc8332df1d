// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks in the memory, and programs that die or start again.

use std::process::Command;

use anyhow::{ensure, Context, Result};
use pagelens::kshram::{Control, Slot};
use workloads::{Module, Workload};

#[test]
fn processes_wait_for_each_other_with_mutex_and_condition() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let users = [0, 1].map(|_| -> Result<Workload> {
        let mut user = Workload::start("kshram_user", &["0"])?;
        user.ask("map")?;
        Ok(user)
    });
    let [first, second] = users;
    let (mut first, mut second) = (first?, second?);
    first.ask("create")?;
    for round in 1..=20 {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| second.ask(&format!("await:{round}")));
            assert_eq!(first.ask("update")?, "clean");
            waiting.join().expect("the thread ended")?;
            anyhow::Ok(())
        })?;
        (first, second) = (second, first);
    }
    Ok(())
}

#[test]
fn the_next_recovers_from_a_writer_that_was_killed() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut reader = Workload::start("kshram_user", &["0"])?;
    reader.ask("map")?;
    reader.ask("create")?;
    for round in 0..5 {
        let mut writer = Workload::start("kshram_user", &["0"])?;
        writer.ask("map")?;
        assert_eq!(writer.ask("update")?, "clean");
        writer.ask("tear")?; // holds the mutex now, in the middle of an update
        std::thread::scope(|scope| {
            // Waits for the mutex, or comes too late to wait: either way it must get it.
            let update = scope.spawn(|| reader.ask("update"));
            drop(writer); // SIGKILL
            assert_eq!(
                update.join().expect("the thread ended")?,
                "repaired",
                "{round}"
            );
            anyhow::Ok(())
        })?;
        assert_eq!(reader.ask("update")?, "clean");
    }
    Ok(())
}

/// Whether `kshram_cache` found its table, and the milliseconds that it took.
fn start_cache(megabytes: &str) -> Result<(bool, f64)> {
    let output = Command::new("kshram_cache")
        .args(["7", megabytes])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (state, time) = text.split_once(' ').context("two words")?;
    let time = time.trim().strip_suffix(" ms").context("a time")?.parse()?;
    Ok((state == "warm", time))
}

#[test]
fn a_cache_starts_warm() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    assert!(!start_cache("10")?.0);
    for _ in 0..3 {
        assert!(start_cache("10")?.0);
    }
    assert_eq!(Control::open()?.slot(7)?.label, "kshram_cache");
    assert!(!start_cache("11")?.0, "another size is another table");
    // A table that was not finished is none: the count is written last.
    let slot = Slot::open(7)?;
    slot.map()?.write(4, &[0; 4]);
    assert!(!start_cache("11")?.0);
    assert!(start_cache("11")?.0);
    Ok(())
}
