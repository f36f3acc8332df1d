// SPDX-License-Identifier: GPL-2.0
//! Page tables.

pub mod entry;
mod leaves;
mod sys;
pub mod table;
pub mod walk;
