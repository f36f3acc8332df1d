// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything at once.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Result};
use pagelens::kshram::{Control, Slot};
use workloads::{Module, Running, Workload};

use crate::support::{is_long, shell, wait_until};

fn seconds() -> u64 {
    match is_long() {
        true => 60,
        false => 5,
    }
}

#[test]
fn eight_processes_do_everything_and_no_byte_is_wrong() -> Result<()> {
    let module = Module::load("kshram", &["slots=12"])?;
    let storm = Command::new("kshram_storm")
        .arg(seconds().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Meanwhile it cannot be unloaded.
    let control = Control::open()?;
    wait_until("a slot is open", || {
        Ok(control.all()?.iter().any(|slot| slot.opens > 0))
    })?;
    drop(control);
    ensure!(!shell("rmmod kshram")?.status.success(), "it was unloaded");
    let output = storm.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let counts = said.lines().filter_map(|line| line.strip_prefix("owner: "));
    let counts: Vec<&str> = counts.collect();
    assert_eq!(counts.len(), 4, "{said}");
    assert!(!counts.contains(&"0 operations"), "{said}");
    for slot in Control::open()?.all()? {
        assert_eq!((slot.opens, slot.mappings), (0, 0), "slot {}", slot.index);
    }
    module.unload()
}

#[test]
fn loading_and_unloading_races_with_users() -> Result<()> {
    let rounds = if is_long() { 40 } else { 8 };
    // Opens whatever is there, maps it, and goes on with the mapping alone.
    let user = "while true; do head -c 100 /dev/kshram0 > /dev/null 2>&1; cat /proc/kshram > /dev/null 2>&1; check_msg > /dev/null 2>&1; done";
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(Running::start(Command::new("sh").args(["-c", user]))?);
    }
    let mut unloaded = 0;
    for _ in 0..rounds {
        shell("modprobe kshram slots=3")?;
        std::thread::sleep(Duration::from_millis(20));
        unloaded += u32::from(shell("rmmod kshram")?.status.success());
    }
    drop(users);
    assert!(unloaded > 0, "a user was always in the way");
    // Those may still be about that the users had started.
    crate::support::wait_until("it is unloaded", || {
        shell("rmmod kshram")?;
        Ok(!std::path::Path::new("/sys/module/kshram").exists())
    })
}

#[test]
fn a_killed_process_does_not_hold_up_others() -> Result<()> {
    let _module = Module::load("kshram", &[])?;
    let mut user = Workload::start("kshram_user", &["0"])?;
    user.ask("resize:1000000")?;
    user.ask("map")?;
    user.stop()?; // it can do nothing, but others can
    let slot = Slot::open(0)?;
    slot.resize(2_000_000)?;
    slot.resize_by_force(10)?;
    Control::open()?.wipe(0)?;
    drop(user);
    slot.resize(5)?;
    Ok(())
}
