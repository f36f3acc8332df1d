// SPDX-License-Identifier: MIT OR Apache-2.0
//! The experiments: what is done, and what must come out.

use anyhow::Result;

use super::measure::{Sample, Subject};
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

/// Bytes that `malloc` was asked for, against what became of heap and mappings.
pub fn heap(narrator: &Narrator) -> Result<Vec<Sample>> {
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
    Ok(samples)
}

/// Depth of recursion against the size of the stack, on the way down and back.
pub fn stack(narrator: &Narrator) -> Result<Vec<Sample>> {
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
    // The start is no sample of the experiment: nothing recursed.
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
    Ok(samples)
}

/// VMAs, resident memory and page tables over a life of allocating and freeing.
pub fn steps(narrator: &Narrator) -> Result<Vec<Sample>> {
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
    Ok(samples)
}
