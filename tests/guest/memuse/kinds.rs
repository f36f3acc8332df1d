// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each kind: real programs, stopped, against `/proc`; and memory that is made to measure.

use std::fs::File;

use anyhow::{ensure, Context, Result};
use pagelens::{proc, Kind};
use procfs::process::{MMapPath, MemoryPageFlags, PageInfo, Process};
use workloads::map::Map;
use workloads::{SysSetting, Workload};

use super::{Loaded, KTHREADD, PAGE};
use crate::stopped::{self, PROGRAMS};
use crate::support::{wait_until, Swap};

#[test]
fn a_dozen_stopped_programs_have_the_figures_that_proc_gives() -> Result<()> {
    let loaded = Loaded::new()?;
    for program in PROGRAMS {
        loaded.check(stopped::start(program)?.pid())?;
    }
    Ok(())
}

#[test]
fn a_program_with_some_of_everything_has_the_figures_that_proc_gives() -> Result<()> {
    let loaded = Loaded::new()?;
    let always = SysSetting::huge_pages("always")?;
    let mut steps = vec![
        "fill:aa:10",
        "rw:bb:20",
        "zero:30",
        "shm:cc:40",
        "none:ee:5",
        "file:/lab/busybox",
        "heap:50",
        "stack:30",
        "threads:7",
    ];
    steps.extend(always.as_ref().map(|_| "huge:dd:1"));
    let holder = Workload::start("holder", &steps)?;
    holder.stop()?;
    loaded.check(holder.pid())?;
    for kind in Kind::PARTS {
        ensure!(loaded.pages(holder.pid(), kind)? > 0, "no {kind:?}");
    }
    Ok(())
}

#[test]
fn what_is_made_is_what_is_counted() -> Result<()> {
    let loaded = Loaded::new()?;
    // Where all memory may be huge, malloc's untouched part of the heap becomes present with what
    // is made above it, if the borders of huge pages happen to lie so.
    let advised = SysSetting::huge_pages("madvise")?;
    let file_pages = std::fs::metadata("/lab/busybox")?.len().div_ceil(PAGE);
    let mut holder = Workload::start("holder", &["rw:00:1", "file:/lab/busybox"])?;
    let pid = holder.pid();
    let huge = advised
        .as_ref()
        .map(|_| ("huge:dd:1", Kind::Anonymous, 512));
    let steps = [
        ("rw:bb:200", Kind::Anonymous, 200),
        ("zero:300", Kind::Anonymous, 0),
        ("none:bb:70", Kind::Anonymous, 70),
        ("shm:cc:400", Kind::Shared, 400),
        ("heap:500", Kind::Heap, 500),
        ("file:/lab/busybox", Kind::File, file_pages),
    ];
    for (step, kind, pages) in steps.into_iter().chain(huge) {
        let before = loaded.pages(pid, kind)?;
        holder.ask(step)?;
        assert_eq!(loaded.pages(pid, kind)? - before, pages, "{step}");
    }
    let before = loaded.pages(pid, Kind::CallStack)?;
    holder.ask("stack:100")?;
    let grown = loaded.pages(pid, Kind::CallStack)? - before;
    ensure!((100..=104).contains(&grown), "{grown} pages of stack");
    Ok(())
}

#[test]
fn every_thread_has_a_stack_of_its_own_in_both_worlds() -> Result<()> {
    const THREADS: u64 = 100;
    let loaded = Loaded::new()?;
    let mut holder = Workload::start("holder", &["rw:00:1"])?;
    let pid = holder.pid();
    assert_eq!(loaded.pages(pid, Kind::ThreadStacks)?, 0);
    assert_eq!(
        loaded.call.bytes(pid, Kind::KernelStack)?,
        loaded.kernel_stack()?
    );

    let before = kernel_stacks_of_all()?;
    holder.ask(&format!("threads:{THREADS}"))?;
    wait_until("the threads wait", || {
        Ok(loaded.pages(pid, Kind::ThreadStacks)? >= THREADS)
    })?;
    let kernel = loaded.call.bytes(pid, Kind::KernelStack)?;
    assert_eq!(kernel, (THREADS + 1) * loaded.kernel_stack()?);
    // The kernel's own count for the whole machine; its own threads come and go.
    let grown = kernel_stacks_of_all()?.saturating_sub(before);
    let expected = THREADS * loaded.kernel_stack()?;
    ensure!(
        grown.abs_diff(expected) <= 8 * loaded.kernel_stack()?,
        "{grown} bytes more for {expected}"
    );
    holder.stop()?;
    loaded.check(pid)
}

/// Bytes of all kernel stacks of the machine.
fn kernel_stacks_of_all() -> Result<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("KernelStack:"));
    let kilobytes: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("no KernelStack in meminfo")?
        .parse()?;
    Ok(kilobytes << 10)
}

#[test]
fn a_process_whose_first_thread_has_ended_still_has_its_memory() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut holder = Workload::start("holder", &["rw:bb:200"])?;
    holder.ask("leave")?;
    let pid = holder.pid();
    wait_until("the first thread has ended", || {
        Ok(workloads::process::state(pid)? == 'Z')
    })?;
    // The kernel may have merged it with the stack of the other thread.
    let anonymous = loaded.pages(pid, Kind::Anonymous)?;
    ensure!(anonymous + loaded.pages(pid, Kind::ThreadStacks)? >= 200);
    // Two threads are listed, but the first has no stack any more.
    wait_until("its kernel stack is gone", || {
        Ok(loaded.call.bytes(pid, Kind::KernelStack)? == loaded.kernel_stack()?)
    })
}

#[test]
fn shared_memory_is_what_is_mapped_shared_and_lives_in_memory() -> Result<()> {
    const BYTES: u64 = 100 * PAGE;
    let loaded = Loaded::new()?;
    let shared = || loaded.pages(std::process::id(), Kind::Shared);
    let before = shared()?;

    let memfd = File::from(rustix::fs::memfd_create(
        "test",
        rustix::fs::MemfdFlags::empty(),
    )?);
    memfd.set_len(BYTES)?;
    let mut map = Map::shared_file(&memfd)?;
    map.touch_by_writing();
    assert_eq!(shared()? - before, 100, "memfd");
    let private = Map::file(&memfd)?;
    private.touch_by_reading();
    assert_eq!(shared()? - before, 100, "a private mapping of it");
    map.unmap()?;

    let path = "/dev/shm/memuse-test";
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    std::fs::remove_file(path)?;
    file.set_len(BYTES)?;
    let mut map = Map::shared_file(&file)?;
    map.touch_by_writing();
    assert_eq!(shared()? - before, 100, "a file in /dev/shm");
    map.unmap()?;
    assert_eq!(shared()?, before);
    Ok(())
}

#[test]
fn memory_of_dev_zero_is_anonymous() -> Result<()> {
    let loaded = Loaded::new()?;
    let pages = |kind| loaded.pages(std::process::id(), kind);
    let (anonymous, file) = (pages(Kind::Anonymous)?, pages(Kind::File)?);
    let map = Map::zero_device(1000)?;
    ensure!(pages(Kind::Anonymous)? >= anonymous + 1000);
    ensure!(pages(Kind::File)? < file + 1000);
    map.unmap()
}

#[test]
fn a_mapping_that_is_only_partly_heap_is_split_at_the_break() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut holder = Workload::start("holder", &["heap:50", "rw:00:1"])?;
    // Not the border of a page: the page in which the heap begins is heap.
    let start_brk: u64 = holder
        .ask(&format!("lateheap:{}", 20 * PAGE + 100))?
        .parse()?;
    holder.stop()?;
    let process = Process::new(i32::try_from(holder.pid())?)?;
    let maps = process.maps()?;
    let heap = maps
        .iter()
        .find(|map| map.pathname == MMapPath::Heap)
        .context("no heap")?;
    let (start, end) = heap.address;
    ensure!(start < start_brk && start_brk < end, "{heap:?}");

    let mut pagemap = process.pagemap()?;
    let mut present = |from: u64, to: u64| -> Result<u64> {
        let pages = (from / PAGE) as usize..(to / PAGE) as usize;
        let infos = pagemap.get_range_info(pages)?;
        let is_present = |info: &&PageInfo| {
            matches!(info, PageInfo::MemoryPage(page)
                if page.contains(MemoryPageFlags::PRESENT))
        };
        Ok(infos.iter().filter(is_present).count() as u64)
    };
    let (below, within) = (present(start, start_brk)?, present(start_brk, end)?);
    ensure!(below >= 3 && within >= 50, "{below} and {within} pages");
    assert_eq!(loaded.pages(holder.pid(), Kind::Heap)?, within);
    // What /proc takes for heap as a whole is heap and something else.
    let other = proc::kinds::bytes(holder.pid(), Kind::Anonymous)? / PAGE;
    assert_eq!(loaded.pages(holder.pid(), Kind::Anonymous)?, other + below);
    let parts = Kind::PARTS
        .into_iter()
        .map(|kind| loaded.pages(holder.pid(), kind))
        .sum::<Result<u64>>()?;
    assert_eq!(parts, loaded.pages(holder.pid(), Kind::All)?);
    Ok(())
}

#[test]
fn swapped_pages_are_not_present_but_swapped() -> Result<()> {
    let _swap = Swap::on()?;
    let loaded = Loaded::new()?;
    let mut holder = Workload::start("holder", &["rw:bb:2000"])?;
    let pid = holder.pid();
    assert_eq!(loaded.pages(pid, Kind::Swapped)?, 0);
    let before = loaded.pages(pid, Kind::Anonymous)?;
    holder.ask("pageout")?;
    holder.stop()?;
    let swapped = loaded.pages(pid, Kind::Swapped)?;
    ensure!(swapped > 1000, "only {swapped} pages were swapped");
    assert_eq!(loaded.pages(pid, Kind::Anonymous)?, before - swapped);
    loaded.check(pid)
}

#[test]
fn kernel_threads_have_a_stack_and_nothing_else() -> Result<()> {
    let loaded = Loaded::new()?;
    for kind in Kind::EACH {
        let bytes = loaded.call.bytes(KTHREADD, kind)?;
        assert_eq!(bytes > 0, kind == Kind::KernelStack, "{kind:?}");
    }
    Ok(())
}
