// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout from `/proc` alone.

use std::fs;

use procfs::process::{Process, Stat};

use super::{Layout, Mapping, Permissions, Segments, Span, Vma};
use crate::error::{Error, Result};

/// The layout of process `pid` as `/proc` shows it. Files are read one after the other: of a
/// process that runs, the figures may be of different moments.
///
/// # Errors
/// [`Error::Proc`] or [`Error::Process`] if it has ended or may not be looked at.
pub fn from_proc(pid: u32) -> Result<Layout> {
    let process = Process::new(i32::try_from(pid).unwrap_or(i32::MAX))?;
    let (stat, statm, status) = (process.stat()?, process.statm()?, process.status()?);
    let maps = fs::read(format!("/proc/{pid}/maps")).map_err(|source| Error::Process {
        pid,
        file: "maps",
        source,
    })?;
    let mappings = parse_maps(&String::from_utf8_lossy(&maps))?;
    Ok(Layout {
        vma_count: mappings.len() as u64,
        segments: segments(&stat, &mappings),
        mappings,
        rss: statm.resident,
        total_vm: statm.size,
        page_tables: status.vmpte.unwrap_or_default() << 10,
    })
}

fn segments(stat: &Stat, mappings: &[Mapping]) -> Segments {
    let span = |start: Option<u64>, end: Option<u64>| Span {
        start: start.unwrap_or_default(),
        end: end.unwrap_or_default(),
    };
    let named = |name: &str| {
        let mut spans = mappings
            .iter()
            .filter(|mapping| mapping.name == name)
            .map(|mapping| mapping.vma.span);
        let first = spans.next()?;
        Some((first, spans.next_back().unwrap_or(first).end))
    };
    let start_brk = stat.start_brk.unwrap_or_default();
    Segments {
        code: span(Some(stat.startcode), Some(stat.endcode)),
        data: span(stat.start_data, stat.end_data),
        // A heap that was never extended has no mapping.
        heap: Span {
            start: start_brk,
            end: named("[heap]").map_or(start_brk, |(_, end)| end),
        },
        stack: named("[stack]").map_or(Span::default(), |(first, end)| Span {
            start: first.start,
            end,
        }),
        args: span(stat.arg_start, stat.arg_end),
        env: span(stat.env_start, stat.env_end),
    }
}

/// The mappings of a `maps` file, without `[vsyscall]`: that page belongs to the kernel's half
/// and is no VMA of the process.
fn parse_maps(text: &str) -> Result<Vec<Mapping>> {
    text.lines()
        .filter(|line| !line.ends_with(" [vsyscall]"))
        .map(|line| {
            parse_line(line).ok_or_else(|| Error::Answer {
                line: line.to_owned(),
                why: "START-END PERMISSIONS OFFSET DEVICE INODE [NAME] is expected",
            })
        })
        .collect()
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE      NAME`.
fn parse_line(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let span = Span {
        start: hex(start)?,
        end: hex(end)?,
    };
    let permissions = Permissions::parse(fields.next()?)?;
    let offset = hex(fields.next()?)?;
    let (_device, _inode) = (fields.next()?, fields.next()?);
    Some(Mapping {
        vma: Vma {
            span,
            permissions,
            offset,
        },
        name: fields.next().unwrap_or_default().trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maps_file_is_understood() {
        let text = "\
00400000-00401000 r-xp 00002000 fe:01 131 /usr/bin/a program (deleted)
7ffc0000-7ffe1000 rw-p 00000000 00:00 0                          [stack]
7fff0000-7fff1000 rw-s 00000000 00:00 0 
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";
        let mappings = parse_maps(text).unwrap();
        let names: Vec<_> = mappings
            .iter()
            .map(|mapping| mapping.name.as_str())
            .collect();
        assert_eq!(names, ["/usr/bin/a program (deleted)", "[stack]", ""]);
        assert_eq!(mappings[0].vma.offset, 0x2000);
        assert_eq!(mappings[0].vma.span.size(), 0x1000);
        assert!(mappings[0].vma.permissions.execute && mappings[2].vma.permissions.shared);
        assert!(parse_maps("nonsense\n").is_err());
    }

    #[test]
    fn this_process_has_what_it_knows_of_itself() {
        let layout = from_proc(std::process::id()).unwrap();
        let local = 0;
        let (variable, function) = (&raw const local as u64, from_proc as *const () as u64);
        let holds = |span: Span, address| span.start <= address && address < span.end;
        let code = layout.segments.code;
        assert!(holds(code, function), "{code:?} {function:#x}");
        // Tests run in threads: the first thread's stack is elsewhere.
        assert!(!holds(layout.segments.stack, variable));
        assert!(holds(layout.segments.stack, layout.segments.args.start));
        let spanned: u64 = layout
            .mappings
            .iter()
            .map(|mapping| mapping.vma.span.size())
            .sum();
        assert!(layout.total_vm * 4096 <= spanned + (64 << 20), "{layout:?}");
        assert!(layout.rss > 0 && layout.page_tables > 0 && layout.vma_count > 5);
    }
}
