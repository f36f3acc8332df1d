// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guided tour: every system that exists, shown live inside the VM and checked.

use std::time::Duration;

use anyhow::Result;

use crate::experiments;
use crate::kernel;
use crate::lab::Lab;
use crate::request::{Threads, VmRequest};
use crate::ui::shown;
use crate::vm;

/// What the scenes' programs need at most.
const MEMORY_MIB: u32 = 2048;

/// All scenes together take some twenty seconds on a quiet machine.
const AT_MOST: Duration = Duration::from_secs(20 * 60);

/// The scene that leaves figures, where it leaves them in the guest, and where they go below `target/`.
const EXPERIMENTS: &str = "experiments";
const LEFT_IN: &str = "/root/experiments";

/// Runs all scenes, or one; 0 only if every scene's result was right.
pub fn run(lab: &Lab, kernel: &str, scene: Option<&str>) -> Result<u8> {
    let mut command = vec!["pagelens-demo"];
    command.extend(scene.map(|scene| ["--scene", scene]).iter().flatten());
    let leaves_files = scene.is_none_or(|scene| scene == EXPERIMENTS);
    let target = lab.target.join(EXPERIMENTS);
    let fetches = leaves_files.then(|| (LEFT_IN.into(), target.clone()));
    let status = vm::run(
        lab,
        VmRequest {
            memory_mib: MEMORY_MIB,
            // Scenes make probes come and go.
            threads: Threads::One,
            fetches: fetches.into_iter().collect(),
            timeout: Some(AT_MOST),
            ..VmRequest::new(kernel, &command)
        },
    )?;
    if leaves_files && status == 0 {
        let page = experiments::draw(&target, &kernel::named(lab, kernel)?.release)?;
        println!(
            "The plots, their numbers and a page with everything: {}",
            shown(&page)
        );
    }
    Ok(status)
}
