// SPDX-License-Identifier: MIT OR Apache-2.0
//! The texts of `/proc/PID/…`, understood. Nothing that they may contain panics.

use crate::processes::{Access, Area, Figures, Name};

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub name: Name,
    pub ppid: u32,
    pub threads: u32,
    /// In clock ticks since the machine was started.
    pub start_time: u64,
    pub is_kernel: bool,
    /// Of all addresses; 0 for a process without memory.
    pub total: u64,
}

/// In the flags of a process (`include/linux/sched.h`): it is one of the kernel's.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Understands `/proc/PID/stat`: `PID (NAME) STATE PPID …`; the name may have any bytes in it.
pub(crate) fn stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let name = text.get(open + 1..close)?;
    let rest = text.get(close + 1..)?;
    let mut fields = rest.split(|&byte| byte == b' ').skip(2);
    // Numbered as in its manual page: the next one is 4.
    let ppid = u32::try_from(number(fields.next()?)?).ok()?;
    let flags = number(fields.nth(4)?)?;
    let threads = u32::try_from(number(fields.nth(10)?)?).ok()?;
    let start_time = number(fields.nth(1)?)?;
    let total = number(fields.next()?)?;
    Some(Stat {
        name: name.into(),
        ppid,
        threads,
        start_time,
        is_kernel: flags & PF_KTHREAD != 0,
        total,
    })
}

/// The pages of `/proc/PID/statm`: all and those present.
pub(crate) fn statm(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = text.split(|&byte| byte == b' ');
    let total = number(fields.next()?)?;
    Some((total, number(fields.next()?)?))
}

/// What `/proc/PID/status` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Status {
    pub name: Name,
    pub ppid: u32,
    pub uid: u32,
    pub threads: u32,
    pub is_kernel: bool,
    /// Whether it has memory.
    pub has_memory: bool,
    pub figures: Figures,
}

/// Understands `/proc/PID/status`.
pub(crate) fn status(text: &[u8]) -> Option<Status> {
    let mut status = Status::default();
    let mut has_threads = false;
    for line in text.split(|&byte| byte == b'\n') {
        let Some((key, value)) = field(line) else {
            continue;
        };
        let first = || number(value.split(|byte| byte.is_ascii_whitespace()).next()?);
        let figures = &mut status.figures;
        let slot = match key {
            b"Name" => {
                status.name = unescaped(value);
                continue;
            }
            b"PPid" => {
                status.ppid = u32::try_from(first()?).ok()?;
                continue;
            }
            b"Uid" => {
                status.uid = u32::try_from(first()?).ok()?;
                continue;
            }
            b"Threads" => {
                status.threads = u32::try_from(first()?).ok()?;
                has_threads = true;
                // What follows has no memory in it, and there is much of it.
                break;
            }
            b"Kthread" => {
                status.is_kernel = first()? != 0;
                continue;
            }
            b"VmSize" => {
                status.has_memory = true;
                &mut figures.total_bytes
            }
            b"VmRSS" => &mut figures.present_bytes,
            b"RssAnon" => &mut figures.anonymous_bytes,
            b"RssFile" => &mut figures.file_bytes,
            b"RssShmem" => &mut figures.shmem_bytes,
            b"VmPTE" => &mut figures.page_table_bytes,
            b"VmSwap" => &mut figures.swap_bytes,
            b"HugetlbPages" => &mut figures.hugetlb_bytes,
            _ => continue,
        };
        *slot = Some(kilobytes(value)?);
    }
    has_threads.then_some(status)
}

/// What `/proc/PID/smaps_rollup` says.
pub(crate) fn rollup(text: &[u8]) -> Option<Figures> {
    let mut sums = Sums::default();
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.next().filter(|line| !line.is_empty())?;
    for line in lines {
        sums.note(line)?;
    }
    // A kernel whose files lack these says nothing that can be used.
    sums.rss?;
    sums.pss?;
    Some(sums.figures())
}

/// Understands `/proc/PID/smaps`: each area with its figures.
pub(crate) fn smaps(text: &[u8]) -> Option<Vec<Area>> {
    let mut areas = Vec::new();
    let mut sums = Sums::default();
    for line in text.split(|&byte| byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        if !line.first()?.is_ascii_uppercase() {
            finish(&mut areas, &mut sums);
            areas.push(header(line)?);
        } else if areas.is_empty() {
            return None;
        } else {
            sums.note(line)?;
        }
    }
    finish(&mut areas, &mut sums);
    Some(areas)
}

/// Gives the last area what was said of it.
fn finish(areas: &mut [Area], sums: &mut Sums) {
    let told = std::mem::take(sums);
    if let Some(area) = areas.last_mut() {
        area.figures = Figures {
            total_bytes: Some(area.end.saturating_sub(area.start)),
            ..told.figures()
        };
    }
}

/// An area's line, as in `maps`.
fn header(line: &[u8]) -> Option<Area> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut addresses = fields.next()?.split(|&byte| byte == b'-');
    let (start, end) = (hex(addresses.next()?)?, hex(addresses.next()?)?);
    let letters = fields.next()?;
    let is_set = |at: usize, letter| letters.get(at) == Some(&letter);
    let offset = hex(fields.next()?)?;
    let mut device = fields.next()?.split(|&byte| byte == b':');
    let device = (hex(device.next()?)?, hex(device.next()?)?);
    let device = (u32::try_from(device.0).ok()?, u32::try_from(device.1).ok()?);
    let inode = number(fields.next()?)?;
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    Some(Area {
        start,
        end,
        access: Access {
            read: is_set(0, b'r'),
            write: is_set(1, b'w'),
            execute: is_set(2, b'x'),
            shared: is_set(3, b's'),
        },
        offset,
        device,
        inode,
        name: (!name.is_empty()).then(|| unoctal(name)),
        figures: Figures::default(),
    })
}

/// The lines of smaps and of smaps_rollup, by what they begin with.
#[derive(Debug, Default)]
struct Sums {
    rss: Option<u64>,
    pss: Option<u64>,
    pss_anonymous: Option<u64>,
    pss_file: Option<u64>,
    pss_shmem: Option<u64>,
    private_clean: Option<u64>,
    private_dirty: Option<u64>,
    referenced: Option<u64>,
    anonymous: Option<u64>,
    ksm: Option<u64>,
    lazy_free: Option<u64>,
    huge: Option<u64>,
    hugetlb: Option<u64>,
    swap: Option<u64>,
    swap_pss: Option<u64>,
    locked: Option<u64>,
}

impl Sums {
    /// Notes a line `KEY:  N kB`. Others are passed over; `None` if a known one has another form.
    fn note(&mut self, line: &[u8]) -> Option<()> {
        let Some((key, value)) = field(line) else {
            return Some(());
        };
        let slot = match key {
            b"Rss" => &mut self.rss,
            b"Pss" => &mut self.pss,
            b"Pss_Anon" => &mut self.pss_anonymous,
            b"Pss_File" => &mut self.pss_file,
            b"Pss_Shmem" => &mut self.pss_shmem,
            b"Private_Clean" => &mut self.private_clean,
            b"Private_Dirty" => &mut self.private_dirty,
            b"Referenced" => &mut self.referenced,
            b"Anonymous" => &mut self.anonymous,
            b"KSM" => &mut self.ksm,
            b"LazyFree" => &mut self.lazy_free,
            b"AnonHugePages" | b"ShmemPmdMapped" | b"FilePmdMapped" => &mut self.huge,
            b"Shared_Hugetlb" | b"Private_Hugetlb" => &mut self.hugetlb,
            b"Swap" => &mut self.swap,
            b"SwapPss" => &mut self.swap_pss,
            b"Locked" => &mut self.locked,
            _ => return Some(()),
        };
        *slot = Some(slot.unwrap_or(0).checked_add(kilobytes(value)?)?);
        Some(())
    }

    fn figures(&self) -> Figures {
        let both = self.private_clean.zip(self.private_dirty);
        Figures {
            present_bytes: self.rss,
            pss_bytes: self.pss,
            uss_bytes: both.map(|(clean, dirty)| clean.saturating_add(dirty)),
            anonymous_bytes: self.anonymous,
            swap_bytes: self.swap,
            pss_anonymous_bytes: self.pss_anonymous,
            pss_file_bytes: self.pss_file,
            pss_shmem_bytes: self.pss_shmem,
            swap_pss_bytes: self.swap_pss,
            huge_bytes: self.huge,
            hugetlb_bytes: self.hugetlb,
            locked_bytes: self.locked,
            ksm_bytes: self.ksm,
            lazy_free_bytes: self.lazy_free,
            referenced_bytes: self.referenced,
            ..Figures::default()
        }
    }
}

/// The process's cgroup in `/proc/PID/cgroup`: that of version 2, and where processes are in none of
/// it, the first of version 1 that is not the root.
pub(crate) fn cgroup(text: &[u8]) -> Option<Name> {
    let mut found = None;
    for line in text.split(|&byte| byte == b'\n') {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, path) = match (fields.next(), fields.nth(1)) {
            (Some(id), Some(path)) => (id, path),
            _ => continue,
        };
        let is_newer = id == b"0";
        let is_better = match found {
            None => is_newer || path != b"/",
            Some(found) => path != b"/" && (is_newer || found == b"/"),
        };
        if is_better {
            found = Some(path);
        }
    }
    found.map(Name::from)
}

/// Splits `KEY: VALUE`.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&byte| byte == b':')?;
    let (key, value) = line.split_at(at);
    Some((key, value.get(1..)?.trim_ascii_start()))
}

fn kilobytes(value: &[u8]) -> Option<u64> {
    number(value.strip_suffix(b" kB")?)?.checked_mul(1024)
}

/// A plain decimal number.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = u64::from(digit.wrapping_sub(b'0'));
        (digit < 10).then_some(number.checked_mul(10)?.checked_add(digit)?)
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(text, 16).ok()
}

/// Undoes the escapes of the `Name:` of status: `\n` and `\\`.
fn unescaped(name: &[u8]) -> Name {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'\\', Some(b'n')) => plain.push(b'\n'),
            (b'\\', Some(b'\\')) => plain.push(b'\\'),
            _ => {
                plain.push(byte);
                continue;
            }
        }
        bytes.next();
    }
    (&plain).into()
}

/// Undoes the escape of newlines in paths, `\012`: the only one that `maps` has.
fn unoctal(path: &[u8]) -> Name {
    const NEWLINE: &[u8] = b"\\012";
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(NEWLINE) {
            plain.push(b'\n');
            rest = behind;
        } else {
            plain.push(first);
            rest = behind;
        }
    }
    (&plain).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &[u8] = b"Name:\ta\\nb\\\\\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t9\nPid:\t9\nPPid:\t1\n\
        Uid:\t1000\t0\t0\t0\nKthread:\t0\nVmSize:\t    2404 kB\nVmRSS:\t     912 kB\nRssAnon:\t      84 kB\n\
        RssFile:\t     828 kB\nRssShmem:\t       0 kB\nVmPTE:\t      44 kB\nVmSwap:\t       8 kB\n\
        HugetlbPages:\t       0 kB\nThreads:\t3\nSigQ:\t0/1\n";
    const ROLLUP: &[u8] =
        b"5597-7fff ---p 00000000 00:00 0    [rollup]\nRss:     912 kB\nPss:     100 kB\n\
        Pss_Anon:  84 kB\nPrivate_Clean:  4 kB\nPrivate_Dirty:  84 kB\nAnonHugePages: 2048 kB\n\
        FilePmdMapped: 2048 kB\nSwap: 8 kB\n";
    const SMAPS: &[u8] = b"00400000-00401000 r-xp 00001000 fd:03 6      /bin/a b\\012\nSize: 4 kB\nRss: 4 kB\n\
        Pss: 2 kB\nVmFlags: rd mr\n7f0000000000-7f0000010000 rw-s 00000000 00:01 1029\nRss: 12 kB\nPss: 12 kB\n";

    #[test]
    fn stat_is_understood_whatever_the_name() {
        let text =
            b"17 (a) b\n(c) S 1 17 17 0 -1 2097216 0 0 0 0 0 0 0 0 20 0 4 0 1234 4096 3 184\n";
        let stat = stat(text).unwrap();
        assert_eq!(stat.name, Name::from("a) b\n(c"));
        assert_eq!((stat.ppid, stat.threads, stat.start_time), (1, 4, 1234));
        assert_eq!((stat.is_kernel, stat.total), (true, 4096));
    }

    #[test]
    fn status_is_understood() {
        let status = status(STATUS).unwrap();
        assert_eq!(status.name, Name::from("a\nb\\"));
        assert_eq!((status.ppid, status.uid, status.threads), (1, 1000, 3));
        assert!(status.has_memory && !status.is_kernel);
        assert_eq!(status.figures.page_table_bytes, Some(44 << 10));
        assert_eq!(status.figures.swap_bytes, Some(8 << 10));
        assert_eq!(super::status(b"Name:\tx\n"), None);
    }

    #[test]
    fn rollup_is_understood_and_what_it_lacks_is_not_known() {
        let figures = rollup(ROLLUP).unwrap();
        assert_eq!(figures.pss_bytes, Some(100 << 10));
        assert_eq!(figures.uss_bytes, Some(88 << 10));
        assert_eq!(figures.huge_bytes, Some(4 << 20));
        assert_eq!(figures.swap_pss_bytes, None);
        assert_eq!(rollup(b""), None);
        assert_eq!(rollup(b"5597-7fff ---p 0 0 0 [rollup]\nRss: 4 kB\n"), None);
        assert_eq!(rollup(b"5597-7fff ---p\nRss: 4 MB\nPss: 4 kB\n"), None);
    }

    #[test]
    fn smaps_is_understood() {
        let areas = smaps(SMAPS).unwrap();
        assert_eq!(areas.len(), 2);
        assert_eq!(areas[0].name, Some(Name::from("/bin/a b\n")));
        assert_eq!((areas[0].device, areas[0].inode), ((0xfd, 3), 6));
        assert_eq!(areas[0].access.to_string(), "r-xp");
        assert_eq!(areas[0].figures.pss_bytes, Some(2 << 10));
        assert_eq!(areas[1].name, None);
        assert_eq!(areas[1].figures.total_bytes, Some(0x10000));
        assert_eq!(areas[1].access.to_string(), "rw-s");
        assert_eq!(smaps(b"Rss: 4 kB\n"), None);
        assert_eq!(smaps(b""), Some(Vec::new()));
    }

    #[test]
    fn the_cgroup_of_version_2_is_preferred_unless_all_are_in_its_root() {
        let of = |text: &[u8]| cgroup(text).unwrap().to_string();
        assert_eq!(of(b"4:memory:/a\n0::/b:c\n"), "/b:c");
        assert_eq!(of(b"9:name=systemd:/\n4:memory:/a\n0::/\n"), "/a");
        assert_eq!(of(b"0::/\n"), "/");
        assert_eq!(cgroup(b""), None);
    }

    fn all(text: &[u8]) {
        let _ = (stat(text), statm(text), status(text), rollup(text));
        let _ = (smaps(text), cgroup(text));
    }

    proptest! {
        #[test]
        fn no_text_panics(text: Vec<u8>) {
            all(&text);
        }

        #[test]
        fn no_damage_panics(which in 0..3_usize, at: usize, byte: u8, cut: usize) {
            let mut text = [STATUS, ROLLUP, SMAPS][which].to_vec();
            let len = text.len();
            text[at % len] = byte;
            text.truncate(cut % len);
            all(&text);
        }

        #[test]
        fn any_name_is_read_back_from_stat(name in proptest::collection::vec(1_u8.., 0..16)) {
            let text = [b"1 (", &name[..], b") S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 6 7\n"].concat();
            prop_assert_eq!(stat(&text).unwrap().name, Name::from(&name));
        }
    }
}
