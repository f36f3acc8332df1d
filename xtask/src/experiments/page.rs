// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page with everything, that needs nothing else.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figure;
use super::plots::Plot;
use super::samples::Sample;

const STYLE: &str = "
body { font: 16px/1.5 sans-serif; color: #222; background: #fff; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
figure { margin: 1rem 0; break-inside: avoid }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 0.8rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.1rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
summary { cursor: pointer }";

/// The page of plots by the names of their files, measured on a kernel of that release.
pub fn render(plots: &[(&str, Plot)], release: &str) -> Result<String> {
    let sections = plots
        .iter()
        .map(|(name, plot)| section(name, plot))
        .collect::<Result<Vec<_>>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Experiments with an address space" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Experiments with an address space" }
                p {
                    "Measured on Linux " (release) " with the module vm_layout, which was "
                    "loaded after each step of the program app. Each figure was equal to what "
                    "/proc said at the same moment."
                }
                @for section in &sections { (section) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(name: &str, plot: &Plot) -> Result<Markup> {
    let svg = figure::svg(&*plot.figure)?;
    Ok(html! {
        section {
            figure role="img" aria-label=(plot.figure.description()) { (PreEscaped(svg)) }
            p { (plot.text) }
            details {
                summary { "The numbers, in KiB (" (name) ".csv has bytes)" }
                (table(&plot.samples))
            }
        }
    })
}

fn table(samples: &[Sample]) -> Markup {
    let kib = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0);
    html! {
        table {
            tr {
                @for head in ["step", "answer", "VMAs", "heap", "stack", "mappings", "rss", "page tables"] {
                    th { (head) }
                }
            }
            @for sample in samples {
                tr {
                    td { (sample.step) }
                    td { (kib(sample.answer)) }
                    td { (sample.vmas) }
                    td { (kib(sample.heap)) }
                    td { (kib(sample.stack)) }
                    td { (kib(sample.mappings)) }
                    td { (kib(sample.rss)) }
                    td { (kib(sample.page_tables)) }
                }
            }
        }
    }
}
