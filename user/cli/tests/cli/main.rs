// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real binary, as people and scripts run it.

mod capture;
mod docs;
mod doctor;
mod one;
mod oracle;
mod ps;
mod rights;
mod support;
mod tree;
mod usage;
