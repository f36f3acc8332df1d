// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own merging agrees on what is equal.

use anyhow::Result;
use workloads::Ksm;

use super::{holder, Loaded};
use crate::support::wait_until;

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

    let ksm = Ksm::run()?;
    // A page merges once two scans in a row have found it unchanged.
    let start = ksm.scans()?;
    wait_until("KSM has scanned a few times", || {
        Ok(ksm.scans()? >= start + 6)
    })?;
    assert_eq!((ours.pages, ours.groups), ksm.merged()?);

    // Merged pages are shared frames: nothing is left to share.
    let after = loaded.now("merged")?.duplicates;
    assert_eq!((after.pages, after.groups), (0, 0));
    Ok(())
}
