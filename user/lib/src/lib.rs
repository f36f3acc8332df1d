// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what the Pagelens modules and `/proc` say about memory, as typed answers.
//!
//! What processes have is told by a [`Source`]: the module `pagelens`, or `/proc` without it, or a moment
//! that was kept in a file, all in the same types ([`processes`]).
//!
//! ```
//! use pagelens::processes::{By, Group, Question};
//! use pagelens::{Choice, Source};
//!
//! let source = Source::choose(&Choice::Auto)?;
//! let answer = source.processes(&Question::default())?;
//! for group in Group::make(&answer.processes, By::Name) {
//!     println!("{}: {:?}", group.name, group.figures.pss_bytes);
//! }
//! for left_out in &answer.left_out {
//!     println!("{} processes {}", left_out.processes, left_out.reason.explain());
//! }
//! # Ok::<(), pagelens::Error>(())
//! ```
//!
//! [`device`] speaks with `/dev/pagelens` directly. [`kshram`] talks to the devices of the module of that
//! name. Of programs and their duplicates, [`MemoryInfo`] asks the kernel module `memory_info`; [`proc`]
//! computes the same from `/proc` alone, slowly, and says where `/proc` cannot know (see
//! [`proc::Survey`]). [`ProgramSource`] picks one of them.
//!
//! [`layout`] does the same for how one process's address space is laid out, from the log
//! lines of the module `vm_layout`, which it loads, or from `/proc`.
//! [`pf_stat`] speaks the system calls of the module of that name: copy-on-write faults.
//!
//! [`Memuse`] asks for the bytes of one kind of memory of a process; [`proc::kinds`] adds up the same
//! from `/proc`.
//!
//! Figures are in the units of the interface they come from; for `memory_info` that is
//! pages of 4 KiB. This crate never changes the processes it looks at.

#![deny(unsafe_code)]

pub mod device;
pub mod diff;
mod error;
mod kmsg;
pub mod kshram;
pub mod layout;
mod memory_info;
mod memuse;
pub mod pf_stat;
pub mod proc;
pub mod processes;
mod program;
mod program_source;
pub mod source;
mod syscall;

pub use error::{Error, Reason, Result};
pub use kmsg::KernelLog;
pub use memory_info::MemoryInfo;
pub use memuse::{Kind, Memuse};
pub use program::{Duplicates, Program};
pub use program_source::ProgramSource;
pub use source::{Capture, Choice, Source};

/// Bytes in a page, the unit in which page tables map memory on x86-64.
pub const PAGE_SIZE: usize = 4096;
