// SPDX-License-Identifier: MIT OR Apache-2.0
//! The experiments: what is done, what must come out, and how it is drawn.

use anyhow::Result;

use super::chart::{Axis, Chart, Dash, Marker, Note, Series, Side};
use super::measure::{Sample, Subject};
use super::steps::Steps;
use super::Experiment;
use crate::narrator::Narrator;

const KIB: u64 = 1 << 10;
const MIB: f64 = (1 << 20) as f64;
/// Blocks of this size and less come from the heap, larger ones from mappings.
const THRESHOLD_KIB: u64 = 128;

/// By how much `what` grew since the first sample, for each sample.
fn growth(samples: &[Sample], what: impl Fn(&Sample) -> u64) -> Vec<i64> {
    let first = samples.first().map_or(0, &what) as i64;
    samples.iter().map(|s| what(s) as i64 - first).collect()
}

/// Points whose x is what the program answered; `scale` makes the axis's unit of it.
fn points(samples: &[Sample], heights: &[i64], scale: f64) -> Vec<(f64, f64)> {
    samples
        .iter()
        .zip(heights)
        .map(|(sample, height)| (sample.answer as f64 / scale, *height as f64 / MIB))
        .collect()
}

/// Bytes that `malloc` was asked for, against what became of heap and mappings.
pub fn heap(narrator: &Narrator) -> Result<Experiment> {
    const STEPS: u64 = 8;
    const BLOCKS: u64 = 6;
    let mut app = Subject::start()?;
    for size in [THRESHOLD_KIB - 1, THRESHOLD_KIB + 1] {
        for _ in 0..STEPS {
            let step = format!("malloc:{}:{BLOCKS}", size * KIB);
            app.step(&format!("malloc {BLOCKS} x {size} KiB"), &step)?;
        }
    }
    let samples = app.samples;
    let heap = growth(&samples, Sample::heap);
    let mapped = growth(&samples, |sample| sample.layout.anonymous_bytes());
    let below = STEPS as usize;
    let (small, large) = (&heap[..=below], &heap[below..]);
    narrator.check(
        "blocks of 127 KiB extend the heap by what was asked for, give or take 264 KiB, and map nothing",
        mapped[below] == 0
            && small
                .iter()
                .zip(&samples)
                .all(|(grown, sample)| (grown - sample.answer as i64).abs() <= 264 * KIB as i64),
    )?;
    let asked = (samples[samples.len() - 1].answer - samples[below].answer) as i64;
    let got = mapped[mapped.len() - 1];
    narrator.check(
        "blocks of 129 KiB leave the heap alone: each becomes a mapping, rounded up to pages",
        large.iter().all(|grown| *grown == large[0])
            && got == asked / (129 * KIB as i64) * (132 * KIB as i64),
    )?;
    let asked_for: Vec<i64> = samples.iter().map(|sample| sample.answer as i64).collect();
    let figure = Chart {
        title: vec![
            "malloc extends the heap for blocks of 127 KiB,".into(),
            "and leaves it alone for blocks of 129 KiB".into(),
        ],
        x: Axis::new("bytes in malloc'ed blocks (MiB)"),
        y: Axis::new("extension since the start (MiB)"),
        notes: vec![Note {
            x: samples[below].answer as f64 / MIB,
            left: "blocks of 127 KiB".into(),
            right: "blocks of 129 KiB".into(),
        }],
        series: vec![
            Series {
                label: "as much as was asked for".into(),
                label_at: 13,
                side: Side::Above,
                marker: Marker::None,
                dash: Dash::Dotted,
                points: points(&samples, &asked_for, MIB),
            },
            Series {
                label: "heap (brk)".into(),
                label_at: 14,
                side: Side::Above,
                marker: Marker::Disc,
                dash: Dash::Solid,
                points: points(&samples, &heap, MIB),
            },
            Series {
                label: "mappings (mmap)".into(),
                label_at: 12,
                side: Side::Below,
                marker: Marker::Square,
                dash: Dash::Dashed,
                points: points(&samples, &mapped, MIB),
            },
        ],
    };
    Ok(Experiment {
        name: "heap",
        text: "Eight times six blocks of 127 KiB, then eight times six of 129 KiB, none of them \
               touched. glibc's malloc moves the end of the heap (brk) for requests below its \
               threshold of 128 KiB, in steps of at least 132 KiB, and asks the kernel for a \
               mapping of its own (mmap) from there on.",
        samples,
        figure: Box::new(figure),
    })
}

/// Depth of recursion against the size of the stack, on the way down and back.
pub fn stack(narrator: &Narrator) -> Result<Experiment> {
    const STEP: usize = 50;
    const DEEPEST: usize = 1000;
    let mut app = Subject::start()?;
    let down: Vec<usize> = (0..=DEEPEST).step_by(STEP).collect();
    let back = down.iter().rev().skip(1);
    for depth in down.iter().chain(back) {
        app.step(
            &format!("recurse {depth} deep"),
            &format!("recurse:{depth}"),
        )?;
    }
    // The start is no point of the plot: nothing recursed.
    let mut samples = app.samples;
    let start = samples.remove(0);
    let (down_samples, back_samples) = samples.split_at(down.len());
    let deepest = &down_samples[down.len() - 1];
    narrator.check(
        "the stack is as it began until the recursion needs more, then it grows with it",
        down_samples.iter().all(|sample| {
            let fits = start.stack().max(sample.answer);
            (fits..fits + 160 * KIB).contains(&sample.stack())
        }) && deepest.stack() > 7 * start.stack(),
    )?;
    narrator.check(
        "it stays as large as it ever was when the recursion returns",
        back_samples
            .iter()
            .all(|sample| sample.stack() == deepest.stack()),
    )?;
    let depths = |samples: &[Sample], depths: &[usize], what: fn(&Sample) -> u64| {
        let points = depths.iter().zip(samples);
        points
            .map(|(depth, sample)| (*depth as f64, what(sample) as f64 / KIB as f64))
            .collect()
    };
    let back: Vec<usize> = down.iter().rev().copied().collect();
    let figure = Chart {
        title: vec![
            "The stack grows with the recursion once 132 KiB are used,".into(),
            "and never shrinks".into(),
        ],
        x: Axis::new("depth of recursion (calls)"),
        y: Axis::new("size of the stack's mapping (KiB)"),
        notes: Vec::new(),
        series: vec![
            Series {
                label: "used by the recursion".into(),
                label_at: 11,
                side: Side::Below,
                marker: Marker::None,
                dash: Dash::Dotted,
                points: depths(down_samples, &down, |sample| sample.answer),
            },
            Series {
                label: "deeper and deeper".into(),
                label_at: 14,
                side: Side::Above,
                marker: Marker::Disc,
                dash: Dash::Solid,
                points: depths(down_samples, &down, Sample::stack),
            },
            Series {
                label: "less and less deep afterwards".into(),
                label_at: 11,
                side: Side::Above,
                marker: Marker::Square,
                dash: Dash::Dashed,
                points: depths(&samples[down.len() - 1..], &back, Sample::stack),
            },
        ],
    };
    Ok(Experiment {
        name: "stack",
        text:
            "A function with a frame of a little over 1 KiB calls itself, returns, and is called \
               again for a deeper recursion; then for shallower ones. The kernel extends the \
               stack's mapping when a page below it is touched, up to RLIMIT_STACK, and never \
               takes it back.",
        samples,
        figure: Box::new(figure),
    })
}

/// VMAs, resident memory and page tables over a life of allocating and freeing.
pub fn steps(narrator: &Narrator) -> Result<Experiment> {
    let mut app = Subject::start()?;
    for (words, step) in [
        ("malloc 8000 x 1 KiB", "malloc:1024:8000"),
        ("write to them", "touch"),
        ("free every second", "free:2"),
        ("malloc_trim", "trim"),
        ("free the others", "free:1"),
        ("malloc 16 x 1 MiB", "malloc:1048576:16"),
        ("write to them", "touch"),
        ("free every second", "free:2"),
        ("free the others", "free:1"),
        ("recurse 5000 deep", "recurse:5000"),
    ] {
        app.step(words, step)?;
    }
    let samples = app.samples;
    let rss = |index: usize| samples[index].rss() as f64 / MIB;
    let vmas = |index: usize| samples[index].layout.vma_count;
    narrator.check(
        "small blocks are resident at once, as malloc writes a header before each; large ones when they are written",
        rss(1) - rss(0) > 7.0 && rss(2) - rss(1) < 0.5 && rss(6) - rss(5) < 1.0 && rss(7) > 16.0,
    )?;
    narrator.check(
        "freeing every second small block gives nothing back, not even with malloc_trim; freeing all does",
        (rss(2) - rss(4)).abs() < 0.5 && rss(2) - rss(5) > 7.0,
    )?;
    narrator.check(
        "freeing every second large block gives half of them back and makes nine VMAs of one",
        (rss(7) - rss(8) - 8.0).abs() < 0.5 && vmas(8) == vmas(7) + 8 && vmas(9) == vmas(5),
    )?;
    Ok(Experiment {
        name: "steps",
        text: "One life of a program, without transparent huge pages. The small blocks lie in the \
               heap, four to a page: a page is free only when all its blocks are. Each has a \
               header, so that malloc itself touches their pages. The large ones are mappings that \
               lie side by side, which the kernel keeps as one VMA until some go.",
        figure: Box::new(Steps::new(
            &[
                "Every second small block freed: nothing comes back.",
                "Every second large block freed: half comes back, one VMA becomes nine",
            ],
            &samples,
        )),
        samples,
    })
}
