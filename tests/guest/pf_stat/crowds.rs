// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many processes at the same time.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{ensure, Result};
use pagelens::pf_stat;
use workloads::{SysSetting, Workload};

use super::{errno, ledger, start_cow, step, tracking, COW};
use crate::support::is_long;

/// Most living processes that are followed under one name.
const MOST: u64 = 32_768;

/// Children that write so many pages each, all of them alive, are counted to the last page.
fn crowd_is_exact(children: u64, pages: u64) -> Result<()> {
    let mut cow = start_cow()?;
    let done = step(&mut cow, &format!("crowd {children} {pages}"))?;
    let counted = pf_stat::get_info(COW.as_bytes())?.at(done.start);
    ensure!(
        counted == Some(children * pages),
        "{children} children, {pages} pages each: {counted:?} were counted"
    );
    Ok(())
}

#[test]
fn fifteen_hundred_living_children_are_counted_exactly() -> Result<()> {
    let _module = tracking(COW)?;
    crowd_is_exact(1500, 4)
}

#[test]
fn three_thousand_living_children_are_counted_exactly() -> Result<()> {
    let _module = tracking(COW)?;
    crowd_is_exact(3000, 4)
}

/// Where the copy of `cow` is that has another name.
const SLEEPERS: &str = "/tmp/sleepers";

/// A program of another name, run by a user without rights, that has so many sleeping children.
fn sleepers(children: u64) -> Result<Workload> {
    fs::copy("/usr/local/bin/cow", SLEEPERS)?;
    let mut command = Command::new(SLEEPERS);
    command.uid(65534).gid(65534);
    let mut sleepers = Workload::start_command(command)?;
    step(&mut sleepers, &format!("crowd {children} 1"))?;
    Ok(sleepers)
}

#[test]
fn a_crowd_under_one_name_does_no_harm_to_another() -> Result<()> {
    let _module = tracking("sleepers")?;
    pf_stat::set_param(COW.as_bytes())?;
    let _sleepers = sleepers(5000)?;
    let mut cow = start_cow()?;
    assert_eq!(ledger("sleepers")?.generation, 1);
    assert_eq!(ledger(COW)?.generation, 1);
    let done = step(&mut cow, "child-writes 100")?;
    assert_eq!(pf_stat::get_info(COW.as_bytes())?.at(done.start), Some(100));
    Ok(())
}

/// There are more processes than Debian lets a guest of this size have.
fn many_processes() -> Result<[SysSetting; 2]> {
    let set = |name| SysSetting::set(format!("/proc/sys/kernel/{name}"), "100000");
    Ok([set("threads-max")?, set("pid_max")?])
}

#[test]
fn as_many_as_are_followed_are_exact_and_the_others_are_lost() -> Result<()> {
    let _many = many_processes()?;
    let _module = tracking(COW)?;
    pf_stat::set_param(b"holder")?;
    let mut cow = start_cow()?;
    let children = if is_long() { MOST + 231 } else { 5000 };
    let done = step(&mut cow, &format!("crowd {children} 1"))?;
    // The program itself is one of them.
    let followed = children.min(MOST - 1);
    let counted = pf_stat::get_info(COW.as_bytes())?.at(done.start);
    assert_eq!(counted, Some(followed));
    assert_eq!(ledger(COW)?.lost, children - followed);

    // Another name is followed, the next execution of this one if there is room.
    let _holder = Workload::start::<&str>("holder", &[])?;
    assert_eq!(
        (ledger("holder")?.generation, ledger("holder")?.lost),
        (1, 0)
    );
    pf_stat::get_info(b"holder")?;
    let _second = start_cow()?;
    let second = ledger(COW)?;
    assert_eq!((second.generation, second.lost), (2, u64::from(is_long())));
    match pf_stat::get_info(COW.as_bytes()) {
        Ok(_) => assert!(!is_long()),
        lost => assert_eq!((errno(lost), second.faults), (libc::ENOMEM, 0)),
    }
    // Its children end one by one: all at once they keep the kernel busy for minutes.
    step(&mut cow, "areas 0")?;
    let _third = start_cow()?;
    assert_eq!(ledger(COW)?.lost, 0, "there is room again");
    Ok(())
}
