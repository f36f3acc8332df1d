// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table for people, as wide as the terminal at most.

use comfy_table::{presets, CellAlignment, ContentArrangement, Table};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::show::{Cell, Column, Unit};
use crate::ui::Ui;

/// How a table looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// How sizes are written.
    pub unit: Unit,
    /// Whether the columns' names stand above it.
    pub with_header: bool,
}

/// Columns between two columns.
const GAP: usize = 2;
/// The least that is left of the last column.
const LEAST: usize = 8;

/// Writes rows. Where the terminal is too narrow, columns are left out from the right, but not the last,
/// which is cut.
pub fn table<'a, R: 'a>(
    ui: &mut Ui,
    look: Look,
    mut columns: Vec<Column<R>>,
    rows: impl IntoIterator<Item = &'a R>,
) {
    let rows: Vec<&R> = rows.into_iter().collect();
    let cells =
        |column: &Column<R>| -> Vec<Cell> { rows.iter().map(|row| (column.cell)(row)).collect() };
    let mut written: Vec<Written> = columns
        .iter()
        .map(|column| Written::new(column.title, &cells(column), look))
        .collect();
    let left_out = ui.width().map_or(0, |width| fit(&mut written, width));
    columns.truncate(written.len());
    ui.line(&render(&written, rows.len(), look.with_header));
    if left_out > 0 {
        ui.note(&format!(
            "{left_out} columns do not fit: widen the terminal, or pick some with --columns"
        ));
    }
}

/// A column's text.
struct Written {
    title: &'static str,
    cells: Vec<String>,
    is_number: bool,
    width: usize,
}

impl Written {
    fn new(title: &'static str, cells: &[Cell], look: Look) -> Self {
        let is_number = cells.first().is_some_and(Cell::is_number);
        let cells: Vec<_> = cells.iter().map(|cell| cell.text(look.unit)).collect();
        let title_width = if look.with_header { title.width() } else { 0 };
        let widest = cells.iter().map(|cell| cell.width()).max();
        Self {
            title,
            is_number,
            width: widest.unwrap_or(0).max(title_width),
            cells,
        }
    }
}

/// Leaves out columns until the others fit, and says how many.
fn fit(columns: &mut Vec<Written>, width: usize) -> usize {
    let mut left_out = 0;
    loop {
        let Some((last, others)) = columns.split_last_mut() else {
            return left_out;
        };
        let others_width: usize = others.iter().map(|column| column.width + GAP).sum();
        let room = width.saturating_sub(others_width);
        if room >= last.width.min(LEAST) || others.is_empty() {
            if !last.is_number {
                last.width = last.width.min(room.max(1));
                for cell in &mut last.cells {
                    *cell = cut(cell, last.width);
                }
            }
            return left_out;
        }
        columns.remove(columns.len() - 2);
        left_out += 1;
    }
}

/// Text of at most so many columns; what is missing is shown by a mark.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = width.saturating_sub(1);
    for letter in text.chars() {
        let needed = letter.width().unwrap_or(0);
        if needed > left {
            break;
        }
        left -= needed;
        kept.push(letter);
    }
    kept.push('…');
    kept
}

fn render(columns: &[Written], rows: usize, with_header: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if with_header {
        table.set_header(columns.iter().map(|column| column.title));
    }
    for row in 0..rows {
        let cells = columns.iter().map(|column| column.cells.get(row));
        table.add_row(cells.map(|cell| cell.map_or("", String::as_str)));
    }
    let last = columns.len().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if place == last { 0 } else { GAP as u16 }));
        if columns.get(place).is_some_and(|column| column.is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(texts: &[&str]) -> Vec<Written> {
        let cell = |text: &&str| Cell::Text((*text).to_owned());
        let look = Look {
            unit: Unit::Human,
            with_header: true,
        };
        texts
            .iter()
            .map(|text| Written::new("title", &[cell(text)], look))
            .collect()
    }

    #[test]
    fn columns_go_from_the_right_and_the_last_one_stays() {
        let mut columns = written(&["aaaaaa", "bbbbbb", "the name of it"]);
        assert_eq!(fit(&mut columns, 20), 1);
        assert_eq!(columns[0].cells, ["aaaaaa"]);
        assert_eq!(columns[1].cells, ["the name of…"]);
        assert_eq!(fit(&mut columns, 3), 1);
        assert_eq!(columns[0].cells, ["th…"]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            texts in proptest::collection::vec(".{0,30}", 1..6), width in 1_usize..60
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut columns = written(&texts);
            fit(&mut columns, width);
            for line in render(&columns, 1, true).lines().skip(1) {
                prop_assert!(line.width() <= width, "{line:?} {width}");
            }
        }
    }
}
