// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's lines, read back.

use std::str::FromStr;

use model::area::Span;
use model::layout::{
    Permissions, Segments, Vma, LEFT_OUT, PAGE_TABLES, PROCESS, RSS, TOTAL_VM, VMA, VMAS,
};

use super::{Layout, Mapping, ShownRun, ShownStep};
use crate::error::{Error, Result};

/// What stands before each of the module's lines in the log.
const PREFIX: &str = "vm_layout: ";

/// The top-level page table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownTable {
    /// Levels of the machine's page tables, 4 or 5.
    pub levels: u32,
    /// Whether programs run without the kernel's half (PTI).
    pub is_isolated: bool,
    /// All 512 entries, in order.
    pub runs: Vec<ShownRun>,
}

/// What the module said about one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The process, as whoever loaded the module numbers it.
    pub pid: u32,
    /// Its name, with what is not printable escaped.
    pub name: String,
    /// Its address space.
    pub layout: Layout,
    /// VMAs that the module counted but did not list.
    pub left_out: u64,
    /// Its top-level page table.
    pub table: ShownTable,
    /// The entries that translate the `address` that was asked for, from the top.
    pub walk: Vec<ShownStep>,
}

impl Report {
    /// Reads the last report among the lines of a kernel log (without their time stamps); lines
    /// of others are skipped.
    ///
    /// # Errors
    /// [`Error::Answer`] if there is none, it is incomplete (the log was overwritten), or it does
    /// not have the documented form.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut found = None;
        for line in lines {
            let Some(line) = line.strip_prefix(PREFIX) else {
                continue;
            };
            if let Some(process) = line.strip_prefix(PROCESS) {
                found = Some(Self::begin(process).ok_or_else(|| not_understood(line))?);
            } else if let Some(report) = &mut found {
                report.line(line).ok_or_else(|| not_understood(line))?;
            }
        }
        let report = found.ok_or_else(|| missing(PROCESS))?;
        report.check()?;
        Ok(report)
    }

    fn begin(process: &str) -> Option<Self> {
        let (pid, name) = process.strip_prefix(": ")?.split_once(' ')?;
        Some(Self {
            pid: number(pid)?,
            name: name.to_owned(),
            layout: Layout {
                mappings: Vec::new(),
                vma_count: 0,
                segments: Segments::default(),
                rss: 0,
                total_vm: 0,
                page_tables: 0,
            },
            left_out: 0,
            table: ShownTable::default(),
            walk: Vec::new(),
        })
    }

    /// Takes a line; `None` if it is not understood.
    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(run) = line.strip_prefix("pgd[") {
            self.table.runs.push(ShownRun::parse(run)?);
            return Some(());
        }
        let (label, rest) = line.split_once(": ")?;
        let layout = &mut self.layout;
        let segments = &mut layout.segments;
        match label {
            VMA => layout.mappings.push(mapping(rest)?),
            VMAS => layout.vma_count = number(rest)?,
            LEFT_OUT => self.left_out = number(rest)?,
            "code" => segments.code = span(rest)?,
            "data" => segments.data = span(rest)?,
            "heap" => segments.heap = span(rest)?,
            "stack" => segments.stack = span(rest)?,
            "args" => segments.args = span(rest)?,
            "env" => segments.env = span(rest)?,
            RSS => layout.rss = number(rest)?,
            TOTAL_VM => layout.total_vm = number(rest)?,
            PAGE_TABLES => layout.page_tables = number(rest)?,
            "table" => {
                self.table.levels = number(rest.split_once(' ')?.0)?;
                self.table.is_isolated = rest.ends_with("(PTI)");
            }
            "walk" => self.walk.push(ShownStep::parse(rest)?),
            _ => return None,
        }
        Some(())
    }

    /// Whether it is all there: every entry of the table, and every VMA or its count.
    fn check(&self) -> Result<()> {
        let listed = self.layout.mappings.len() as u64;
        if listed + self.left_out != self.layout.vma_count {
            return Err(missing(VMA));
        }
        let mut next = 0;
        for run in &self.table.runs {
            if run.first != next || run.last < run.first {
                return Err(missing("pgd"));
            }
            next = run.last + 1;
        }
        match next == model::table::ENTRIES {
            true => Ok(()),
            false => Err(missing("pgd")),
        }
    }
}

fn not_understood(line: &str) -> Error {
    Error::Answer {
        line: line.to_owned(),
        why: "not a line of vm_layout",
    }
}

fn missing(label: &str) -> Error {
    Error::Answer {
        line: label.to_owned(),
        why: "such a line is missing: the log was read too early or overwritten",
    }
}

/// `START END SIZE PERMISSIONS OFFSET [NAME]`.
fn mapping(text: &str) -> Option<Mapping> {
    let mut words = text.splitn(6, ' ');
    let span = sized(words.next()?, words.next()?, words.next()?)?;
    Some(Mapping {
        vma: Vma {
            span,
            permissions: Permissions::parse(words.next()?)?,
            offset: address(words.next()?)?,
        },
        name: words.next().unwrap_or_default().to_owned(),
    })
}

fn span(text: &str) -> Option<Span> {
    let mut words = text.splitn(3, ' ');
    sized(words.next()?, words.next()?, words.next()?)
}

/// A span whose size is what it says.
fn sized(start: &str, end: &str, size: &str) -> Option<Span> {
    let span = Span {
        start: address(start)?,
        end: address(end)?,
    };
    (number::<u64>(size)? == span.size()).then_some(span)
}

pub(super) fn address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    // `parse` would take a plus sign.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::super::What;
    use super::*;
    use model::table::{
        runs, Paging, Physical, RunLine, StepLine, Style, TableEntry, TableLevel, ENTRIES,
    };

    const STYLE: Style = Style {
        paging: Paging::FourLevel,
        pfn_mask: 0x000f_ffff_ffff_f000,
        physical: Physical::Shown,
    };

    fn vma() -> Vma {
        Vma {
            span: Span {
                start: 0x1000,
                end: 0x3000,
            },
            permissions: Permissions {
                read: true,
                execute: true,
                ..Permissions::default()
            },
            offset: 0x4000,
        }
    }

    /// A report in the module's own words.
    fn lines(style: Style) -> Vec<String> {
        let span = vma().span;
        let mut lines = vec![
            "process: 42 a: b c".to_owned(),
            format!("{VMA}: {} /bin/a b", vma()),
            format!("{VMA}: {}", vma()),
            format!("{VMAS}: 5"),
            format!("{LEFT_OUT}: 3"),
        ];
        let segments = Segments {
            heap: span,
            ..Segments::default()
        };
        let labelled = segments.labelled();
        lines.extend(
            labelled
                .iter()
                .map(|(label, span)| format!("{label}: {span}")),
        );
        lines.extend([
            format!("{RSS}: 6"),
            format!("{TOTAL_VM}: 7"),
            format!("{PAGE_TABLES}: 8192"),
            "table: 4 levels, kernel's half isolated from programs (PTI)".to_owned(),
        ]);
        let mut entries = [0; ENTRIES];
        entries[255] = 0x5067;
        for run in runs(&entries) {
            let in_user_table = Some(false);
            lines.push(
                RunLine {
                    style,
                    run,
                    in_user_table,
                }
                .to_string(),
            );
        }
        let entry = TableEntry {
            value: 0x8000_0000_0000_7065,
            level: TableLevel::Pte,
        };
        let address = 0x3000;
        lines.push(
            StepLine {
                style,
                address,
                entry,
            }
            .to_string(),
        );
        lines
    }

    fn parse(lines: &[String]) -> Result<Report> {
        let lines: Vec<_> = lines.iter().map(|line| format!("{PREFIX}{line}")).collect();
        Report::parse(lines.iter().map(String::as_str))
    }

    #[test]
    fn what_the_module_writes_is_read_back() {
        let report = parse(&lines(STYLE)).unwrap();
        assert_eq!((report.pid, report.name.as_str()), (42, "a: b c"));
        let names: Vec<_> = report
            .layout
            .mappings
            .iter()
            .map(|m| m.name.as_str())
            .collect();
        assert_eq!(names, ["/bin/a b", ""]);
        assert!(report.layout.mappings.iter().all(|m| m.vma == vma()));
        assert_eq!((report.layout.vma_count, report.left_out), (5, 3));
        assert_eq!(report.layout.segments.heap, vma().span);
        let layout = &report.layout;
        assert_eq!(
            (layout.rss, layout.total_vm, layout.page_tables),
            (6, 7, 8192)
        );
        assert_eq!((report.table.levels, report.table.is_isolated), (4, true));
        let whats: Vec<_> = report.table.runs.iter().map(|run| run.entry.what).collect();
        assert_eq!(whats, [What::Empty, What::Table(Some(0x5000)), What::Empty]);
        assert!(report.table.runs[1].entry.is("not-in-user-table"));
        assert_eq!(report.walk[0].level, "pte");
        assert_eq!(report.walk[0].index, 3);
        assert_eq!(report.walk[0].entry.what, What::Page(Some(0x7000)));
        assert!(report.walk[0].entry.is("no-execute"));
    }

    #[test]
    fn masked_addresses_are_read_as_unknown() {
        let physical = Physical::Masked;
        let report = parse(&lines(Style { physical, ..STYLE })).unwrap();
        assert_eq!(report.table.runs[1].entry.what, What::Table(None));
    }

    #[test]
    fn a_report_with_a_line_missing_or_wrong_is_refused() {
        let lines = lines(STYLE);
        let is_needed = |line: &&String| {
            ["process", "vma", "pgd", "left_out"]
                .iter()
                .any(|label| line.starts_with(label))
        };
        for gone in lines.iter().filter(is_needed) {
            let rest: Vec<_> = lines.iter().filter(|line| *line != gone).cloned().collect();
            assert!(parse(&rest).is_err(), "without {gone}");
        }
        for (from, to) in [
            (" 8192 r", " 8193 r"),
            ("rss: 6", "rss: +6"),
            ("r-xp", "r-x"),
            ("pgd[255]", "pgd[256]"),
            ("rss", "rsss"),
        ] {
            let wrong: Vec<_> = lines.iter().map(|line| line.replace(from, to)).collect();
            assert!(parse(&wrong).is_err(), "{to}");
        }
    }

    #[test]
    fn the_last_report_counts() {
        let mut twice = lines(STYLE);
        twice.extend(lines(STYLE));
        let again = twice.len() / 2;
        twice[again] = "process: 43 other".to_owned();
        assert_eq!(parse(&twice).unwrap().pid, 43);
    }
}
