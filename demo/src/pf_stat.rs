// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copy-on-write faults per memory area, for the programs that are named.

use anyhow::{Context, Result};
use pagelens::pf_stat::{self, Ledger};
use workloads::{Module, Workload};

use crate::narrator::Narrator;

pub fn play(narrator: &Narrator) -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    transcript(narrator)?;
    kinds(narrator)
}

fn transcript(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "After a fork, parent and child share their pages until one of them writes: then the
         kernel copies the page. Three system calls that the module adds to the running kernel
         tell which memory paid for that. First the document's own example: a program named
         `fork` writes to a global, to its heap and to eight mapped pages, as does its child.",
    );
    narrator.run("pf-test -o set_param -p fork")?;
    narrator.run("fork > /tmp/maps")?;
    let report = narrator.run("pf-test -o get_info -p fork")?;
    let faults = pf_stat::get_info(b"fork")?;
    let lines = report.lines().filter(|line| line.starts_with('['));
    narrator.check(
        "every area is listed",
        lines.count() == faults.areas.len() && faults.total >= 16,
    )?;
    narrator
        .say("The program has ended; its areas stay as they were. They are those of its own maps:");
    let maps = std::fs::read_to_string("/tmp/maps")?;
    let is_same = |area: &pf_stat::AreaFaults| {
        let (start, end) = (area.addresses.start, area.addresses.end);
        maps.contains(&format!("{start:x}-{end:x} "))
    };
    narrator.check("the areas equal its maps", faults.areas.iter().all(is_same))
}

fn kinds(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "Not every fault is a copy. If the child has ended, the parent takes its pages over; a
         page that was only read is the zero page and is filled. /proc/pf_stat keeps them apart.",
    );
    narrator.run("pf-test -o set_param -p cow")?;
    let steps = ["child-writes 1000", "parent-writes 500", "zero 200"];
    let mut cow = Workload::start::<&str>("cow", &[])?;
    let mut before = Ledger::default();
    let mut grown = Vec::new();
    for step in steps {
        narrator.say(&format!("Step `{step}`:"));
        cow.ask(step)?;
        narrator.run("cat /proc/pf_stat")?;
        let now = Ledger::of("cow")?.context("cow is not tracked")?;
        grown.push((
            now.copied - before.copied,
            now.reused - before.reused,
            now.zero_filled - before.zero_filled,
        ));
        before = now;
    }
    narrator.check("the child's writes were copies", grown[0].0 >= 1000)?;
    narrator.check("the parent's were take-overs", grown[1].1 >= 500)?;
    narrator.check("zero pages were filled", grown[2].2 >= 200)?;
    narrator.run("pf-test -o cleanup").map(drop)
}
