// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is asked of a VM, before anything is known of how it will be had.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

/// See [`VmRequest::cpus`].
pub const DEFAULT_CPUS: u32 = 2;
/// See [`VmRequest::memory_mib`].
pub const DEFAULT_MEMORY_MIB: u32 = 1024;

/// What the VM starts from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Guest {
    /// An initramfs with busybox and our programs.
    Minimal,
    /// A Debian system with Redis, Python, bpftrace and friends.
    Full,
}

/// On how many threads an emulated machine's processors run.
///
/// With a thread for each, QEMU may execute a breakpoint that another processor has just patched
/// away, which no real processor does: the guest dies of an `int3` when code is patched (a probe
/// comes or goes) that another processor is about to execute. On one thread it cannot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// Faster.
    OnePerCpu,
    /// Exact.
    One,
    /// On one thread, and the guest's clock counts instructions: a nanosecond is one. Slower still;
    /// times do not depend on what else the host does.
    Counted,
}

/// What a user asks for.
pub struct VmRequest {
    /// A kernel of the catalogue.
    pub kernel: String,
    /// What the guest contains.
    pub guest: Guest,
    /// On how many threads they are emulated.
    pub threads: Threads,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory of the guest.
    pub memory_mib: u32,
    /// From the host into the guest.
    pub copies: Vec<(PathBuf, PathBuf)>,
    /// From the guest to the host, once the command has ended.
    pub fetches: Vec<(PathBuf, PathBuf)>,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// Words for the kernel's command line.
    pub append: String,
    /// Whether a kernel report is the command's own business.
    pub allow_report: bool,
    /// Empty for a shell.
    pub command: Vec<String>,
}

impl VmRequest {
    /// A request with the lab's defaults.
    pub fn new(kernel: &str, command: &[&str]) -> Self {
        Self {
            kernel: kernel.to_owned(),
            guest: Guest::Minimal,
            threads: Threads::OnePerCpu,
            cpus: DEFAULT_CPUS,
            memory_mib: DEFAULT_MEMORY_MIB,
            copies: Vec::new(),
            fetches: Vec::new(),
            timeout: None,
            append: String::new(),
            allow_report: false,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
}
