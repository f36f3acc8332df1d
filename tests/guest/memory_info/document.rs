// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the document shows, with its numbers.

use std::fs;

use anyhow::{ensure, Context, Result};
use pagelens::Program;
use workloads::process::{state, user_ticks};
use workloads::{Module, SysSetting, Workload};

use super::{holder, pages_in_groups, statm, tester, Loaded};
use crate::support::{shell, shell_output, wait_until};

const SUCCESS: &str = "[SUCCESS]\n";
const HUGE_PAGES: [&str; 2] = ["always", "never"];

/// `echo COMMAND > /proc/memory_info && cat /proc/memory_info`, as the document has it.
fn echo_and_cat(command: &str) -> Result<String> {
    shell_output(&format!(
        "echo \"{command}\" > /proc/memory_info && cat /proc/memory_info"
    ))
}

/// Whether `line` is `sshd, total: N, …, pid(3): A; B; C` with decimal N.
fn has_the_documents_form(line: &str, pids: &[u32]) -> Result<bool> {
    let program = Program::parse(line.as_bytes())?;
    let list: Vec<String> = pids.iter().map(u32::to_string).collect();
    let again = format!(
        "sshd, total: {}, valid: {}, invalid: {}, may_be_shared: {}, nb_group: {}, pid({}): {}",
        program.total,
        program.valid,
        program.invalid,
        program.duplicates.pages,
        program.duplicates.groups,
        pids.len(),
        list.join("; "),
    );
    Ok(line == again)
}

#[test]
fn the_transcript_runs_to_the_letter() -> Result<()> {
    let sshd = [
        holder("sshd", &[])?,
        holder("sshd", &[])?,
        holder("sshd", &[])?,
    ];
    let mut pids = sshd.each_ref().map(Workload::pid);
    pids.sort_unstable();
    let _module = Module::load("memory_info", &["errno=0"])?;

    let all = echo_and_cat("ALL")?;
    let lines: Vec<&str> = all
        .lines()
        .filter(|line| line.starts_with("sshd,"))
        .collect();
    ensure!(lines.len() == 1, "one line a name: {lines:?}");
    assert!(has_the_documents_form(lines[0], &pids)?, "{}", lines[0]);

    assert_eq!(echo_and_cat("FILTER|sshd")?, format!("{}\n", lines[0]));
    assert_eq!(echo_and_cat("DEL|sshd")?, SUCCESS);
    assert_eq!(echo_and_cat("FILTER|sshd")?, "[ERROR]: No such process\n");
    assert_eq!(echo_and_cat("RESET")?, SUCCESS);
    assert!(has_the_documents_form(
        echo_and_cat("FILTER|sshd")?.trim_end(),
        &pids
    )?);
    Ok(())
}

#[test]
fn a_refused_write_fails_and_is_shown_unless_errno_is_0() -> Result<()> {
    let _module = Module::load("memory_info", &[])?;
    let refused = shell("echo 'FILTER|no-such-name' > /proc/memory_info")?;
    assert!(!refused.status.success());
    let shown = shell_output("cat /proc/memory_info")?;
    assert_eq!(shown, "[ERROR]: No such process\n");
    Ok(())
}

#[test]
fn the_test_program_has_ten_thousand_equal_pages() -> Result<()> {
    for mode in HUGE_PAGES {
        let _huge = SysSetting::huge_pages(mode)?;
        let mut loaded = Loaded::new()?;
        let first = tester(&[])?;
        let one = loaded.now("tester")?;
        assert_eq!(
            one.duplicates,
            pages_in_groups(10_000, 1),
            "huge pages {mode}"
        );
        assert_eq!(
            (one.total, one.valid),
            statm([first.pid()])?,
            "huge pages {mode}"
        );

        let second = tester(&[])?;
        let two = loaded.now("tester")?;
        assert_eq!(
            two.duplicates,
            pages_in_groups(20_000, 1),
            "huge pages {mode}"
        );
        assert_eq!((two.total, two.valid), statm([first.pid(), second.pid()])?);
    }
    Ok(())
}

/// `Rss` of `smaps_rollup`, in pages.
fn rollup(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let rss = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = rss.and_then(|rss| rss.trim().strip_suffix(" kB"));
    Ok(kib.context("no Rss")?.parse::<u64>()? / 4)
}

#[test]
fn the_test_program_may_spin_and_smaps_rollup_bounds_it() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let tester = Workload::start("tester", &["--spin"])?;
    // It has touched all that it will: nothing but the loop uses so much time.
    wait_until("it spins", || Ok(user_ticks(tester.pid())? >= 20))?;
    assert_eq!(state(tester.pid())?, 'R');
    let program = loaded.now("tester")?;
    assert_eq!(program.duplicates, pages_in_groups(10_000, 1));
    // An upper bound in the document. Here it is reached: both count the present pages.
    assert_eq!(program.valid, rollup(tester.pid())?);
    assert_eq!(
        (program.total, program.valid),
        statm([tester.pid()])?,
        "total and valid"
    );
    Ok(())
}

#[test]
fn the_test_program_may_have_several_groups() -> Result<()> {
    for mode in HUGE_PAGES {
        let _huge = SysSetting::huge_pages(mode)?;
        let mut loaded = Loaded::new()?;
        let _first = tester(&["1000", "3"])?;
        assert_eq!(
            loaded.now("tester")?.duplicates,
            pages_in_groups(3_000, 3),
            "{mode}"
        );
        // The second has four groups: three are the first's, one is new.
        let _second = tester(&["700", "4"])?;
        assert_eq!(
            loaded.now("tester")?.duplicates,
            pages_in_groups(5_800, 4),
            "{mode}"
        );
    }
    Ok(())
}

#[test]
fn two_processes_with_five_equal_pages_in_two_groups() -> Result<()> {
    for mode in HUGE_PAGES {
        let _huge = SysSetting::huge_pages(mode)?;
        let mut loaded = Loaded::new()?;
        let red_red_blue = ["fill:aa:2", "fill:bb:1", "unique:2"];
        let _first = holder("Cron", &red_red_blue)?;
        // What differs from the first's unique pages is unique too: fill:01 and fill:02.
        let _second = holder(
            "Cron",
            &["fill:aa:1", "fill:bb:1", "fill:01:1", "fill:02:1"],
        )?;
        assert_eq!(
            loaded.now("Cron")?.duplicates,
            pages_in_groups(5, 2),
            "{mode}"
        );
    }
    Ok(())
}

#[test]
fn one_process_with_four_equal_pages_in_two_groups() -> Result<()> {
    for mode in HUGE_PAGES {
        let _huge = SysSetting::huge_pages(mode)?;
        let mut loaded = Loaded::new()?;
        let _alone = holder("Cron", &["fill:aa:2", "unique:3", "fill:bb:2"])?;
        assert_eq!(
            loaded.now("Cron")?.duplicates,
            pages_in_groups(4, 2),
            "{mode}"
        );
    }
    Ok(())
}
