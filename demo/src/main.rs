// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guided tour: `pagelens-demo [--scene NAME]`.
//!
//! Each scene runs for real, shows what it does and checks what it sees. The tour ends with
//! 0 only if everything was as told.

mod experiments;
mod hello;
mod kshram;
mod memory_info;
mod memuse;
mod narrator;
mod pf_stat;
mod ram;
mod snapshot;

use anyhow::{bail, Context, Result};
use narrator::Narrator;

type Scene = fn(&Narrator) -> Result<()>;
const SCENES: &[(&str, Scene)] = &[
    ("hello", hello::play),
    ("memory_info", memory_info::play),
    ("experiments", experiments::play),
    ("memuse", memuse::play),
    ("pf_stat", pf_stat::play),
    ("kshram", kshram::play),
    ("pagelens", snapshot::play),
    ("ram", ram::play),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let wanted = match arguments[..] {
        [] => None,
        ["--scene", name] => Some(name),
        _ => bail!("usage: pagelens-demo [--scene NAME]"),
    };
    if let Some(name) = wanted {
        if SCENES.iter().all(|(known, _)| *known != name) {
            let known: Vec<&str> = SCENES.iter().map(|(name, _)| *name).collect();
            bail!("no scene `{name}`; there are: {}", known.join(", "));
        }
    }
    let narrator = Narrator::new();
    for (name, play) in SCENES {
        if wanted.is_none_or(|wanted| wanted == *name) {
            narrator.title(name);
            play(&narrator).with_context(|| format!("scene {name}"))?;
        }
    }
    Ok(())
}
