// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many areas, and areas that change: whose a fault is, and what is gone.

use anyhow::Result;
use pagelens::pf_stat;
use workloads::SysSetting;

use super::{ledger, start_cow, step, tracking, COW};

/// The faults in the areas that are listed.
fn listed() -> Result<u64> {
    let areas = pf_stat::get_info(COW.as_bytes())?.areas;
    Ok(areas.iter().map(|area| area.faults).sum())
}

#[test]
fn only_what_no_area_of_the_program_holds_is_gone() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    step(&mut cow, "islands 400 2")?;
    let alive = ledger(COW)?;
    assert!(alive.faults >= 800, "{alive:?}");
    assert!(listed()? < alive.faults, "some of them are not listed");
    assert_eq!((alive.gone, alive.unplaced), (0, 0), "{alive:?}");
    // The last ones lie lowest, and are listed.
    step(&mut cow, "sink 30")?;
    assert_eq!(ledger(COW)?.gone, 60);
    step(&mut cow, "sink 300")?;
    let before = ledger(COW)?;
    assert_eq!((before.gone, before.unplaced), (660, 0), "{before:?}");
    drop(cow);
    assert_eq!(ledger(COW)?, before, "of the program that has ended");
    Ok(())
}

#[test]
fn an_ended_program_keeps_what_its_unlisted_areas_had() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    step(&mut cow, "islands 400 2")?;
    drop(cow);
    let ended = ledger(COW)?;
    assert!(ended.faults >= 800, "{ended:?}");
    assert_eq!((ended.gone, ended.unplaced), (0, 0), "{ended:?}");
    Ok(())
}

#[test]
fn an_area_that_grows_downwards_is_one_area() -> Result<()> {
    let _huge = SysSetting::huge_pages("never")?;
    let _module = tracking(COW)?;
    for pages in [600, 1500] {
        let mut cow = start_cow()?;
        let done = step(&mut cow, &format!("down {pages}"))?;
        let faults = pf_stat::get_info(COW.as_bytes())?;
        assert_eq!(faults.at(done.start), Some(pages));
        let all = ledger(COW)?;
        assert_eq!((all.gone, all.unplaced), (0, 0), "{all:?}");
    }
    Ok(())
}

#[test]
fn areas_beyond_those_that_are_told_apart_are_neither_lost_nor_gone() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    step(&mut cow, "islands 700 2")?;
    let many = ledger(COW)?;
    // 512 are told apart: some of them are of the program itself.
    let unplaced = 2 * (700 - 512);
    assert!(many.faults >= 1400, "{many:?}");
    assert!(
        (unplaced..unplaced + 100).contains(&many.unplaced),
        "{many:?}"
    );
    assert_eq!(many.gone, 0, "{many:?}");
    // Places become free, and are found, eight at a time.
    step(&mut cow, "sink 200")?;
    step(&mut cow, "again 1")?;
    let searching = ledger(COW)?.unplaced - many.unplaced;
    assert!(searching <= 64, "{searching}");
    step(&mut cow, "again 3")?;
    assert_eq!(ledger(COW)?.unplaced, many.unplaced + searching);
    Ok(())
}
