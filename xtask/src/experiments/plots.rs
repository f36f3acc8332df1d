// SPDX-License-Identifier: MIT OR Apache-2.0
//! The experiments: how each is drawn and told.

use anyhow::{Context as _, Result};

use super::bars::Bars;
use super::chart::{Axis, Chart, Dash, Marker, Note, Series, Side};
use super::figure::Figure;
use super::samples::Sample;

const KIB: f64 = (1 << 10) as f64;
const MIB: f64 = (1 << 20) as f64;

/// A drawing, and what it was drawn from.
pub struct Plot {
    pub figure: Box<dyn Figure>,
    /// What was done and how it is to be read.
    pub text: &'static str,
    pub samples: Vec<Sample>,
}

/// Bytes that `malloc` was asked for, against what became of heap and mappings.
pub fn heap(samples: Vec<Sample>) -> Result<Plot> {
    let first = samples.first().context("no samples")?;
    // The small blocks map nothing: the last one before something is mapped.
    let small = samples.iter().take_while(|s| s.mappings == first.mappings);
    let border = small.last().unwrap_or(first).answer as f64 / MIB;
    let points = |height: &dyn Fn(&Sample) -> u64| {
        let from = height(first) as f64;
        let point = |s: &Sample| (s.answer as f64 / MIB, (height(s) as f64 - from) / MIB);
        samples.iter().map(point).collect()
    };
    let figure = Chart {
        title: vec![
            "malloc extends the heap for blocks of 127 KiB,".into(),
            "and leaves it alone for blocks of 129 KiB".into(),
        ],
        x: Axis::new("bytes in malloc'ed blocks (MiB)"),
        y: Axis::new("extension since the start (MiB)"),
        notes: vec![Note {
            x: border,
            left: "blocks of 127 KiB".into(),
            right: "blocks of 129 KiB".into(),
        }],
        series: vec![
            reference(
                "as much as was asked for",
                (13, Side::Above),
                points(&|s| s.answer),
            ),
            discs("heap (brk)", (14, Side::Above), points(&|s| s.heap)),
            squares(
                "mappings (mmap)",
                (12, Side::Below),
                points(&|s| s.mappings),
            ),
        ],
    };
    Ok(Plot {
        text: "Eight times six blocks of 127 KiB, then eight times six of 129 KiB, none of them \
               touched. glibc's malloc moves the end of the heap (brk) for requests below its \
               threshold of 128 KiB, in steps of at least 132 KiB, and asks the kernel for a \
               mapping of its own (mmap) from there on.",
        samples,
        figure: Box::new(figure),
    })
}

/// Depth of recursion against the size of the stack, on the way down and back.
pub fn stack(samples: Vec<Sample>) -> Result<Plot> {
    let deepest = samples.iter().map(|sample| sample.depth).max();
    let deepest = deepest.context("no samples")?;
    let turn = samples.iter().position(|sample| sample.depth == deepest);
    let turn = turn.unwrap_or_default();
    let points = |samples: &[Sample], height: fn(&Sample) -> u64| {
        let point = |s: &Sample| (s.depth as f64, height(s) as f64 / KIB);
        samples.iter().map(point).collect()
    };
    let (down, back) = (&samples[..=turn], &samples[turn..]);
    let figure = Chart {
        title: vec![
            "The stack grows with the recursion once 132 KiB are used,".into(),
            "and never shrinks".into(),
        ],
        x: Axis::new("depth of recursion (calls)"),
        y: Axis::new("size of the stack's mapping (KiB)"),
        notes: Vec::new(),
        series: vec![
            reference(
                "used by the recursion",
                (11, Side::Below),
                points(down, |s| s.answer),
            ),
            discs(
                "deeper and deeper",
                (14, Side::Above),
                points(down, |s| s.stack),
            ),
            squares(
                "less and less deep afterwards",
                (11, Side::Above),
                points(back, |s| s.stack),
            ),
        ],
    };
    Ok(Plot {
        text: "A function with a frame of a little over 1 KiB calls itself, returns, and is called \
               again for a deeper recursion; then for shallower ones. The kernel extends the \
               stack's mapping when a page below it is touched, up to RLIMIT_STACK, and never \
               takes it back.",
        samples,
        figure: Box::new(figure),
    })
}

/// VMAs, resident memory and page tables over a life of allocating and freeing.
pub fn steps(samples: Vec<Sample>) -> Result<Plot> {
    let title = [
        "Every second small block freed: nothing comes back.",
        "Every second large block freed: half comes back, one VMA becomes nine",
    ];
    Ok(Plot {
        text: "One life of a program, without transparent huge pages. The small blocks lie in the \
               heap, four to a page: a page is free only when all its blocks are. Each has a \
               header, so that malloc itself touches their pages. The large ones are mappings that \
               lie side by side, which the kernel keeps as one VMA until some go.",
        figure: Box::new(Bars::new(&title, &samples)),
        samples,
    })
}

/// What the others are compared with.
fn reference(label: &str, place: (usize, Side), points: Vec<(f64, f64)>) -> Series {
    series(label, place, (Marker::None, Dash::Dotted), points)
}

fn discs(label: &str, place: (usize, Side), points: Vec<(f64, f64)>) -> Series {
    series(label, place, (Marker::Disc, Dash::Solid), points)
}

fn squares(label: &str, place: (usize, Side), points: Vec<(f64, f64)>) -> Series {
    series(label, place, (Marker::Square, Dash::Dashed), points)
}

fn series(
    label: &str,
    (label_at, side): (usize, Side),
    (marker, dash): (Marker, Dash),
    points: Vec<(f64, f64)>,
) -> Series {
    Series {
        label: label.to_owned(),
        label_at,
        side,
        marker,
        dash,
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::{figure, samples};

    const CSV: &str = "\
step,depth,answer,vmas,heap,stack,anonymous_mappings,rss,total_vm,page_tables
\"start\",0,0,13,139264,135168,8192,1236992,2699264,40960
\"recurse 50 deep\",50,57600,13,139264,135168,8192,1236992,2699264,40960
\"recurse 0 deep\",0,0,13,139264,135168,8192,1236992,2699264,40960
";

    #[test]
    fn a_figure_says_its_title_and_names_its_series() {
        for (draw, words) in [
            (
                heap as fn(_) -> _,
                ["extends the heap", "extension since the start"],
            ),
            (stack, ["grows with the recursion", "depth of recursion"]),
            (steps, ["nothing comes back", "2. recurse 50 deep"]),
        ] {
            let plot = draw(samples::parse(CSV).unwrap()).unwrap();
            let svg = figure::svg(&*plot.figure).unwrap();
            for words in words {
                assert!(svg.contains(words), "`{words}`");
            }
        }
    }

    #[test]
    fn without_samples_there_is_no_line() {
        assert!(heap(Vec::new()).is_err());
        assert!(stack(Vec::new()).is_err());
    }
}
