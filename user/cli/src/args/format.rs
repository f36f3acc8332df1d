// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an answer is written.

use std::time::Duration;

/// How an answer is written.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Format")]
pub struct FormatArgs {
    /// One JSON object, whose form is in schema/COMMAND.json: sizes in bytes, what is not known is null
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Comma-separated values: sizes in bytes, what is not known is empty
    #[arg(long)]
    csv: bool,

    /// Order by this column, largest first; `help` lists them
    #[arg(long, value_name = "KEY")]
    pub sort: Option<String>,

    /// Show these columns; `help` lists them
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub columns: Vec<String>,

    /// Leave out the line with the columns' names
    #[arg(long)]
    pub no_header: bool,

    /// Add a line with the sums
    #[arg(long)]
    pub totals: bool,

    /// Show the first N only
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,

    /// Show sizes as plain numbers of bytes
    #[arg(long)]
    pub bytes: bool,

    /// Answer again every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub watch: Option<Duration>,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// An object.
    Json,
    /// Comma-separated values.
    Csv,
}

impl FormatArgs {
    /// The format.
    pub fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => Format::Table,
        }
    }

    /// Whether only the columns are to be listed.
    pub fn wants_list(&self) -> bool {
        let mut words = self.sort.iter().chain(&self.columns);
        words.any(|word| word == "help")
    }
}

/// A time of at least a tenth of a second.
fn seconds(word: &str) -> Result<Duration, String> {
    let seconds: f64 = word.parse().map_err(|_| "not a number".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time >= Duration::from_millis(100) => Ok(time),
        _ => Err("from 0.1 on".to_owned()),
    }
}
