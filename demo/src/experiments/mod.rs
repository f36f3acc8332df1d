// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `malloc` and recursion do to an address space: measured with `vm_layout` after each step,
//! checked against `/proc`, and drawn.
//!
//! The scene leaves CSV, SVG, PNG and a page that shows them all in [`FOLDER`]; the lab brings
//! them to the host. A title states a finding only if the finding was checked in this run.

mod chart;
mod figure;
mod findings;
mod measure;
mod page;
mod steps;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use workloads::{Module, SysSetting, Workload};

use crate::narrator::Narrator;
use figure::Figure;
use measure::Sample;

/// Where the results are left.
const FOLDER: &str = "/root/experiments";

/// An experiment that was run.
struct Experiment {
    /// The name of its files.
    name: &'static str,
    /// What was done and how it is to be read.
    text: &'static str,
    samples: Vec<Sample>,
    figure: Box<dyn Figure>,
}

pub fn play(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "`app` does one thing at a time and waits. After each step vm_layout is loaded for it, its
         report is read from the kernel log, and each figure is compared with /proc.",
    );
    show_report(narrator)?;
    // With them, what one page costs depends on how its neighbours happen to be aligned.
    let _small_pages = SysSetting::has_huge_pages()
        .then(|| SysSetting::huge_pages("never"))
        .transpose()?;
    let experiments = [
        findings::heap(narrator)?,
        findings::stack(narrator)?,
        findings::steps(narrator)?,
    ];
    fs::create_dir_all(FOLDER)?;
    for experiment in &experiments {
        write(experiment).with_context(|| format!("writing {}", experiment.name))?;
    }
    let page = page::render(&experiments)?;
    fs::write(Path::new(FOLDER).join("index.html"), page)?;
    narrator
        .say("The plots, their numbers and a page with everything: target/experiments/index.html");
    Ok(())
}

/// What the module prints, without the many entries of the kernel's half.
fn show_report(narrator: &Narrator) -> Result<()> {
    let app = Workload::start::<&str>("app", &[])?;
    let module = Module::load("vm_layout", &[&format!("pid={}", app.pid())])?;
    let log = "dmesg | sed -n 's/.*] vm_layout: //p' | sed -n '/^process: /,$p' | grep -v kernel-half | cut -c1-110";
    let shown = narrator.run(log)?;
    module.unload()?;
    let has_all = ["code: ", "heap: ", "stack: ", "rss: ", "pgd[0]: "]
        .iter()
        .all(|label| shown.lines().any(|line| line.starts_with(label)));
    narrator.check("the report is in the kernel log", has_all)
}

fn write(experiment: &Experiment) -> Result<()> {
    let path = |extension| Path::new(FOLDER).join(format!("{}.{extension}", experiment.name));
    fs::write(path("csv"), measure::csv(&experiment.samples))?;
    fs::write(path("svg"), figure::svg(&*experiment.figure)?)?;
    fs::write(path("png"), figure::png(&*experiment.figure)?)?;
    Ok(())
}
