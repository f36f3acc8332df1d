// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stopped processes: the device against what `/proc` says.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{ensure, Context, Result};
use pagelens::device::{Area, Snapshot, Space, Sums};
use procfs::process::{MMapPath, MemoryMap, Process};
use workloads::{Ksm, SysSetting};

use super::{holder, Loaded};
use crate::stopped::{self, PROGRAMS};
use crate::support::{wait_until, Cgroup, Swap};

/// The figures of smaps, by its names for them, as it rounds them: to kilobytes, in bytes.
fn as_smaps(sums: &Sums) -> HashMap<&'static str, u64> {
    let pss = |figure| figure / 4096;
    let figures = [
        ("Size", sums.size),
        ("Rss", sums.present),
        ("Pss", pss(sums.pss)),
        ("Pss_Dirty", pss(sums.pss_dirty)),
        ("Shared_Clean", sums.shared_clean),
        ("Shared_Dirty", sums.shared_dirty),
        ("Private_Clean", sums.private_clean),
        ("Private_Dirty", sums.private_dirty),
        ("Referenced", sums.referenced),
        ("Anonymous", sums.anonymous),
        ("KSM", sums.ksm),
        ("LazyFree", sums.lazy_free),
        ("Swap", sums.swapped),
        ("Locked", pss(sums.pss_locked)),
    ];
    figures
        .into_iter()
        .map(|(name, bytes)| (name, bytes / 1024 * 1024))
        .collect()
}

/// Compares an area with its entry in smaps; what smaps knows of the swap of shared memory, entries do
/// not tell.
fn assert_same(area: &Area, map: &MemoryMap) -> Result<()> {
    let vma = &area.vma;
    assert_eq!((vma.start, vma.end), map.address);
    let context = || format!("{area:?}\n{map:?}");
    ensure!(
        vma.inode == map.inode && vma.offset == map.offset,
        context()
    );
    let device = (i32::try_from(vma.dev_major)?, i32::try_from(vma.dev_minor)?);
    ensure!(device == map.dev, context());
    let is_shared_memory = vma.inode != 0 && vma.sums.shared_memory > 0;
    for (name, ours) in as_smaps(&vma.sums) {
        if name == "Swap" && is_shared_memory {
            continue;
        }
        let theirs = map.extension.map.get(name).copied();
        ensure!(
            theirs == Some(ours),
            "{name}: {ours}, {theirs:?}: {}",
            context()
        );
    }
    if let MMapPath::Path(path) = &map.pathname {
        ensure!(
            area.name.as_deref() == Some(path.as_os_str().as_encoded_bytes()),
            context()
        );
    }
    Ok(())
}

/// Compares all areas of a process; how many there were.
fn assert_as_proc_says(space: &Space, pid: u32) -> Result<usize> {
    let process = Process::new(i32::try_from(pid)?)?;
    let maps: Vec<_> = process.smaps()?.into_iter().collect();
    // It is no area of the process.
    let maps: Vec<_> = maps
        .iter()
        .filter(|map| map.pathname != MMapPath::Vsyscall)
        .collect();
    assert_eq!(space.areas.len(), maps.len());
    for (area, map) in space.areas.iter().zip(maps) {
        assert_same(area, map)?;
    }
    let rollup = process
        .smaps_rollup()?
        .memory_map_rollup
        .into_iter()
        .next()
        .context("empty")?;
    for (name, ours) in as_smaps(&space.memory.sums) {
        let theirs = rollup.extension.map.get(name).copied();
        ensure!(
            theirs.is_none_or(|theirs| theirs == ours),
            "{name}: {ours}, {theirs:?}"
        );
    }
    let status = process.status()?;
    let memory = &space.memory;
    for (name, ours, theirs) in [
        ("RssAnon", memory.rss_anonymous, status.rssanon),
        ("RssFile", memory.rss_file, status.rssfile),
        ("RssShmem", memory.rss_shared_memory, status.rssshmem),
        ("VmRSS", memory.sums.present, status.vmrss),
        ("VmSwap", memory.swap, status.vmswap),
        ("VmPTE", memory.page_tables, status.vmpte),
        ("VmSize", memory.total, status.vmsize),
        ("VmLck", memory.locked, status.vmlck),
        ("HugetlbPages", memory.hugetlb, status.hugetlbpages),
    ] {
        assert_eq!(Some(ours / 1024), theirs, "{name}");
    }
    assert_eq!(memory.sums.swapped, memory.swap, "entries in swap");
    Ok(space.areas.len())
}

fn assert_all_as_proc_says(snapshot: &Snapshot, pids: &[u32]) -> Result<()> {
    assert_eq!(snapshot.processes.len(), pids.len());
    for &pid in pids {
        let space = snapshot.memory_of(pid).context("no memory")?;
        ensure!(assert_as_proc_says(space, pid)? > 5);
    }
    Ok(())
}

#[test]
fn a_dozen_stopped_programs_are_as_smaps_and_status_say() -> Result<()> {
    let stopped = PROGRAMS
        .iter()
        .map(|command| stopped::start(command))
        .collect::<Result<Vec<_>>>()?;
    let mut pids: Vec<u32> = stopped.iter().map(|program| program.pid()).collect();
    pids.sort_unstable();
    let loaded = Loaded::new()?;
    let snapshot = loaded.look(&pids)?;
    assert_all_as_proc_says(&snapshot, &pids)?;
    for process in &snapshot.processes {
        let proc = Process::new(i32::try_from(process.pid)?)?;
        let stat = proc.stat()?;
        assert_eq!(
            process.comm.split(|&byte| byte == 0).next(),
            Some(stat.comm.as_bytes())
        );
        assert_eq!(process.ppid, u32::try_from(stat.ppid)?);
        assert_eq!(i64::from(process.threads), stat.num_threads);
        assert_eq!(process.start_time / 10_000_000, stat.starttime);
        assert_eq!(process.uid, proc.status()?.ruid);
        // Twice as much where KASAN wants it.
        ensure!(
            [16 << 10, 32 << 10].contains(&process.kernel_stacks),
            "{process:?}"
        );
    }
    let end = &snapshot.end;
    assert_eq!(
        (end.processes, end.memories),
        (pids.len() as u64, pids.len() as u64)
    );
    assert_eq!((end.refused, end.busy), (0, 0));
    Ok(())
}

#[test]
fn memory_of_each_kind_is_as_smaps_says() -> Result<()> {
    let mut steps = vec![
        "fill:aa:10",
        "rw:bb:20",
        "zero:30",
        "shm:cc:40",
        "none:ee:5",
        "file:/etc/passwd",
        "heap:50",
        "stack:20",
    ];
    if SysSetting::has_huge_pages() {
        steps.push("huge:dd:2");
    }
    let mut parent = holder(&steps)?;
    let child: u32 = parent.ask("fork")?.parse()?;
    parent.ask("write")?;
    workloads::process::rest(child)?;
    parent.stop()?;
    let loaded = Loaded::new()?;
    let snapshot = loaded.look(&[parent.pid(), child])?;
    assert_all_as_proc_says(&snapshot, &[parent.pid(), child])?;
    let sums = snapshot.memory_of(child).context("no memory")?.memory.sums;
    assert_eq!(sums.zero, 30 * 4096);
    ensure!(sums.shared_dirty >= 10 * 4096, "{sums:?}");
    if SysSetting::has_huge_pages() {
        assert_eq!(sums.huge_2m, 4 << 20);
    }
    Ok(())
}

#[test]
fn small_entries_of_a_large_folio_are_told_and_shared_exactly() -> Result<()> {
    if !SysSetting::has_huge_pages() {
        return crate::runner::skip("this kernel has no huge pages", &["rt"]);
    }
    let mut parent = holder(&["huge:dd:1"])?;
    let child: u32 = parent.ask("fork")?.parse()?;
    parent.ask("halve")?;
    workloads::process::rest(child)?;
    parent.stop()?;
    let loaded = Loaded::new()?;
    let snapshot = loaded.look(&[parent.pid(), child])?;
    assert_all_as_proc_says(&snapshot, &[parent.pid(), child])?;
    let of = |pid| snapshot.memory_of(pid).map(|space| space.memory.sums);
    let (parent, child) = (
        of(parent.pid()).context("none")?,
        of(child).context("none")?,
    );
    ensure!(parent.large >= 1 << 20, "{parent:?}");
    assert_eq!(child.huge_2m, 2 << 20);
    Ok(())
}

#[test]
fn pages_in_swap_are_told() -> Result<()> {
    let _swap = Swap::on()?;
    let mut holder = holder(&["rw:bb:200", "zero:5"])?;
    let pid = holder.pid();
    holder.ask("pageout")?;
    wait_until("the pages are in swap", || {
        let status = Process::new(i32::try_from(pid)?)?.status()?;
        Ok(status.vmswap.is_some_and(|swap| swap > 400))
    })?;
    holder.stop()?;
    let space = Loaded::new()?.memory_of(pid)?;
    assert_as_proc_says(&space, pid)?;
    ensure!(space.memory.sums.swapped > 400 << 10, "{space:?}");
    Ok(())
}

#[test]
fn merged_pages_are_told() -> Result<()> {
    // Unloaded last: KSM at full speed never sleeps, and unloading waits for all that do not.
    let loaded = Loaded::new()?;
    let holder = holder(&["rw:bb:100", "mergeable"])?;
    let ksm = Ksm::run()?;
    wait_until("KSM has merged", || Ok(ksm.merged()?.0 >= 90))?;
    holder.stop()?;
    let pid = holder.pid();
    let space = loaded.memory_of(pid)?;
    assert_as_proc_says(&space, pid)?;
    ensure!(space.memory.sums.ksm >= 90 * 4096, "{space:?}");
    Ok(())
}

#[test]
fn hugetlb_memory_is_counted_by_the_kernel_and_said_not_to_be_walked() -> Result<()> {
    let pool = SysSetting::set("/proc/sys/vm/nr_hugepages", "2");
    let Ok(_pool) = pool else {
        return crate::runner::skip("this kernel has no hugetlb pages", &["debug"]);
    };
    let holder = holder(&["hugetlb:2"])?;
    holder.stop()?;
    let space = Loaded::new()?.memory_of(holder.pid())?;
    assert_eq!(space.memory.hugetlb, 4 << 20);
    assert_eq!(space.memory.sums.not_walked, 4 << 20);
    let is_hugetlb = |area: &&Area| area.vma.traits & pagelens::device::VMA_HUGETLB != 0;
    let area = space.areas.iter().find(is_hugetlb).context("no area")?;
    assert_eq!((area.vma.sums.size, area.vma.sums.present), (4 << 20, 0));
    Ok(())
}

#[test]
fn a_process_bears_the_id_of_its_cgroup() -> Result<()> {
    let group = Cgroup::new("snapshot")?;
    let holder = holder(&["rw:bb:1"])?;
    group.take(holder.pid())?;
    let snapshot = Loaded::new()?.look(&[holder.pid()])?;
    let inode = fs::metadata(group.file(""))?.ino();
    assert_eq!(snapshot.processes[0].cgroup, inode);
    Ok(())
}
