// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures of `memuse`, computed from `/proc/PID/smaps`, `status` and `task/*/syscall`.
//!
//! Exact for a stopped process, but for two things that `/proc` does not tell: a mapping of which
//! only a part is heap counts as heap as a whole, and each kernel stack is taken for the 16 KiB that it
//! has on x86-64 kernels without KASAN.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

use model::memuse::Kind;

use crate::error::{Error, Result};
use crate::source::KERNEL_STACK;

/// A mapping and its present bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping<'a> {
    range: Range<u64>,
    is_shared: bool,
    device: &'a str,
    path: &'a str,
    present: u64,
}

/// Bytes of a kind in the process `pid`.
///
/// # Errors
/// [`Error::Process`] if its files in `/proc` cannot be read, or not understood.
pub fn bytes(pid: u32, kind: Kind) -> Result<u64> {
    match kind {
        Kind::KernelStack => Ok(status(pid, "Threads:")? * KERNEL_STACK),
        Kind::PageTables => Ok(status(pid, "VmPTE:")? << 10),
        Kind::Swapped => Ok(status(pid, "VmSwap:")? << 10),
        _ => Ok(sums(pid, Some(kind))?.get(&kind).copied().unwrap_or(0)),
    }
}

/// Bytes of [`Kind::All`] and of each of [`Kind::PARTS`] that has some.
///
/// # Errors
/// As for [`bytes`].
pub fn present(pid: u32) -> Result<BTreeMap<Kind, u64>> {
    sums(pid, None)
}

/// The sums, of which the one of `wanted` is right at least: what only others need is not read.
fn sums(pid: u32, wanted: Option<Kind>) -> Result<BTreeMap<Kind, u64>> {
    let text = read(pid, "smaps")?;
    let pointers = match wanted {
        None | Some(Kind::ThreadStacks | Kind::Anonymous) => stack_pointers(pid)?,
        _ => Vec::new(),
    };
    let devices = match wanted {
        None | Some(Kind::Shared | Kind::File) => memory_devices()?,
        _ => Vec::new(),
    };
    let mut sums = BTreeMap::from([(Kind::All, 0)]);
    for mapping in parse(&text).ok_or_else(|| not_understood(pid, "smaps"))? {
        let kind = kind_of(&mapping, &pointers, &devices);
        *sums.entry(kind).or_default() += mapping.present;
        *sums.entry(Kind::All).or_default() += mapping.present;
    }
    Ok(sums)
}

fn kind_of(mapping: &Mapping<'_>, pointers: &[u64], devices: &[String]) -> Kind {
    let is_shared_memory = || {
        mapping.path.starts_with("/dev/zero")
            || mapping.path.starts_with("/SYSV")
            || mapping.path.starts_with("/memfd:")
            || mapping.path.starts_with("[anon_shmem")
            || devices.iter().any(|device| device == mapping.device)
    };
    match mapping.path {
        "[heap]" => Kind::Heap,
        "[stack]" => Kind::CallStack,
        _ if mapping.is_shared && is_shared_memory() => Kind::Shared,
        path if is_anonymous(path) => {
            if pointers.iter().any(|at| mapping.range.contains(at)) {
                Kind::ThreadStacks
            } else {
                Kind::Anonymous
            }
        }
        path if path.starts_with('[') => Kind::Vdso,
        _ => Kind::File,
    }
}

/// Whether a private mapping with this path has no file. One of `/dev/zero` has none either.
fn is_anonymous(path: &str) -> bool {
    path.is_empty() || path.starts_with("[anon:") || path == "/dev/zero"
}

/// The mappings in the text of `smaps`; `None` if it is none.
fn parse(text: &str) -> Option<Vec<Mapping<'_>>> {
    let mut mappings: Vec<Mapping<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(present) = line.strip_prefix("Rss:") {
            mappings.last_mut()?.present = kilobytes(present)? << 10;
        } else if !line.starts_with(|first: char| first.is_ascii_uppercase()) {
            mappings.push(header(line)?);
        }
    }
    Some(mappings)
}

/// A mapping's line, as in `maps`.
fn header(line: &str) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let _offset = fields.next()?;
    let device = fields.next()?;
    let _inode = fields.next()?;
    Some(Mapping {
        range: u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?,
        is_shared: permissions.ends_with('s'),
        device,
        path: fields.next().unwrap_or_default().trim_start(),
        present: 0,
    })
}

fn kilobytes(field: &str) -> Option<u64> {
    field.trim().strip_suffix(" kB")?.parse().ok()
}

/// The stack pointers of the threads that wait or are stopped; those that run show none.
fn stack_pointers(pid: u32) -> Result<Vec<u64>> {
    let error = |source| Error::Process {
        pid,
        file: "task",
        source,
    };
    let mut pointers = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(error)? {
        // A thread may have ended.
        let Ok(text) = fs::read_to_string(thread.map_err(error)?.path().join("syscall")) else {
            continue;
        };
        // "NUMBER ARGUMENT... SP PC", "-1 SP PC" or "running".
        let pointer = text.split_whitespace().rev().nth(1);
        let pointer = pointer.and_then(|text| text.strip_prefix("0x"));
        pointers.extend(pointer.and_then(|hex| u64::from_str_radix(hex, 16).ok()));
    }
    Ok(pointers)
}

/// The devices, as `maps` shows them, of the file systems that live in memory.
fn memory_devices() -> Result<Vec<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(procfs::ProcError::from)?;
    let device = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        if !matches!(file_system.split(' ').next()?, "tmpfs" | "devtmpfs") {
            return None;
        }
        let (major, minor) = mount.split(' ').nth(2)?.split_once(':')?;
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        Some(format!("{major:02x}:{minor:02x}"))
    };
    Ok(text.lines().filter_map(device).collect())
}

/// The number behind `field` in the process's `status`.
fn status(pid: u32, field: &str) -> Result<u64> {
    let text = read(pid, "status")?;
    text.lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| not_understood(pid, "status"))
}

fn read(pid: u32, file: &'static str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|source| Error::Process {
        pid,
        file,
        source,
    })
}

/// Of a process that has ended, or never had memory, the files are empty.
fn not_understood(pid: u32, file: &'static str) -> Error {
    Error::Process {
        pid,
        file,
        source: std::io::ErrorKind::InvalidData.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
00400000-00401000 r--p 00000000 00:03 6                                  /bin/a b
Size:                  4 kB
Rss:                   4 kB
VmFlags: rd mr mw me
7f0000000000-7f0000010000 rw-s 00000000 00:01 1029                       /dev/zero (deleted)
Rss:                  12 kB
7f0000010000-7f0000020000 rw-p 00000000 00:00 0
Rss:                   8 kB
7ffc78b94000-7ffc78bb5000 rw-p 00000000 00:00 0                          [stack]
Rss:                  16 kB
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   0 kB
";

    #[test]
    fn mappings_are_parsed_and_told_apart() {
        let mappings = parse(SMAPS).unwrap();
        let kinds: Vec<_> = mappings
            .iter()
            .map(|mapping| {
                (
                    kind_of(mapping, &[0x7f00_0001_8000], &[]),
                    mapping.present >> 10,
                )
            })
            .collect();
        let expected = [
            (Kind::File, 4),
            (Kind::Shared, 12),
            (Kind::ThreadStacks, 8),
            (Kind::CallStack, 16),
            (Kind::Vdso, 0),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(mappings[0].path, "/bin/a b");
        assert_eq!(kind_of(&mappings[2], &[], &[]), Kind::Anonymous);
    }

    #[test]
    fn shared_mappings_of_a_memory_file_system_are_shared_memory() {
        let line = "1000-2000 rw-s 00000000 00:19 7    /dev/shm/x";
        let mapping = header(line).unwrap();
        assert_eq!(kind_of(&mapping, &[], &["00:19".to_owned()]), Kind::Shared);
        assert_eq!(kind_of(&mapping, &[], &[]), Kind::File);
        let private = Mapping {
            is_shared: false,
            ..mapping
        };
        assert_eq!(kind_of(&private, &[], &["00:19".to_owned()]), Kind::File);
    }

    #[test]
    fn what_is_no_smaps_is_refused() {
        assert_eq!(parse("Rss: 4 kB\n"), None);
        assert_eq!(parse("nonsense\n"), None);
    }
}
