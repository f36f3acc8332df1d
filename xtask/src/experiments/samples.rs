// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest measured, out of its comma-separated values.

use anyhow::{Context as _, Result, ensure};

/// The columns, as the demo's scene writes them; sizes in bytes.
const COLUMNS: &str =
    "step,depth,answer,vmas,heap,stack,anonymous_mappings,rss,total_vm,page_tables";

/// The address space after a step.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    /// The step in words.
    pub step: String,
    /// How deep it recursed, in calls.
    pub depth: u64,
    /// Bytes in live blocks, or the stack that a recursion took.
    pub answer: u64,
    pub vmas: u64,
    pub heap: u64,
    pub stack: u64,
    pub mappings: u64,
    pub rss: u64,
    pub page_tables: u64,
}

/// All samples of an experiment.
pub fn parse(csv: &str) -> Result<Vec<Sample>> {
    let mut lines = csv.lines();
    let head = lines.next().unwrap_or_default();
    ensure!(head == COLUMNS, "the columns are `{head}`, not `{COLUMNS}`");
    lines
        .map(|line| sample(line).with_context(|| format!("`{line}`")))
        .collect()
}

fn sample(line: &str) -> Result<Sample> {
    let quoted = line
        .strip_prefix('"')
        .and_then(|rest| rest.split_once("\","));
    let (step, figures) = quoted.context("no step in quotes")?;
    let figures: Vec<u64> = figures
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [
        depth,
        answer,
        vmas,
        heap,
        stack,
        mappings,
        rss,
        _total_vm,
        page_tables,
    ] = figures[..]
    else {
        anyhow::bail!("{} figures", figures.len());
    };
    Ok(Sample {
        step: step.to_owned(),
        depth,
        answer,
        vmas,
        heap,
        stack,
        mappings,
        rss,
        page_tables,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_read_out_of_its_column() {
        let csv = format!("{COLUMNS}\n\"recurse 5 deep\",5,1,2,3,4,6,7,8,9\n");
        let sample = Sample {
            step: "recurse 5 deep".into(),
            depth: 5,
            answer: 1,
            vmas: 2,
            heap: 3,
            stack: 4,
            mappings: 6,
            rss: 7,
            page_tables: 9,
        };
        assert_eq!(parse(&csv).unwrap(), [sample]);
    }

    #[test]
    fn other_columns_and_short_rows_are_refused() {
        assert!(parse("step,answer\n").is_err());
        for row in [
            "start,0,0,0,0,0,0,0,0,0",
            "\"start\",0,0",
            "\"start\",x,0,0,0,0,0,0,0,0",
        ] {
            assert!(parse(&format!("{COLUMNS}\n{row}\n")).is_err(), "{row}");
        }
    }
}
