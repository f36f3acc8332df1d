// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `malloc` and recursion do to an address space: measured with `vm_layout` after each step,
//! and checked against `/proc`.
//!
//! The scene leaves CSV in [`FOLDER`], once everything was found as it must be; the lab brings that
//! to the host and draws it there.

mod findings;
mod measure;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use workloads::{Module, SysSetting, Workload};

use crate::narrator::Narrator;

/// Where the results are left.
const FOLDER: &str = "/root/experiments";

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
        ("heap", findings::heap(narrator)?),
        ("stack", findings::stack(narrator)?),
        ("steps", findings::steps(narrator)?),
    ];
    fs::create_dir_all(FOLDER)?;
    for (name, samples) in &experiments {
        let path = Path::new(FOLDER).join(format!("{name}.csv"));
        fs::write(&path, measure::csv(samples))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    narrator.say("Their numbers are written; the lab draws them on the host.");
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
