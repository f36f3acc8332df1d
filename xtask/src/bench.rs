// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks: each figure against its named peer, both in one guest run.

use anyhow::Result;

use crate::lab::Lab;
use crate::vm::{self, VmRequest};

/// The largest inputs, twice over: ours and the peer's.
const MEMORY_MIB: u32 = 6144;

/// Runs all benchmarks, or one.
pub fn run(lab: &Lab, kernel: &str, name: Option<&str>, args: &[String]) -> Result<u8> {
    let mut command = vec!["pagelens-bench"];
    command.extend(name);
    command.extend(args.iter().map(String::as_str));
    vm::run(
        lab,
        VmRequest {
            memory_mib: MEMORY_MIB,
            ..VmRequest::new(kernel, &command)
        },
    )
}
