// SPDX-License-Identifier: MIT OR Apache-2.0
//! Comma-separated values, as RFC 4180 has them.

use anyhow::Result;
use pagelens::processes::harmless;

use crate::show::Column;
use crate::ui::Ui;

/// Writes rows. The first line has the keys of JSON.
pub fn csv<'a, R: 'a>(
    ui: &mut Ui,
    columns: &[Column<R>],
    rows: impl IntoIterator<Item = &'a R>,
    with_header: bool,
) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer.write_record(columns.iter().map(Column::json_key))?;
    }
    // Programs get what is there; on a terminal nothing is obeyed.
    let is_terminal = ui.is_terminal();
    let shown = |text: String| match is_terminal {
        true => harmless(&text),
        false => text,
    };
    for row in rows {
        let cells = columns.iter().map(|column| (column.cell)(row).plain());
        writer.write_record(cells.map(shown))?;
    }
    ui.write(&writer.into_inner()?);
    Ok(())
}
