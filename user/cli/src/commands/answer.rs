// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all commands with rows do in the same way: order, choose, write, and do it again.

use std::thread;

use anyhow::Result;
use serde::Serialize;

use crate::args::{Format, FormatArgs};
use crate::error::Status;
use crate::report::Report;
use crate::show::{self, Look, Row, Unit};
use crate::ui::Ui;

/// Lists the columns, if that is all that is wanted.
pub fn lists_columns<R: Row>(args: &FormatArgs, ui: &mut Ui) -> bool {
    if args.wants_list() {
        ui.write(show::list::<R>().as_bytes());
    }
    args.wants_list()
}

/// Answers once, or again and again.
pub fn repeat(
    args: &FormatArgs,
    ui: &mut Ui,
    mut answer: impl FnMut(&mut Ui) -> Result<Status>,
) -> Result<Status> {
    let Some(pause) = args.watch else {
        return answer(ui);
    };
    loop {
        answer(ui)?;
        ui.renew()?;
        thread::sleep(pause);
    }
}

/// Writes an answer in the format that is wanted. `last` is a line for people below the table.
pub fn write<R, X>(
    args: &FormatArgs,
    ui: &mut Ui,
    mut report: Report<R, X>,
    usual_order: Option<&str>,
    last: impl FnOnce(&Report<R, X>) -> String,
) -> Result<Status>
where
    R: Row + Serialize,
    X: Serialize,
{
    let columns = show::picked::<R>(&args.columns)?;
    if let Some(order) = args.sort.as_deref().or(usual_order) {
        show::ordered(&mut report.rows, order)?;
    }
    report.rows.truncate(args.top.unwrap_or(usize::MAX));
    let totals = report.totals.as_ref().filter(|_| args.totals);
    let rows = report.rows.iter().chain(totals);
    match args.format() {
        Format::Json if args.watch.is_some() => show::json_line(ui, &report)?,
        Format::Json => show::json(ui, &report)?,
        Format::Csv => show::csv(ui, &columns, rows, !args.no_header)?,
        Format::Table => {
            let unit = if args.bytes { Unit::Bytes } else { Unit::Human };
            let with_header = !args.no_header;
            show::table(ui, Look { unit, with_header }, columns, rows);
            let last = last(&report);
            if with_header && !last.is_empty() {
                ui.line(&last);
            }
        }
    }
    Ok(report.note_left_out(ui))
}
