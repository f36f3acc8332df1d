// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `malloc` and recursion do to an address space, drawn from what the demo's scene measured.
//!
//! The guest writes CSV, and only once it has checked what the titles here say. Beside each `.csv` come
//! an `.svg` and a `.png`, and a page that shows them all.

mod bars;
mod chart;
mod figure;
mod page;
mod plots;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use plots::Plot;

/// The experiments by the names of their files, and how each is drawn.
type Draw = fn(Vec<samples::Sample>) -> Result<Plot>;
const EXPERIMENTS: [(&str, Draw); 3] = [
    ("heap", plots::heap),
    ("stack", plots::stack),
    ("steps", plots::steps),
];

/// Draws what lies in a folder, measured on a kernel of that release; the result is the page.
pub fn draw(folder: &Path, release: &str) -> Result<PathBuf> {
    let mut plots = Vec::new();
    for (name, draw) in EXPERIMENTS {
        let path = folder.join(format!("{name}.csv"));
        let plot = plot(&path, draw).with_context(|| format!("drawing {}", path.display()))?;
        plots.push((name, plot));
    }
    let page = folder.join("index.html");
    fs::write(&page, page::render(&plots, release)?)?;
    Ok(page)
}

fn plot(csv: &Path, draw: Draw) -> Result<Plot> {
    let plot = draw(samples::parse(&fs::read_to_string(csv)?)?)?;
    fs::write(csv.with_extension("svg"), figure::svg(&*plot.figure)?)?;
    fs::write(csv.with_extension("png"), figure::png(&*plot.figure)?)?;
    Ok(plot)
}
