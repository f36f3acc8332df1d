// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real processes, stopped: the module against what `/proc` says.

use anyhow::{ensure, Result};
use pagelens::proc::survey;
use pagelens::ProgramSource;
use workloads::process::rest;
use workloads::SysSetting;

use super::{holder, pages_in_groups, statm, Loaded};
use crate::stopped::{self, PROGRAMS};

#[test]
fn a_dozen_stopped_programs_have_the_figures_that_proc_gives() -> Result<()> {
    let stopped = PROGRAMS
        .iter()
        .map(|command| stopped::start(command))
        .collect::<Result<Vec<_>>>()?;
    let pids: Vec<u32> = stopped.iter().map(|program| program.pid()).collect();
    let mut loaded = Loaded::new()?;
    loaded.info.reset()?;
    let surveys = survey(|pid, _| pids.contains(&pid))?;
    let mut compared = 0;
    let mut with_duplicates = 0;
    for survey in &surveys {
        let module = loaded.info.program(&survey.program.name)?;
        if module.pids != survey.program.pids {
            continue; // whoever runs the tests has a program of that name too, not stopped
        }
        compared += 1;
        assert_eq!(survey.unread, 0);
        assert_eq!(module, survey.program);
        with_duplicates += u32::from(module.duplicates.pages > 0);
    }
    assert!(compared >= 12, "only {compared} names");
    assert!(
        with_duplicates > 0,
        "no program with duplicates: nothing was compared"
    );
    Ok(())
}

#[test]
fn the_oracle_itself_agrees_with_statm_and_knows_its_read_only_pages() -> Result<()> {
    let mut steps = vec![
        "fill:aa:10",
        "rw:bb:20",
        "zero:30",
        "shm:cc:40",
        "none:ee:5",
    ];
    let mut expected = pages_in_groups(10, 1);
    if SysSetting::has_huge_pages() {
        steps.push("huge:dd:1");
        expected = pages_in_groups(10 + 512, 2);
    }
    let holder = holder("oracle", &steps)?;
    holder.stop()?;
    let surveys = survey(|pid, _| pid == holder.pid())?;
    ensure!(surveys.len() == 1);
    let program = &surveys[0].program;
    assert_eq!((program.total, program.valid), statm([holder.pid()])?);
    // It may not read the five without permission; the kernel's default differs.
    let unread = surveys[0].unread;
    assert!(unread == 0 || unread == 5, "{unread}");
    if unread == 0 {
        expected = pages_in_groups(expected.pages + 5, expected.groups + 1);
    }
    assert_eq!(program.duplicates, expected);
    Ok(())
}

#[test]
fn the_best_source_is_the_module_if_it_is_loaded_and_both_say_the_same() -> Result<()> {
    let holder = holder("source", &["fill:aa:10", "unique:3"])?;
    holder.stop()?;
    let mut lines = Vec::new();
    for name in ["proc", "kernel"] {
        let loaded = (name == "kernel").then(Loaded::new).transpose()?;
        let mut source = ProgramSource::best();
        assert_eq!(source.name(), name);
        let programs = source.programs()?;
        lines.extend(
            programs
                .into_iter()
                .filter(|program| program.name == b"source"),
        );
        drop((source, loaded));
    }
    ensure!(lines.len() == 2, "{lines:?}");
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[0].duplicates, pages_in_groups(10, 1));
    Ok(())
}

#[test]
fn stopped_programs_that_forked_are_within_what_proc_can_tell() -> Result<()> {
    let mut parent = holder("forked", &["fill:aa:10", "rw:bb:20", "unique:30"])?;
    let child: u32 = parent.ask("fork")?.parse()?;
    parent.ask("write")?;
    rest(child)?;
    parent.stop()?;
    let mut loaded = Loaded::new()?;
    let module = loaded.now("forked")?;
    let surveys = survey(|_, name| name == b"forked")?;
    ensure!(surveys.len() == 1);
    let survey = &surveys[0];
    assert_eq!(module.pids, [parent.pid(), child]);
    assert_eq!(
        (module.total, module.valid),
        (survey.program.total, survey.program.valid)
    );
    let least = survey.program.duplicates;
    for (least, figure, most) in [
        (least.pages, module.duplicates.pages, survey.most.pages),
        (least.groups, module.duplicates.groups, survey.most.groups),
    ] {
        assert!(
            least <= figure && figure <= most,
            "{least} <= {figure} <= {most}"
        );
    }
    // The parent wrote its twenty: they are copies, writable; the child's own stay.
    assert!(
        module.duplicates.pages >= 10 + 20,
        "{:?}",
        module.duplicates
    );
    Ok(())
}
