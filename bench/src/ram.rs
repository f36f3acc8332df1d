// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAM maps of `/dev/pagelens` against reading kpageflags, kpagecount and kpagecgroup.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use anyhow::{ensure, Context, Result};
use pagelens::device::ram::{Question, Ram, RAM_FREE, RAM_KSM, RAM_SLAB};
use pagelens::device::Device;
use workloads::{Module, SysSetting, Workload};

use crate::harness::{alternate, milliseconds, print, ratio};

const ROUNDS: usize = 5;
const FRAME: u64 = 4096;
const GIB: u64 = 1 << 30;
const FILES: [&str; 3] = ["/proc/kpageflags", "/proc/kpagecount", "/proc/kpagecgroup"];

pub fn run() -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    let device = Device::open()?;
    let all = look(&device, &Question::default())?;
    let end = all.end.bytes.next_multiple_of(GIB);
    let mut rows = vec![compare(&device, "as it is", 0..end)?];
    let _never = SysSetting::huge_pages("never")?;
    // Half of all memory in small pages, and some of it in files.
    let pages = all.of_kind(RAM_FREE).bytes / FRAME / 2;
    let _holder = Workload::start("holder", &[format!("rw:aa:{pages}")])?;
    let file = "/tmp/pagelens-bench-ram";
    fs::write(file, vec![7; 300 << 20])?;
    for gib in [1, 2, end / GIB] {
        rows.push(compare(&device, "half full", 0..gib * GIB)?);
    }
    fs::remove_file(file)?;
    print(
        "A RAM map with cgroups, and with files too, in ms, against the three files with a word for each frame.",
        &["memory", "GiB", "map", "ns a frame", "with files", "files", "ratio", "ratio with files"],
        &rows,
    );
    Ok(())
}

fn look(device: &Device, question: &Question) -> Result<Ram> {
    Ok(Ram::read(device.ram(question)?)?)
}

fn compare(device: &Device, what: &str, addresses: std::ops::Range<u64>) -> Result<Vec<String>> {
    let groups = Question {
        with_groups: true,
        addresses: addresses.clone(),
        ..Question::default()
    };
    let files = Question {
        with_files: true,
        ..groups.clone()
    };
    let frames = look(device, &groups)?.end.bytes / FRAME;
    let end = addresses.end / FRAME;
    agree(&look(device, &groups)?, end)?;
    let [map, with_files, words] = alternate(
        ROUNDS,
        [
            &mut || look(device, &groups).map(drop),
            &mut || look(device, &files).map(drop),
            &mut || FILES.iter().try_for_each(|file| words(file, end, |_| ())),
        ],
    )?;
    Ok(vec![
        what.to_owned(),
        format!("{}", addresses.end / GIB),
        milliseconds(map),
        format!("{:.0}", map.as_secs_f64() * 1e9 / frames as f64),
        milliseconds(with_files),
        milliseconds(words),
        format!("{:.1}", ratio(words, map)),
        format!("{:.1}", ratio(words, with_files)),
    ])
}

/// Reads a file up to a frame, by large pieces.
fn words(file: &str, end: u64, mut each: impl FnMut(u64)) -> Result<()> {
    let from = File::open(file).context(file.to_owned())?;
    let mut piece = vec![0; 1 << 20];
    let mut at = 0;
    while at < end * 8 {
        let most = (end * 8 - at).min(piece.len() as u64) as usize;
        let count = from.read_at(&mut piece[..most], at)?;
        if count == 0 {
            break;
        }
        for word in piece[..count].chunks_exact(8) {
            each(u64::from_ne_bytes(word.try_into()?));
        }
        at += count as u64;
    }
    Ok(())
}

/// Makes sure that both sides say the same of what does not change by itself.
fn agree(map: &Ram, end: u64) -> Result<()> {
    for (kind, bit) in [(RAM_FREE, 10), (RAM_SLAB, 7), (RAM_KSM, 21)] {
        let mut theirs = 0;
        words(FILES[0], end, |flags| theirs += flags >> bit & 1)?;
        let ours = map.of_kind(kind).bytes / FRAME;
        // What the reader itself does in between.
        ensure!(
            ours.abs_diff(theirs) < 4096,
            "{ours} and {theirs} frames of kind {kind}"
        );
    }
    Ok(())
}
