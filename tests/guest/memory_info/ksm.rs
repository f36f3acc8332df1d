// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own merging agrees on what is equal.

use std::fs;

use anyhow::{Context, Result};
use workloads::SysSetting;

use super::{holder, Loaded};
use crate::support::wait_until;

const KSM: &str = "/sys/kernel/mm/ksm";

fn ksm(file: &str) -> Result<u64> {
    let path = format!("{KSM}/{file}");
    fs::read_to_string(&path)?.trim().parse().context(path)
}

/// KSM as fast as it goes, merging whatever is equal. Stops and unmerges when dropped.
struct Ksm {
    _settings: Vec<SysSetting>,
}

impl Ksm {
    fn run() -> Result<Self> {
        fs::write(format!("{KSM}/run"), "2")?; // some settings want nothing to be merged
        let settings = [
            ("max_page_sharing", "100000"), // groups may be large, and stay one each
            ("smart_scan", "0"),
            ("use_zero_pages", "0"),
            ("pages_to_scan", "100000"),
            ("sleep_millisecs", "0"),
            ("run", "1"),
        ];
        let set = |(file, value)| SysSetting::set(format!("{KSM}/{file}"), value);
        Ok(Self {
            _settings: settings.into_iter().map(set).collect::<Result<_>>()?,
        })
    }
}

impl Drop for Ksm {
    fn drop(&mut self) {
        if let Err(error) = fs::write(format!("{KSM}/run"), "2") {
            eprintln!("cannot stop KSM: {error}");
        }
    }
}

#[test]
fn our_groups_are_what_ksm_merges() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let steps = [
        "fill:ff:3000",
        "fill:aa:70",
        "fill:bb:2",
        "unique:500",
        "tail:500",
        "mergeable",
    ];
    let _holder = holder("merged", &steps)?;
    let ours = loaded.now("merged")?.duplicates;

    let _ksm = Ksm::run()?;
    // A page merges when two scans in a row found it unchanged.
    let start = ksm("full_scans")?;
    wait_until("KSM has scanned a few times", || {
        Ok(ksm("full_scans")? >= start + 6)
    })?;
    let (kept, saved) = (ksm("pages_shared")?, ksm("pages_sharing")?);
    assert_eq!((ours.pages, ours.groups), (kept + saved, kept));

    // Merged pages are shared frames: nothing is left to share.
    let after = loaded.now("merged")?.duplicates;
    assert_eq!((after.pages, after.groups), (0, 0));
    Ok(())
}
