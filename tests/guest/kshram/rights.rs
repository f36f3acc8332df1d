// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may change what through the control device: whoever may write to the slot.

use std::fs::{self, Permissions};
use std::os::unix::fs::{chown, PermissionsExt};

use anyhow::Result;
use pagelens::kshram::Control;
use workloads::{Module, Workload};

const NOBODY: u32 = 65534;
const GROUP: u32 = 77;
const CHANGES: [&str; 3] = ["label:mine", "wipe", "seal"];

fn set_mode(slot: u32, mode: u32) -> Result<()> {
    let node = format!("/dev/kshram{slot}");
    Ok(fs::set_permissions(node, Permissions::from_mode(mode))?)
}

/// A user of a slot that is in the group alone.
fn member(slot: u32) -> Result<Workload> {
    let mut user = Workload::start("kshram_user", &[slot.to_string()])?;
    user.ask(&format!("become:{NOBODY}:{GROUP}"))?;
    Ok(user)
}

fn expect_refusal(user: &mut Workload, change: &str) {
    let refusal = user.ask(change).expect_err(change).to_string();
    assert!(refusal.contains("os error 13"), "{change}: {refusal}");
}

#[test]
fn a_group_changes_the_slots_that_it_may_write() -> Result<()> {
    let _module = Module::load("kshram", &["mode=0660", "group=77"])?;
    let control = Control::open()?;
    chown("/dev/kshram1", Some(0), Some(0))?;
    set_mode(2, 0o640)?;
    for slot in [1, 2] {
        let mut user = member(slot)?;
        for change in CHANGES {
            expect_refusal(&mut user, change);
        }
        assert_eq!(control.slot(slot)?.generation, 0);
    }
    for change in CHANGES {
        member(0)?.ask(change)?;
    }
    let slot = control.slot(0)?;
    assert_eq!(
        (&*slot.label, slot.is_sealed, slot.generation),
        ("mine", true, 3)
    );

    // What the administrator allows later counts.
    set_mode(2, 0o660)?;
    member(2)?.ask("wipe")?;
    chown("/dev/kshram1", Some(NOBODY), None)?;
    member(1)?.ask("wipe")?;
    assert_eq!(control.slot(1)?.generation, 1);
    Ok(())
}

#[test]
fn a_node_that_is_not_the_slots_counts_for_nothing() -> Result<()> {
    let _module = Module::load("kshram", &["mode=0660", "group=77"])?;
    let mut user = member(3)?;
    user.ask("wipe")?;
    fs::remove_file("/dev/kshram3")?;
    expect_refusal(&mut user, "wipe");
    std::os::unix::fs::symlink("/dev/kshram4", "/dev/kshram3")?;
    expect_refusal(&mut user, "wipe");
    fs::remove_file("/dev/kshram3")?;
    fs::hard_link("/dev/kshram4", "/dev/kshram3")?;
    expect_refusal(&mut user, "wipe");
    fs::remove_file("/dev/kshram3")?;
    fs::write("/dev/kshram3", "")?;
    set_mode(3, 0o666)?;
    expect_refusal(&mut user, "wipe");
    fs::remove_file("/dev/kshram3")?;
    Ok(())
}

#[test]
fn root_changes_everything() -> Result<()> {
    let _module = Module::load("kshram", &["mode=0", "slots=2"])?;
    let control = Control::open()?;
    fs::remove_file("/dev/kshram1")?;
    for slot in [0, 1] {
        control.label(slot, "root's")?;
        control.wipe(slot)?;
        control.seal(slot)?;
        assert_eq!(control.slot(slot)?.generation, 3);
    }
    Ok(())
}
