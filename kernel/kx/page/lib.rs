// SPDX-License-Identifier: GPL-2.0
//! Page tables.

mod sys;
pub mod table;
pub mod walk;
