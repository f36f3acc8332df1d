// SPDX-License-Identifier: MIT OR Apache-2.0
//! What counts as present, as read-only and as a duplicate.

use std::fs;

use anyhow::{ensure, Context, Result};
use workloads::process::{rest, state};
use workloads::SysSetting;

use super::{holder, pages_in_groups, statm, Loaded};
use crate::support::wait_until;

const NAME: &str = "meaning";

/// Holds `steps` under a name of its own and returns the duplicates.
fn duplicates(steps: &[&str]) -> Result<(u64, u64)> {
    let mut loaded = Loaded::new()?;
    let holder = holder(NAME, steps)?;
    let program = loaded.now(NAME)?;
    assert_eq!(
        (program.total, program.valid),
        statm([holder.pid()])?,
        "{steps:?}"
    );
    assert_eq!(program.pids, [holder.pid()]);
    Ok((program.duplicates.pages, program.duplicates.groups))
}

#[test]
fn a_program_of_unique_pages_has_no_duplicates() -> Result<()> {
    assert_eq!(duplicates(&["unique:1000"])?, (0, 0));
    Ok(())
}

#[test]
fn pages_that_differ_in_their_last_bytes_are_different() -> Result<()> {
    assert_eq!(duplicates(&["tail:1000"])?, (0, 0));
    assert_eq!(
        duplicates(&["tail:1000", "fill:00:1", "fill:00:2"])?,
        (3, 1)
    );
    Ok(())
}

#[test]
fn equal_pages_far_into_their_bytes_are_found_across_processes() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _both = [holder(NAME, &["tail:500"])?, holder(NAME, &["tail:300"])?];
    // Both number their pages alike: 300 pairs.
    assert_eq!(loaded.now(NAME)?.duplicates, pages_in_groups(600, 300));
    Ok(())
}

#[test]
fn programs_of_different_names_have_no_duplicates_together() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _a = holder("meaning-a", &["fill:aa:1"])?;
    let _b = holder("meaning-b", &["fill:aa:1"])?;
    assert_eq!(loaded.now("meaning-a")?.duplicates, pages_in_groups(0, 0));
    assert_eq!(
        loaded.info.program(b"meaning-b")?.duplicates,
        pages_in_groups(0, 0)
    );
    Ok(())
}

#[test]
fn writable_pages_are_no_candidates_until_they_are_protected() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut holder = holder(NAME, &["rw:ab:100"])?;
    assert_eq!(loaded.now(NAME)?.duplicates, pages_in_groups(0, 0));
    holder.ask("protect")?;
    assert_eq!(loaded.now(NAME)?.duplicates, pages_in_groups(100, 1));
    Ok(())
}

#[test]
fn writable_shared_memory_is_no_candidate_but_is_present() -> Result<()> {
    assert_eq!(duplicates(&["shm:ab:100"])?, (0, 0));
    Ok(())
}

#[test]
fn pages_without_any_permission_are_present_and_read_only() -> Result<()> {
    assert_eq!(duplicates(&["none:ab:100"])?, (100, 1));
    Ok(())
}

#[test]
fn the_zero_page_is_not_present_and_no_duplicate() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut holder = holder(NAME, &[])?;
    let before = loaded.now(NAME)?;
    holder.ask("zero:1000")?;
    let after = loaded.now(NAME)?;
    assert_eq!(after.total, before.total + 1000);
    assert!(
        after.valid < before.valid + 100,
        "{} then {}",
        before.valid,
        after.valid
    );
    assert_eq!(after.duplicates, pages_in_groups(0, 0));
    Ok(())
}

#[test]
fn each_small_page_of_a_huge_page_counts() -> Result<()> {
    if !SysSetting::has_huge_pages() {
        return Ok(());
    }
    let mut loaded = Loaded::new()?;
    let holder = holder(NAME, &["huge:11:2"])?;
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", holder.pid()))?;
    let huge = rollup
        .lines()
        .find_map(|line| line.strip_prefix("AnonHugePages:"))
        .context("smaps_rollup has no AnonHugePages")?;
    ensure!(
        huge.trim() == "4096 kB",
        "the holder has no two huge pages:{huge}"
    );
    let program = loaded.now(NAME)?;
    assert_eq!(program.duplicates, pages_in_groups(1024, 1));
    assert_eq!((program.total, program.valid), statm([holder.pid()])?);
    Ok(())
}

#[test]
fn copies_of_a_file_are_duplicates_and_one_file_mapped_twice_is_not() -> Result<()> {
    let contents: Vec<u8> = (0..10u8).flat_map(|page| [page + 1; 4096]).collect();
    let files = ["/tmp/meaning-a", "/tmp/meaning-b"];
    for file in files {
        fs::write(file, &contents)?;
    }
    let [a, b] = files.map(|file| format!("file:{file}"));
    let twice = duplicates(&[&a, &a]);
    let both = duplicates(&[&a, &b]);
    for file in files {
        fs::remove_file(file)?;
    }
    assert_eq!(twice?, (0, 0));
    assert_eq!(both?, (20, 10));
    Ok(())
}

#[test]
fn frames_that_processes_share_already_are_no_duplicates() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut holder = holder(NAME, &["unique:1000"])?;
    let child: u32 = holder.ask("fork")?.parse()?;
    rest(holder.pid())?;
    rest(child)?;
    let program = loaded.now(NAME)?;
    assert_eq!(program.pids.len(), 2);
    // The runtime's own few pages may be equal since the fork; the thousand are not.
    assert!(program.duplicates.pages < 100, "{:?}", program.duplicates);
    assert_eq!(
        (program.total, program.valid),
        statm([holder.pid(), child])?
    );
    Ok(())
}

#[test]
fn pages_stay_read_only_after_a_forked_child_is_gone_until_they_are_written() -> Result<()> {
    let _small = SysSetting::huge_pages("never")?; // else one fault reuses 512 pages
    let mut loaded = Loaded::new()?;
    let mut holder = holder(NAME, &["rw:ab:1000"])?;
    assert_eq!(loaded.now(NAME)?.duplicates, pages_in_groups(0, 0));
    holder.ask("forkexit")?;
    let after_fork = loaded.now(NAME)?.duplicates;
    assert!((1000..1100).contains(&after_fork.pages), "{after_fork:?}");
    let faults: u64 = holder.ask("write")?.parse()?;
    assert!(faults >= 1000, "the pages were writable: {faults} faults");
    let after_write = loaded.now(NAME)?.duplicates;
    assert!(after_write.pages < 100, "{after_write:?}");
    Ok(())
}

#[test]
fn processes_that_share_one_address_space_count_it_once() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut holder = holder(NAME, &["fill:ab:100"])?;
    let sharer: u32 = holder.ask("share")?.parse()?;
    rest(holder.pid())?;
    rest(sharer)?;
    let program = loaded.now(NAME)?;
    assert_eq!(program.pids, [holder.pid(), sharer]);
    assert_eq!((program.total, program.valid), statm([holder.pid()])?);
    assert_eq!(program.duplicates, pages_in_groups(100, 1));
    Ok(())
}

#[test]
fn a_process_whose_first_thread_ended_keeps_its_figures() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let mut holder = holder(NAME, &["fill:ab:100"])?;
    holder.ask("leave")?;
    wait_until("the first thread is a zombie", || {
        Ok(state(holder.pid())? == 'Z')
    })?;
    let program = loaded.now(NAME)?;
    assert_eq!(program.pids, [holder.pid()]);
    assert_eq!(program.duplicates, pages_in_groups(100, 1));
    assert!(program.valid > 100);
    Ok(())
}

#[test]
fn kernel_threads_are_listed_with_zeros() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let program = loaded.now("kthreadd")?;
    assert_eq!(program.pids, [2]);
    assert_eq!((program.total, program.valid, program.invalid), (0, 0, 0));
    assert_eq!(program.duplicates, pages_in_groups(0, 0));
    Ok(())
}

#[test]
fn lines_are_in_the_order_of_their_lowest_pids() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let _holders = [holder("zz", &[])?, holder("aa", &[])?, holder("zz", &[])?];
    loaded.info.reset()?;
    let programs = loaded.info.programs()?;
    let lowest: Vec<_> = programs
        .iter()
        .map(|program| program.pids.first())
        .collect();
    assert!(lowest.is_sorted(), "{lowest:?}");
    assert!(programs.iter().all(|program| program.pids.is_sorted()));
    let names: Vec<_> = programs.iter().map(|program| &program.name).collect();
    assert_eq!(
        names.iter().filter(|name| name.as_slice() == b"zz").count(),
        1
    );
    Ok(())
}

#[test]
fn names_are_matched_as_they_are_and_shown_escaped() -> Result<()> {
    let mut loaded = Loaded::new()?;
    for (name, shown) in [
        ("a|b", "a|b"),
        ("a, total: 1", "a, total: 1"),
        ("a\nb\\", "a\\nb\\\\"),
    ] {
        let holder = holder(name, &[])?;
        let program = loaded.now(name)?;
        assert_eq!(program.name, name.as_bytes());
        assert_eq!(program.pids, [holder.pid()]);
        let answer = loaded.info.run(format!("FILTER|{name}").as_bytes())?;
        let start = format!("{shown}, total: ");
        assert!(
            answer.starts_with(start.as_bytes()),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    Ok(())
}
