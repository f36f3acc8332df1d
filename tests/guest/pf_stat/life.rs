// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names, executions, children and ends of programs.

use std::process::Command;

use anyhow::Result;
use pagelens::pf_stat;
use workloads::{KernelLog, Module, SysSetting, Workload};

use super::{errno, errors_in, ledger, ranges, start_cow, step, tracking, COW};

#[test]
fn an_execution_under_the_name_starts_anew() -> Result<()> {
    let _module = tracking(COW)?;
    let mut first = start_cow()?;
    step(&mut first, "child-writes 500")?;
    assert_eq!(ledger(COW)?.generation, 1);
    assert!(ledger(COW)?.faults >= 500);
    let mut second = start_cow()?;
    assert_eq!(ledger(COW)?.generation, 2);
    assert!(ledger(COW)?.faults < 100);
    // The first one still runs, but is not the last executed.
    step(&mut first, "child-writes 500")?;
    assert!(ledger(COW)?.faults < 100);
    let done = step(&mut second, "child-writes 50")?;
    assert_eq!(pf_stat::get_info(COW.as_bytes())?.at(done.start), Some(50));
    Ok(())
}

#[test]
fn members_of_an_earlier_generation_are_not_counted_in_the_areas_of_the_last() -> Result<()> {
    let _same_addresses = SysSetting::set("/proc/sys/kernel/randomize_va_space", "0")?;
    let _module = tracking(COW)?;
    let mut first = start_cow()?;
    let old = step(&mut first, "hold 100")?;
    step(&mut first, "write 10")?;
    let mut second = start_cow()?;
    let new = step(&mut second, "hold 100")?;
    assert_eq!(old.start, new.start);
    step(&mut second, "write 20")?;
    step(&mut first, "write 100")?;
    assert_eq!(pf_stat::get_info(COW.as_bytes())?.at(new.start), Some(20));
    Ok(())
}

#[test]
fn what_was_counted_stays_when_the_program_has_ended() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    let done = step(&mut cow, "hold 100")?;
    step(&mut cow, "write 100")?;
    let running = pf_stat::get_info(COW.as_bytes())?;
    assert_eq!(running.at(done.start), Some(100));
    drop(cow);
    let ended = pf_stat::get_info(COW.as_bytes())?;
    assert_eq!(ended.areas.len(), running.areas.len());
    assert_eq!(ended.at(done.start), Some(100));
    let _second = start_cow()?;
    assert_eq!(ledger(COW)?.generation, 2);
    Ok(())
}

#[test]
fn a_name_that_was_never_executed_or_tracked_is_no_such_process() -> Result<()> {
    let _module = tracking(COW)?;
    assert_eq!(errno(pf_stat::get_info(b"cow")), libc::ESRCH);
    assert_eq!(errno(pf_stat::get_info(b"cat")), libc::ESRCH);
    pf_stat::cleanup()?;
    assert_eq!(errno(pf_stat::get_info(b"cow")), libc::ESRCH);
    Ok(())
}

#[test]
fn tracking_a_tracked_name_changes_nothing() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    step(&mut cow, "child-writes 100")?;
    let before = ledger(COW)?;
    pf_stat::set_param(COW.as_bytes())?;
    let after = ledger(COW)?;
    assert_eq!(after.generation, before.generation);
    assert!(after.faults >= before.faults);
    Ok(())
}

#[test]
fn several_names_are_counted_each_by_itself() -> Result<()> {
    let _module = tracking(COW)?;
    pf_stat::set_param(b"holder")?;
    let mut cow = start_cow()?;
    let mut holder = Workload::start("holder", &["rw:aa:200"])?;
    step(&mut cow, "child-writes 100")?;
    let before = ledger("holder")?.faults;
    holder.ask("fork")?;
    holder.ask("write")?;
    assert!(ledger("holder")?.faults >= before + 200);
    let faults = pf_stat::get_info(b"holder")?;
    assert!(faults.areas.iter().any(|area| area.faults == 200));
    assert!(ledger(COW)?.faults < 200);
    Ok(())
}

#[test]
fn a_program_that_takes_another_name_is_not_counted_under_it() -> Result<()> {
    let _module = tracking("holder")?;
    pf_stat::set_param(b"renamed")?;
    let mut holder = Workload::start("holder", &["--name", "renamed", "rw:aa:200"])?;
    holder.ask("fork")?;
    holder.ask("write")?;
    assert!(ledger("holder")?.faults < 200);
    assert_eq!(ledger("renamed")?.generation, 0);
    Ok(())
}

#[test]
fn nothing_is_counted_between_one_name_and_the_same_again() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    let held = step(&mut cow, "hold 100")?;
    let counted = || pf_stat::get_info(COW.as_bytes());
    for (name, pages, expected) in [("cow", 10, 10), ("calf", 60, 10), ("cow", 100, 50)] {
        cow.ask(&format!("rename {name}"))?;
        step(&mut cow, &format!("write {pages}"))?;
        assert_eq!(counted()?.at(held.start), Some(expected), "as {name}");
    }
    Ok(())
}

#[test]
fn a_program_bears_its_first_thread_s_name_even_when_that_has_ended() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = Workload::start(COW, &["--leave", "calf"])?;
    let comm = format!("/proc/{}/comm", cow.pid());
    assert_eq!(std::fs::read_to_string(&comm)?, "cow\n");
    let held = step(&mut cow, "hold 100")?;
    let counted = || pf_stat::get_info(COW.as_bytes());
    for (name, pages, expected) in [("cow", 10, 10), ("ox", 60, 10), ("cow", 100, 50)] {
        cow.ask(&format!("rename {name}"))?;
        assert_eq!(std::fs::read_to_string(&comm)?, format!("{name}\n"));
        step(&mut cow, &format!("write {pages}"))?;
        assert_eq!(counted()?.at(held.start), Some(expected), "as {name}");
    }
    Ok(())
}

#[test]
fn copies_in_more_areas_than_are_counted_at_once_are_exact() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    let held = step(&mut cow, "scattered 40 25")?;
    let faults = pf_stat::get_info(COW.as_bytes())?;
    // The first 128 by address are listed, and these lie high.
    for area in 0..40 {
        let start = held.start + (2 * area + 1) * 4096;
        assert_eq!(faults.at(start), Some(25), "area {area}");
    }
    Ok(())
}

#[test]
fn a_thousand_names_are_tracked_and_the_next_ones_are_refused_at_a_bound() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    let name = |number: u32| format!("name{number}");
    for number in 0..1000 {
        pf_stat::set_param(name(number).as_bytes())?;
    }
    pf_stat::set_param(COW.as_bytes())?;
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    assert_eq!(pf_stat::get_info(COW.as_bytes())?.at(done.start), Some(100));
    for number in 1000..1023 {
        pf_stat::set_param(name(number).as_bytes())?;
    }
    let mut log = KernelLog::from_now()?;
    assert_eq!(errno(pf_stat::set_param(b"one-too-many")), libc::ENOMEM);
    let line = "pf_set_param: not enough memory (-12)";
    assert_eq!(errors_in(&mut log)?, [line]);
    assert_eq!(ledger("name999")?.generation, 0);
    Ok(())
}

#[test]
fn the_longest_name_is_tracked() -> Result<()> {
    let long = "fifteen-letters";
    std::fs::copy("/usr/local/bin/fork", format!("/tmp/{long}"))?;
    let _module = tracking(long)?;
    Command::new(format!("/tmp/{long}")).output()?;
    assert_eq!(ledger(long)?.generation, 1);
    assert!(ledger(long)?.faults > 0);
    Ok(())
}

#[test]
fn at_most_128_areas_are_listed_and_the_total_has_all() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    step(&mut cow, "areas 400")?;
    let done = step(&mut cow, "child-writes 100")?;
    let faults = pf_stat::get_info(COW.as_bytes())?;
    assert_eq!(faults.areas.len(), 128);
    assert!(faults.areas.is_sorted_by_key(|area| area.addresses.start));
    let listed: u64 = faults.areas.iter().map(|area| area.faults).sum();
    assert!(faults.total >= 100);
    if faults.at(done.start).is_none() {
        assert!(listed + 100 <= faults.total);
    }
    Ok(())
}

#[test]
fn a_report_has_the_areas_of_its_moment() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    for change in [
        "hold 10", "areas 20", "write 10", "grow 30", "areas 40", "zero 5",
    ] {
        step(&mut cow, change)?;
        let maps = ranges(&std::fs::read_to_string(format!(
            "/proc/{}/maps",
            cow.pid()
        ))?);
        // The second report finds the areas as the first one left them.
        for report in 0..2 {
            let areas = pf_stat::get_info(COW.as_bytes())?.areas;
            let areas: Vec<_> = areas
                .into_iter()
                .map(|area| (area.addresses.start, area.addresses.end))
                .collect();
            assert_eq!(areas, maps, "after {change}, report {report}");
        }
    }
    Ok(())
}
