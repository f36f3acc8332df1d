// SPDX-License-Identifier: GPL-2.0
//! Processes, their address spaces and memory areas, and who may look into them.

pub mod layout;
pub mod mm;
mod sys;
pub mod target;
pub mod task;
mod threads;
