// SPDX-License-Identifier: GPL-2.0
//! Which processes there are in a scope, and what the kernel says of them, of their memory and of its
//! areas without a look at page tables.

pub mod facts;
pub mod scope;
mod sys;
