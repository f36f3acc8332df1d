// SPDX-License-Identifier: GPL-2.0
//! Files in /proc.

pub mod procfile;
mod sys;
