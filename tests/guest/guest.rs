// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that run as root inside the VM, one after the other.
//!
//! Each loads the module that it needs and leaves the guest as it was. They assert what a
//! user sees; whether the kernel complained meanwhile (KASAN, lockdep, oops) is for the
//! lab, which watches the console. None asserts a time.

// Its `#[test]` takes the place of the standard one.
#[macro_use]
extern crate guest_test;

mod command;
mod elf32;
mod failing;
mod full;
mod hello;
mod kshram;
mod memory_info;
mod memuse;
mod pagelens_device;
mod pf_stat;
mod runner;
mod stopped;
mod support;
mod vm_layout;

fn main() -> anyhow::Result<std::process::ExitCode> {
    runner::main()
}
