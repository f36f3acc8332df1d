// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that run as root inside the VM, one after the other.
//!
//! Each loads the module that it needs and leaves the guest as it was. They assert what a
//! user sees; whether the kernel complained meanwhile (KASAN, lockdep, oops) is for the
//! lab, which watches the console. None asserts a time.

mod failing;
mod full;
mod hello;
mod kshram;
mod memory_info;
mod memuse;
mod pf_stat;
mod stopped;
mod support;
mod vm_layout;
