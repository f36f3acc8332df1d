// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formats, one a file, and what they show: rows of cells.

mod bar;
mod column;
mod csv;
mod json;
mod table;
mod units;

pub use bar::{Bar, Paint};
pub use column::{list, ordered, picked, Cell, Column, Row};
pub use csv::csv;
pub use json::{json, json_line};
pub use table::{cut, table, Look};
pub use units::Unit;
