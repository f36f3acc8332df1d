// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page with everything, that needs nothing else.

use anyhow::Result;
use maud::{html, Markup, PreEscaped, DOCTYPE};

use super::figure;
use super::measure::Sample;
use super::Experiment;

const STYLE: &str = "
body { font: 16px/1.5 sans-serif; color: #222; background: #fff; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
figure { margin: 1rem 0; break-inside: avoid }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 0.8rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.1rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
summary { cursor: pointer }";

/// The page.
pub fn render(experiments: &[Experiment]) -> Result<String> {
    let sections = experiments
        .iter()
        .map(section)
        .collect::<Result<Vec<_>>>()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
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
                    "Measured on Linux " (kernel.trim()) " with the module vm_layout, which was "
                    "loaded after each step of the program app. Each figure was equal to what "
                    "/proc said at the same moment."
                }
                @for section in &sections { (section) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(experiment: &Experiment) -> Result<Markup> {
    let svg = figure::svg(&*experiment.figure)?;
    Ok(html! {
        section {
            figure role="img" aria-label=(experiment.figure.description()) { (PreEscaped(svg)) }
            p { (experiment.text) }
            details {
                summary { "The numbers, in KiB (" (experiment.name) ".csv has bytes)" }
                (table(&experiment.samples))
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
                    td { (sample.layout.vma_count) }
                    td { (kib(sample.heap())) }
                    td { (kib(sample.stack())) }
                    td { (kib(sample.layout.anonymous_bytes())) }
                    td { (kib(sample.rss())) }
                    td { (kib(sample.layout.page_tables)) }
                }
            }
        }
    }
}
