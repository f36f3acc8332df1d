// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vm_layout`: its figures against `/proc`, its page tables against a program that knows its own,
//! what it refuses, and the weather.

mod faults;
mod figures;
mod page_tables;
mod refusals;
mod storms;
