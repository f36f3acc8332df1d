// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs have, beside what they and the kernel know of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use pagelens::device::ram::{self, CachedFile, Question, Ram};
use workloads::map::{Map, PAGE};
use workloads::{Ksm, SysSetting, Workload};

use super::super::holder;
use super::{look, Loaded};
use crate::support::{shell, wait_until, Cgroup, Swap};

const FRAME: u64 = 4096;

/// A file system of its own, until it is dropped.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    pub(super) fn new(kind: &str, name: &str) -> Result<Self> {
        let folder = PathBuf::from("/tmp").join(name);
        fs::create_dir_all(&folder)?;
        let done = shell(&format!("mount -t {kind} {kind} {}", folder.display()))?;
        ensure!(
            done.status.success(),
            "{kind}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(Self(folder))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn unmount(&self) -> Result<()> {
        let done = shell(&format!("umount {}", self.0.display()))?;
        ensure!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = shell(&format!("umount -l {0} && rmdir {0}", self.0.display()));
    }
}

/// Writes so many megabytes.
pub(super) fn write_megabytes(path: PathBuf, count: usize) -> Result<File> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    for _ in 0..count {
        file.write_all(&[7; 1 << 20])?;
    }
    Ok(file)
}

fn files_and_names() -> Question {
    Question {
        with_files: true,
        with_names: true,
        ..Question::default()
    }
}

/// What a map has of an open file.
fn cached(map: &Ram, file: &File) -> Result<CachedFile> {
    let inode = file.metadata()?.ino();
    let device = file.metadata()?.dev();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let found = map
        .files
        .iter()
        .find(|(id, _)| id.inode == inode && id.device == device);
    Ok(found
        .with_context(|| format!("no file {inode} on {device:?}"))?
        .1
        .clone())
}

/// How many pages of a file are there, by the kernel.
#[allow(unsafe_code)]
fn resident(file: &File) -> Result<u64> {
    let pages = (file.metadata()?.len() as usize).div_ceil(PAGE);
    let map = Map::shared(file, pages)?;
    let mut each = vec![0_u8; pages];
    let address = std::ptr::with_exposed_provenance_mut::<libc::c_void>(map.address());
    // SAFETY: The range is mapped, and the vector has a byte for each of its pages.
    let done = unsafe { libc::mincore(address, pages * PAGE, each.as_mut_ptr()) };
    ensure!(done == 0, "{}", std::io::Error::last_os_error());
    Ok(each.iter().filter(|&&byte| byte & 1 != 0).count() as u64)
}

#[test]
fn three_hundred_megabytes_of_tmpfs_are_shared_memory_of_one_file() -> Result<()> {
    let loaded = Loaded::new()?;
    let mounted = Mounted::new("tmpfs", "ram-tmpfs")?;
    let before = look(&loaded, &Question::default())?.of_kind(ram::RAM_SHARED_MEMORY);
    let file = write_megabytes(mounted.file("big"), 300)?;
    let map = look(&loaded, &files_and_names())?;
    let cached = cached(&map, &file)?;
    assert_eq!(cached.sums.bytes, 300 << 20);
    assert_eq!(cached.name.as_deref(), Some(&b"/big"[..]));
    assert!(cached.is_shared_memory && !cached.is_deleted);
    assert_eq!(cached.sums.dirty, 300 << 20);
    let more = map.of_kind(ram::RAM_SHARED_MEMORY).bytes - before.bytes;
    ensure!(more.abs_diff(300 << 20) < 1 << 20, "{more} bytes more");

    fs::remove_file(mounted.file("big"))?;
    let deleted = self::cached(&look(&loaded, &files_and_names())?, &file)?;
    ensure!(
        deleted.is_deleted && deleted.sums.bytes == 300 << 20,
        "{deleted:?}"
    );
    drop(file);
    let after = look(&loaded, &files_and_names())?.of_kind(ram::RAM_SHARED_MEMORY);
    ensure!(
        after.bytes.abs_diff(before.bytes) < 1 << 20,
        "{before:?}, {after:?}"
    );
    Ok(())
}

#[test]
fn a_file_has_what_mincore_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let mounted = Mounted::new("ramfs", "ram-ramfs")?;
    let file = write_megabytes(mounted.file("seen"), 10)?;
    // A hole, which takes no memory.
    file.set_len(20 << 20)?;
    let path = mounted.file("seen");
    let _reader = holder(&[&format!("file:{}", path.display())])?;
    let map = look(&loaded, &files_and_names())?;
    let cached = cached(&map, &file)?;
    assert_eq!(cached.sums.bytes, resident(&file)? * FRAME);
    assert_eq!(cached.name.as_deref(), Some(&b"/seen"[..]));
    ensure!(cached.sums.mapped >= 10 << 20, "{cached:?}");
    assert_eq!(cached.sums.mappings, cached.sums.mapped);
    ensure!(!cached.is_shared_memory);
    Ok(())
}

#[test]
fn files_without_a_path_are_told_by_their_names() -> Result<()> {
    let loaded = Loaded::new()?;
    let memory = rustix::fs::memfd_create("nameless", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut memory = File::from(memory);
    memory.write_all(&[1; 5 * PAGE])?;
    let map = look(&loaded, &files_and_names())?;
    let cached = cached(&map, &memory)?;
    assert_eq!(cached.sums.bytes, 5 * FRAME);
    assert_eq!(cached.name.as_deref(), Some(&b"memfd:nameless"[..]));
    Ok(())
}

#[test]
fn a_name_that_is_too_long_is_left_out() -> Result<()> {
    let loaded = Loaded::new()?;
    let mounted = Mounted::new("tmpfs", "ram-deep")?;
    std::env::set_current_dir(mounted.file(""))?;
    for _ in 0..20 {
        let folder = "x".repeat(250);
        fs::create_dir(&folder)?;
        std::env::set_current_dir(&folder)?;
    }
    let file = write_megabytes(PathBuf::from("deep"), 1)?;
    let cached = cached(&look(&loaded, &files_and_names())?, &file)?;
    std::env::set_current_dir("/")?;
    assert_eq!((cached.sums.bytes, cached.name), (1 << 20, None));
    Ok(())
}

#[test]
fn many_files_are_told_in_parts_that_add_up() -> Result<()> {
    const FILES: usize = 5000;
    let loaded = Loaded::new()?;
    let mounted = Mounted::new("tmpfs", "ram-many")?;
    // In turns, so that none is of one piece.
    for _ in 0..3 {
        for number in 0..FILES {
            let path = mounted.file(&number.to_string());
            let mut file = File::options().append(true).create(true).open(path)?;
            file.write_all(&[1; PAGE])?;
        }
    }
    let device = fs::metadata(mounted.file("0"))?.dev();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let parts = loaded.device.ram(&files_and_names())?;
    let parts = parts
        .filter(|part| matches!(part, Ok(ram::Record::File(_))))
        .count();
    ensure!(parts > FILES, "only {parts} parts");
    let map = look(&loaded, &files_and_names())?;
    let ours: Vec<_> = map
        .files
        .iter()
        .filter(|(id, _)| id.device == device)
        .collect();
    assert_eq!(ours.len(), FILES);
    for (id, file) in &ours {
        ensure!(
            file.sums.bytes == 3 * FRAME && file.name.is_some(),
            "{id:?}, {file:?}"
        );
    }
    // All that is of files is of one of them.
    let of_files: u64 = map.files.values().map(|file| file.sums.bytes).sum();
    let kinds = map.by_kind();
    let of_kinds = kinds[&ram::RAM_SHARED_MEMORY].bytes
        + kinds.get(&ram::RAM_FILE).map_or(0, |sums| sums.bytes);
    assert_eq!(of_files, of_kinds);
    Ok(())
}

#[test]
fn pages_of_the_huge_page_pool_are_used_or_free() -> Result<()> {
    const POOL: &str = "/proc/sys/vm/nr_hugepages";
    if !fs::exists(POOL)? {
        return crate::runner::skip("this kernel has no hugetlb pages", &["debug"]);
    }
    let loaded = Loaded::new()?;
    let _pool = SysSetting::set(POOL, "5")?;
    let _holder = holder(&["hugetlb:2"])?;
    let map = look(&loaded, &Question::default())?;
    let (used, free) = (
        map.of_kind(ram::RAM_HUGETLB),
        map.of_kind(ram::RAM_HUGETLB_FREE),
    );
    assert_eq!((used.bytes, free.bytes), (4 << 20, 6 << 20));
    assert_eq!((used.mapped, used.mappings), (4 << 20, 4 << 20));
    Ok(())
}

#[test]
fn merged_pages_are_ksm_s() -> Result<()> {
    let loaded = Loaded::new()?;
    let _holder = holder(&["fill:aa:70", "fill:bb:500", "mergeable"])?;
    let ksm = Ksm::run()?;
    let start = ksm.scans()?;
    wait_until("KSM has scanned a few times", || {
        Ok(ksm.scans()? >= start + 6)
    })?;
    let map = look(&loaded, &Question::default())?;
    let sums = map.of_kind(ram::RAM_KSM);
    let (mapped, merged) = ksm.merged()?;
    assert_eq!(
        (sums.bytes, sums.mappings),
        (merged * FRAME, mapped * FRAME)
    );
    Ok(())
}

#[test]
fn what_comes_back_from_swap_is_in_the_swap_cache_or_anonymous() -> Result<()> {
    let loaded = Loaded::new()?;
    let Ok(swap) = Swap::on() else {
        return crate::runner::skip("no zram", &["debug"]);
    };
    let mut holder = holder(&["rw:aa:4000"])?;
    let before = look(&loaded, &Question::default())?;
    holder.ask("pageout")?;
    let map = look(&loaded, &Question::default())?;
    let less = before.of_kind(ram::RAM_ANONYMOUS).bytes - map.of_kind(ram::RAM_ANONYMOUS).bytes;
    let kept = map.of_kind(ram::RAM_SWAP_CACHE).bytes;
    ensure!(
        less + FRAME * 200 >= 4000 * FRAME,
        "{less} bytes less, {kept} in the swap cache"
    );
    ensure!(
        map.of_kind(ram::RAM_COMPRESSED).bytes > 0,
        "{:?}",
        map.by_kind()
    );
    drop(holder);
    drop(swap);
    Ok(())
}

/// Numbers of a file of names and values, in bytes where it says kB.
fn value(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let words: Vec<&str> = line.context(name.to_owned())?.split_whitespace().collect();
    let unit = if words.get(1) == Some(&"kB") { 1024 } else { 1 };
    Ok(words.first().context("no value")?.parse::<u64>()? * unit)
}

#[test]
fn kinds_are_what_meminfo_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let _holder = holder(&["rw:aa:3000", "shm:bb:2000", "huge:cc:3", "halve"])?;
    let meminfo = || -> Result<[u64; 6]> {
        // Adds up what the CPUs have not told yet.
        let _ = fs::read("/proc/sys/vm/stat_refresh");
        let text = fs::read_to_string("/proc/meminfo")?;
        let values = [
            "AnonPages:",
            "Shmem:",
            "Mapped:",
            "Slab:",
            "MemFree:",
            "Cached:",
        ]
        .map(|name| value(&text, name));
        values
            .into_iter()
            .collect::<Result<Vec<_>>>()?
            .try_into()
            .ok()
            .context("six")
    };
    let mut last = None;
    for _ in 0..50 {
        // Its descriptor has memory, too.
        let mut answer = loaded.device.ram(&Question::default())?;
        let before = meminfo()?;
        let map = Ram::read(&mut answer)?;
        let after = meminfo()?;
        let kind = |kind| map.of_kind(kind);
        let programs = [ram::RAM_ANONYMOUS, ram::RAM_KSM, ram::RAM_SWAP_CACHE];
        let (file, shared) = (kind(ram::RAM_FILE), kind(ram::RAM_SHARED_MEMORY));
        // The kernel's own that programs map count as files' (vDSO).
        let own = kind(ram::RAM_RESERVED).mapped + kind(ram::RAM_KERNEL).mapped;
        let ours = [
            programs.map(|each| kind(each).mapped).iter().sum(),
            shared.bytes,
            file.mapped + shared.mapped + own,
            kind(ram::RAM_SLAB).bytes + kind(ram::RAM_KMALLOC).bytes,
            // Those in the lists of CPUs are not in it.
            kind(ram::RAM_FREE).bytes,
            file.bytes + shared.bytes,
        ];
        if before == after && ours == before {
            return Ok(());
        }
        last = Some((before, ours, after));
    }
    anyhow::bail!("{last:#?}")
}

#[test]
fn a_cgroup_pays_for_what_its_memory_stat_says() -> Result<()> {
    let loaded = Loaded::new()?;
    let mounted = Mounted::new("ramfs", "ram-paid")?;
    let group = Cgroup::new("stat")?;
    let holder: Workload = group.join(|| {
        drop(write_megabytes(mounted.file("file"), 3)?);
        holder(&[
            "rw:aa:1000",
            "shm:bb:700",
            "huge:cc:2",
            "halve",
            "threads:20",
        ])
    })??;
    holder.stop()?;
    let inode = fs::metadata(group.file(""))?.ino();
    let question = Question {
        with_groups: true,
        ..Question::default()
    };
    let map = look(&loaded, &question)?;
    let stat = fs::read_to_string(group.file("memory.stat"))?;
    let of = |kind| map.groups.get(&(inode, kind)).copied().unwrap_or_default();
    let (anonymous, file) = (of(ram::RAM_ANONYMOUS), of(ram::RAM_FILE));
    let shared = of(ram::RAM_SHARED_MEMORY);
    let ours = [
        anonymous.mapped,
        file.bytes + shared.bytes,
        shared.bytes,
        file.mapped + shared.mapped,
        of(ram::RAM_PAGE_TABLES).bytes,
    ];
    let theirs = ["anon ", "file ", "shmem ", "file_mapped ", "pagetables "];
    let theirs = theirs.map(|name| value(&stat, name));
    let theirs = theirs.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(ours[..], theirs[..]);
    // The stacks of its threads have no mark, but it pays for them. Where one is a block of four frames,
    // the first of them says so.
    let kernel = of(ram::RAM_KERNEL).bytes;
    ensure!(
        kernel * 4 >= value(&stat, "kernel_stack ")?,
        "{kernel} bytes"
    );
    assert_eq!(of(ram::RAM_KERNEL).charged, kernel);
    Ok(())
}
