// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every figure equals what `/proc` says, for processes of every kind that stand still.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::layout::{from_proc, Report, VMAS_MAX};
use workloads::process::rest;
use workloads::{layout_of, Running, SysSetting, Workload};

use crate::elf32;
use crate::runner::skip;

/// The module's report, after comparing each of its figures with `/proc`.
fn checked(pid: u32) -> Result<Report> {
    let report = layout_of(pid)?;
    let proc = from_proc(pid)?;
    let hidden = proc.vma_count.saturating_sub(VMAS_MAX as u64);
    assert_eq!(report.left_out, hidden);
    assert_eq!(report.pid, pid);
    let comm = fs::read_to_string(format!("/proc/{pid}/comm"))?;
    assert_eq!(report.name, comm.trim_end());
    compare_with_smaps(&report)?;
    compare_with_status(&report)?;
    // The heap's exact end is compared elsewhere.
    assert_eq!(report.layout.clone().to_pages(), proc.to_pages());
    Ok(report)
}

/// The sum of a figure, in KiB, over what a file says.
fn sum(pid: u32, file: &str, label: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let figures: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix(label)?.trim().strip_suffix(" kB"))
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    ensure!(!figures.is_empty(), "{file} has no {label}");
    Ok(figures.iter().sum())
}

fn compare_with_smaps(report: &Report) -> Result<()> {
    let smaps = |label| sum(report.pid, "smaps", label);
    // [vsyscall] is listed there, and is no VMA of the process.
    let maps = fs::read_to_string(format!("/proc/{}/maps", report.pid))?;
    let vsyscall = if maps.contains("[vsyscall]") { 4 } else { 0 };
    assert_eq!(report.layout.total_vm * 4 + vsyscall, smaps("Size:")?);
    assert_eq!(report.layout.rss * 4, smaps("Rss:")?);
    Ok(())
}

fn compare_with_status(report: &Report) -> Result<()> {
    let status = |label| sum(report.pid, "status", label);
    let layout = &report.layout;
    assert_eq!(layout.total_vm * 4, status("VmSize:")?);
    assert_eq!(layout.rss * 4, status("VmRSS:")?);
    assert_eq!(layout.page_tables / 1024, status("VmPTE:")?);
    assert_eq!(layout.segments.stack.size() / 1024, status("VmStk:")?);
    let code = layout.segments.code;
    let pages = code.end.next_multiple_of(4096) - code.start / 4096 * 4096;
    assert_eq!(pages / 1024, status("VmExe:")?);
    Ok(())
}

#[test]
fn of_a_static_program() -> Result<()> {
    let holder = Workload::start("holder", &["rw:aa:100", "shm:bb:10", "none:cc:3"])?;
    let report = checked(holder.pid())?;
    let segments = report.layout.segments;
    for (label, span) in segments.labelled() {
        assert!(span.size() > 0, "{label} is empty: {span:?}");
    }
    let maps_itself = |mapping: &pagelens::layout::Mapping| mapping.name.ends_with("/holder");
    assert!(report.layout.mappings.iter().any(maps_itself));
    Ok(())
}

/// Starts a program that waits for its input.
fn waiting(command: &mut Command) -> Result<Running> {
    let child = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null()))?;
    rest(child.pid())?;
    Ok(child)
}

#[test]
fn of_a_dynamic_program() -> Result<()> {
    // The lab puts it and its libraries there.
    let cat = waiting(&mut Command::new("/lab/dynamic/cat"))?;
    let report = checked(cat.pid())?;
    let mappings = &report.layout.mappings;
    for file in ["/cat", "/ld-linux-x86-64.so.2", "/libc.so.6"] {
        let is_mapped = mappings.iter().any(|mapping| mapping.name.ends_with(file));
        assert!(is_mapped, "no {file} in {mappings:?}");
    }
    Ok(())
}

#[test]
fn of_a_32_bit_program() -> Result<()> {
    let program = elf32::start()?;
    let report = checked(program.pid())?;
    let mappings = &report.layout.mappings;
    assert!(mappings
        .iter()
        .all(|mapping| mapping.vma.span.end <= 1 << 32));
    let segments = report.layout.segments;
    assert_eq!(segments.code.start, 0x0804_8000);
    assert_eq!(segments.data.start, 0x0804_a000);
    Ok(())
}

#[test]
fn of_ten_thousand_vmas_and_the_log_is_not_flooded() -> Result<()> {
    let holder = Workload::start("holder", &["split:5000"])?;
    let report = checked(holder.pid())?;
    assert!(report.layout.vma_count > 10_000);
    assert_eq!(report.layout.mappings.len(), VMAS_MAX);
    Ok(())
}

#[test]
fn of_as_many_vmas_as_a_process_may_have() -> Result<()> {
    let holder = Workload::start("holder", &["split:32700"])?;
    let report = checked(holder.pid())?;
    assert!(report.layout.vma_count > 65_400);
    assert_eq!(
        report.left_out,
        report.layout.vma_count - report.layout.mappings.len() as u64
    );
    Ok(())
}

#[test]
fn of_a_program_with_huge_pages() -> Result<()> {
    if !SysSetting::has_huge_pages() {
        return skip("this kernel has no transparent huge pages", &["rt"]);
    }
    let holder = Workload::start("holder", &["huge:11:4"])?;
    let huge = sum(holder.pid(), "smaps", "AnonHugePages:")?;
    ensure!(huge >= 4 * 2048, "the holder has no huge pages: {huge} kB");
    let report = checked(holder.pid())?;
    assert!(report.layout.rss >= 4 * 512);
    Ok(())
}

#[test]
fn of_a_program_with_pages_of_the_huge_page_pool() -> Result<()> {
    const POOL: &str = "/proc/sys/vm/nr_hugepages";
    let _pool = SysSetting::set(POOL, "2")?;
    let holder = Workload::start("holder", &["hugetlb:2"])?;
    // smaps counts them apart from Rss, as the kernel does.
    assert_eq!(sum(holder.pid(), "smaps", "Private_Hugetlb:")?, 4096);
    let report = checked(holder.pid())?;
    assert!(
        report.layout.rss < 1024,
        "they are not in the resident set size"
    );
    Ok(())
}

#[test]
fn of_init() -> Result<()> {
    assert_eq!(checked(1)?.pid, 1);
    Ok(())
}

#[test]
fn of_a_program_that_allocates_and_recurses() -> Result<()> {
    let mut app = Workload::start::<&str>("app", &[])?;
    let before = checked(app.pid())?.layout;
    for step in [
        "malloc:1000:5000",
        "malloc:300000:20",
        "touch",
        "free:2",
        "recurse:2000",
        "trim",
    ] {
        app.ask(step)?;
        let report = checked(app.pid())?;
        let heap_end: u64 = app.ask("break")?.parse()?;
        assert_eq!(report.layout.segments.heap.end, heap_end, "after {step}");
    }
    let after = checked(app.pid())?.layout;
    let grown = |what: fn(&pagelens::layout::Segments) -> u64| {
        what(&after.segments) - what(&before.segments)
    };
    assert!(grown(|segments| segments.heap.size()) > 2_000_000);
    assert!(grown(|segments| segments.stack.size()) > 1_500_000);
    assert!(after.anonymous_bytes() - before.anonymous_bytes() >= 10 * 300_000);
    Ok(())
}

#[test]
fn a_name_that_is_long_or_strange_cannot_forge_a_line() -> Result<()> {
    let folder = format!("/tmp/{}", "long".repeat(60));
    let path = format!("{folder}/strange\nvm_layout: rss: 1 name");
    fs::create_dir_all(&folder)?;
    fs::write(&path, [1; 4096])?;
    let holder = Workload::start("holder", &[&format!("file:{path}")])?;
    let report = layout_of(holder.pid());
    fs::remove_dir_all(&folder)?;
    let report = report?;
    assert!(report.layout.rss > 1);
    let name = "/strange\\nvm_layout: rss: 1 name";
    let mapping = report
        .layout
        .mappings
        .iter()
        .find(|mapping| mapping.name.contains("strange"))
        .context("the file is not listed")?;
    // The log itself escapes the backslash once more.
    assert!(
        mapping.name.replace("\\x5c", "\\").ends_with(name),
        "{}",
        mapping.name
    );
    assert!(mapping.name.starts_with("...") && mapping.name.len() < 250);
    Ok(())
}
