// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks: each figure against its named peer, both in one guest run, or both on this machine.

use std::time::Duration;

use anyhow::Result;

use crate::bench_native;
use crate::lab::Lab;
use crate::request::{Guest, Threads, VmRequest};
use crate::vm;

/// The largest inputs, twice over: ours and the peer's.
const MEMORY_MIB: u32 = 6144;

/// The slowest of them, counting instructions, beside other work.
const AT_MOST: Duration = Duration::from_secs(4 * 3600);

/// Benchmarks whose peer is a program that only the full guest has.
const WANT_FULL_GUEST: [&str; 1] = ["pf_stat"];

/// Those that are measured on this machine itself.
const NATIVE: [&str; 1] = ["command"];

/// Runs all benchmarks, or one. Those on this machine are run only if they are named.
pub fn run(
    lab: &Lab,
    kernel: &str,
    name: Option<&str>,
    threads: Threads,
    args: &[String],
) -> Result<u8> {
    if let Some(name) = name.filter(|name| NATIVE.contains(name)) {
        return bench_native::run(lab, name);
    }
    let mut command = vec!["pagelens-bench"];
    command.extend(name);
    command.extend(args.iter().map(String::as_str));
    let guest = if name.is_none_or(|name| WANT_FULL_GUEST.contains(&name)) {
        Guest::Full
    } else {
        Guest::Minimal
    };
    vm::run(
        lab,
        VmRequest {
            guest,
            memory_mib: MEMORY_MIB,
            threads,
            timeout: Some(AT_MOST),
            ..VmRequest::new(kernel, &command)
        },
    )
}
