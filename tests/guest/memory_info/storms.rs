// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots while everything changes.

use std::fs;

use anyhow::{ensure, Result};
use pagelens::MemoryInfo;
use workloads::{Module, SysSetting, Workload};

use super::{holder, pages_in_groups, Loaded};
use crate::support::{remove_between_calls, storm, wait_until};

#[test]
fn two_hundred_resets_in_a_storm_stay_right_about_who_stands_still() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _still = Workload::start("tester", &["300", "2"])?;
    let _storm = storm()?;
    for round in 0..200 {
        loaded.info.reset()?;
        let programs = loaded.info.programs()?;
        let storm = programs.iter().find(|program| program.name == b"storm");
        ensure!(storm.is_some(), "round {round} has no storm");
        for program in &programs {
            let duplicates = program.duplicates;
            ensure!(
                duplicates.groups * 2 <= duplicates.pages,
                "round {round}: {program:?}"
            );
        }
        let tester = loaded.info.program(b"tester")?;
        assert_eq!(tester.duplicates, pages_in_groups(600, 2), "round {round}");
    }
    Ok(())
}

/// What the module says about its last RESET.
fn said(parameter: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/sys/module/memory_info/parameters/{parameter}"))?;
    Ok(text.trim().parse()?)
}

#[test]
fn khugepaged_does_not_change_the_figures_of_who_stands_still() -> Result<()> {
    const KHUGEPAGED: &str = "/sys/kernel/mm/transparent_hugepage/khugepaged";
    if !SysSetting::has_huge_pages() {
        return Ok(());
    }
    let mut loaded = Loaded::new()?;
    let _no_pause = SysSetting::set(format!("{KHUGEPAGED}/scan_sleep_millisecs"), "1")?;
    let _much = SysSetting::set(format!("{KHUGEPAGED}/pages_to_scan"), "4096")?;
    let collapsed = || -> Result<u64> {
        Ok(fs::read_to_string(format!("{KHUGEPAGED}/pages_collapsed"))?
            .trim()
            .parse()?)
    };
    let before = collapsed()?;
    let _small_at_first = SysSetting::huge_pages("madvise")?;
    for round in 0..20 {
        let mut still = holder("still", &["fill:aa:4096", "fill:bb:4096"])?;
        still.ask("collapsible")?;
        // While pages move, some may be missed; but never more than the module says.
        for _ in 0..10 {
            let found = loaded.now("still")?.duplicates.pages;
            let (left_out, unsettled) = (said("left_out")?, said("unsettled")?);
            let is_said = left_out > 0 || found + 2 * unsettled >= 8192;
            ensure!(
                found <= 8192 && is_said,
                "round {round}: {found}, {left_out} left out, {unsettled} unsettled"
            );
        }
        wait_until("all are counted once nothing moves", || {
            let duplicates = loaded.now("still")?.duplicates;
            Ok(duplicates == pages_in_groups(8192, 2) && said("unsettled")? == 0)
        })?;
    }
    ensure!(
        collapsed()? > before,
        "khugepaged did nothing: nothing was tried"
    );
    Ok(())
}

#[test]
fn the_module_loads_and_unloads_a_hundred_times_in_a_storm() -> Result<()> {
    let _storm = storm()?;
    for _ in 0..100 {
        let module = Module::load("memory_info", &[])?;
        let programs = MemoryInfo::open()?.programs()?;
        ensure!(programs.iter().any(|program| program.name == b"storm"));
        module.unload()?;
    }
    Ok(())
}

#[test]
fn the_module_unloads_while_its_file_is_in_use() -> Result<()> {
    for _ in 0..20 {
        workloads::module::insert("memory_info", "")?;
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        // Fails once the file is gone: that is what is tried here.
                        let _ = MemoryInfo::open().and_then(|mut info| info.reset());
                        // While one is under way, unloading is refused.
                        std::thread::sleep(std::time::Duration::from_millis(20));
                    }
                });
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            let unloaded = remove_between_calls("memory_info");
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            unloaded
        })?;
    }
    Ok(())
}
