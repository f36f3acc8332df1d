// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guided tour: every system that exists, shown live inside the VM and checked.

use anyhow::Result;

use crate::lab::Lab;
use crate::vm::{self, VmRequest};

/// What the scenes' programs need at most.
const MEMORY_MIB: u32 = 2048;

/// Runs all scenes, or one; 0 only if every scene's result was right.
pub fn run(lab: &Lab, kernel: &str, scene: Option<&str>) -> Result<u8> {
    let mut command = vec!["pagelens-demo"];
    command.extend(scene.map(|scene| ["--scene", scene]).iter().flatten());
    vm::run(
        lab,
        VmRequest {
            memory_mib: MEMORY_MIB,
            ..VmRequest::new(kernel, &command)
        },
    )
}
