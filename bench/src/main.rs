// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each figure against a peer, in one guest run: `pagelens-bench [NAME]...`. What is measured on the machine
//! itself is run only if it is named.
//!
//! The guest is emulated and shares its machine: times mean nothing by themselves, ratios
//! within one run do. Contestants take turns, and medians count. Each bench first checks
//! that both sides give the same answer, and fails if not; no time makes it fail.

mod command;
mod harness;
mod kshram;
mod memory_info;
mod memuse;
mod pf_stat;
mod ram;
mod snapshot;

use anyhow::{bail, Context, Result};

type Bench = fn() -> Result<()>;
const BENCHES: &[(&str, Bench)] = &[
    ("memory_info", memory_info::run),
    ("kshram", kshram::run),
    ("memuse", memuse::run),
    ("pf_stat", pf_stat::run),
    ("pagelens", snapshot::run),
    ("ram", ram::run),
];
/// Those that are measured natively: time means something there.
const NATIVE: &[(&str, Bench)] = &[("command", command::run)];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = || BENCHES.iter().chain(NATIVE);
    if let Some(name) = wanted
        .iter()
        .find(|name| all().all(|(known, _)| known != name))
    {
        let known: Vec<&str> = all().map(|(name, _)| *name).collect();
        bail!("no bench `{name}`; there are: {}", known.join(", "));
    }
    let usual = if wanted.is_empty() { BENCHES } else { &[] };
    let named = all().filter(|(name, _)| wanted.iter().any(|wanted| wanted == name));
    for (name, run) in usual.iter().chain(named) {
        run().with_context(|| format!("bench {name}"))?;
    }
    Ok(())
}
