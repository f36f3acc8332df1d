// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots of `/dev/pagelens` against PAGEMAP_SCAN, `smaps` and `smaps_rollup`.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;

use anyhow::{ensure, Context, Result};
use pagelens::device::{Detail, Device, Question, Scope, Snapshot};
use pagelens::proc::pids;
use workloads::{Module, SysSetting, Workload};

use crate::harness::{alternate, milliseconds, print, ratio};

const ROUNDS: usize = 7;
/// Pages of the processes that are compared: 10 MiB, 200 MiB and 2 GiB.
const SIZES: [u64; 3] = [10 << 8, 200 << 8, 2048 << 8];
/// Processes of a crowd.
const CROWD: usize = 500;

pub fn run() -> Result<()> {
    let _module = Module::load("pagelens", &[])?;
    let device = Device::open()?;
    let _never = SysSetting::huge_pages("never")?;
    let mut rows = Vec::new();
    for pages in SIZES {
        let holder = standing(&format!("rw:aa:{pages}"))?;
        rows.push(compare(&device, holder.pid(), pages)?);
    }
    print(
        "One process of small pages, in ms: entries against PAGEMAP_SCAN, and with frames against smaps and smaps_rollup.",
        &["MiB", "entries", "scan", "ratio", "frames", "smaps", "ratio", "rollup", "ratio"],
        &rows,
    );
    crowd(&device)
}

fn standing(step: &str) -> Result<Workload> {
    let holder = Workload::start("holder", &[step])?;
    holder.stop()?;
    Ok(holder)
}

fn question(detail: Detail, scope: Scope<'_>) -> Question<'_> {
    Question {
        scope,
        detail,
        ..Question::default()
    }
}

fn compare(device: &Device, pid: u32, pages: u64) -> Result<Vec<String>> {
    let own = [pid];
    let look = |detail| -> Result<pagelens::device::Sums> {
        let answer = device.snapshot(&question(detail, Scope::Pids(&own)))?;
        let snapshot = Snapshot::read(answer)?;
        Ok(snapshot.memory_of(pid).context("no memory")?.memory.sums)
    };
    let sums = look(Detail::Frames)?;
    let (rollup, scanned) = (roll_up(pid)?, scan(pid)?);
    ensure!(
        sums.pss >> 22 << 10 == rollup,
        "PSS: {} and {rollup}",
        sums.pss
    );
    ensure!(
        sums.present == scanned,
        "present: {} and {scanned}",
        sums.present
    );
    let [entries, scanned, frames, smaps, rollup] = alternate(
        ROUNDS,
        [
            &mut || look(Detail::Entries).map(drop),
            &mut || scan(pid).map(drop),
            &mut || look(Detail::Frames).map(drop),
            &mut || read(&format!("/proc/{pid}/smaps")).map(drop),
            &mut || roll_up(pid).map(drop),
        ],
    )?;
    Ok(vec![
        format!("{}", pages >> 8),
        milliseconds(entries),
        milliseconds(scanned),
        format!("{:.1}", ratio(scanned, entries)),
        milliseconds(frames),
        milliseconds(smaps),
        format!("{:.1}", ratio(smaps, frames)),
        milliseconds(rollup),
        format!("{:.1}", ratio(rollup, frames)),
    ])
}

/// The PSS of many small processes, of all of them at once.
fn crowd(device: &Device) -> Result<()> {
    let crowd = (0..CROWD).map(|_| standing("rw:aa:100"));
    let _crowd = crowd.collect::<Result<Vec<_>>>()?;
    let all = || -> Result<u64> {
        let answer = device.snapshot(&question(Detail::Frames, Scope::All))?;
        let snapshot = Snapshot::read(answer)?;
        let spaces = snapshot.memories.values();
        Ok(spaces.map(|space| space.memory.sums.pss >> 22 << 10).sum())
    };
    let rollups = || -> Result<u64> {
        // Kernel threads have none.
        Ok(pids()?
            .into_iter()
            .filter_map(|pid| roll_up(pid).ok())
            .sum())
    };
    let (ours, theirs) = (all()?, rollups()?);
    ensure!(
        ours.abs_diff(theirs) < theirs / 100,
        "{ours} and {theirs} bytes"
    );
    let [ours, theirs] = alternate(
        ROUNDS,
        [&mut || all().map(drop), &mut || rollups().map(drop)],
    )?;
    print(
        "The PSS of all processes, in ms, against a loop over smaps_rollup.",
        &["processes", "ours", "rollups", "ratio"],
        &[vec![
            CROWD.to_string(),
            milliseconds(ours),
            milliseconds(theirs),
            format!("{:.1}", ratio(theirs, ours)),
        ]],
    );
    Ok(())
}

fn read(path: &str) -> Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The PSS that the kernel adds up, in bytes, rounded down to kilobytes.
fn roll_up(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("no Pss")?.parse::<u64>()? << 10)
}

/// `struct pm_scan_arg` of `include/uapi/linux/fs.h`.
#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `PAGEMAP_SCAN`: `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::Ioctl =
    rustix::ioctl::opcode::read_write::<ScanArguments>(b'f', 16) as libc::Ioctl;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// Present bytes by PAGEMAP_SCAN, without the zero page and the kernel's data (`[vvar]`).
fn scan(pid: u32) -> Result<u64> {
    let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut regions = vec![Region::default(); 512];
    let mut sum = 0;
    let is_memory = |line: &&str| !line.contains("[vvar") && !line.contains("[vsyscall");
    for line in maps.lines().filter(is_memory) {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        let (start, end) = range.context("no range")?;
        let mut start = u64::from_str_radix(start, 16)?;
        let end = u64::from_str_radix(end, 16)?;
        while start < end {
            let (bytes, next) = scan_on(&pagemap, start, end, &mut regions)?;
            (sum, start) = (sum + bytes, next);
        }
    }
    Ok(sum)
}

/// One call; the bytes that it found, and where it ended.
#[allow(unsafe_code)]
fn scan_on(pagemap: &File, start: u64, end: u64, regions: &mut [Region]) -> Result<(u64, u64)> {
    let mut arguments = ScanArguments {
        size: size_of::<ScanArguments>() as u64,
        start,
        end,
        vec: regions.as_mut_ptr().expose_provenance() as u64,
        vec_len: regions.len() as u64,
        category_inverted: PAGE_IS_PFNZERO,
        category_mask: PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
        return_mask: PAGE_IS_PRESENT,
        ..ScanArguments::default()
    };
    // SAFETY: Both structures are the kernel's, and the regions have the length that is told.
    let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arguments) };
    let found = usize::try_from(found).map_err(|_| std::io::Error::last_os_error())?;
    let found = regions.get(..found).context("too many regions")?;
    let bytes = found.iter().map(|region| region.end - region.start).sum();
    Ok((bytes, arguments.walk_end))
}
