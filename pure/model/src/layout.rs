// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! What `vm_layout` reports about an address space, and the lines in which it does.
//!
//! A line is a label, a colon and values separated by single spaces. Addresses are hexadecimal,
//! sizes are in bytes and decimal. A script finds its line by the label, which never changes.

use crate::area::Span;
use core::fmt;

/// The label of the first line of a report: the process's number and name follow.
pub const PROCESS: &str = "process";
/// The label of a VMA's line.
pub const VMA: &str = "vma";
/// The label of the number of VMAs.
pub const VMAS: &str = "vmas";
/// The label of the number of VMAs for which there is no line.
pub const LEFT_OUT: &str = "left_out";
/// The label of the resident set size, in pages.
pub const RSS: &str = "rss";
/// The label of the size of all VMAs, in pages.
pub const TOTAL_VM: &str = "total_vm";
/// The label of what the page tables below the top-level one take, in bytes.
pub const PAGE_TABLES: &str = "page_tables";

/// VMAs that are reported one by one; the others are counted.
pub const VMAS_MAX: usize = 256;

/// Bytes of a name that are reported; of a longer one its end.
pub const NAME_MAX: usize = 192;

/// Where an address space has its parts, as the kernel remembers it. A part that does not exist is
/// empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// The program's instructions (`start_code`, `end_code`).
    pub code: Span,
    /// Its initialised variables (`start_data`, `end_data`).
    pub data: Span,
    /// What `brk` extends (`start_brk`, `brk`); its end need not be at a page's boundary.
    pub heap: Span,
    /// The VMA that holds the address with which the stack began.
    pub stack: Span,
    /// The arguments of `main`, within the stack.
    pub args: Span,
    /// The environment, within the stack.
    pub env: Span,
}

impl Segments {
    /// The parts with their labels, in the order of the report.
    pub const fn labelled(&self) -> [(&'static str, Span); 6] {
        [
            ("code", self.code),
            ("data", self.data),
            ("heap", self.heap),
            ("stack", self.stack),
            ("args", self.args),
            ("env", self.env),
        ]
    }
}

/// What a VMA allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Execution.
    pub execute: bool,
    /// Whether writes are seen by whoever maps the same.
    pub shared: bool,
}

impl Permissions {
    /// Reads what [`fmt::Display`] wrote, which is how `/proc/PID/maps` has it too.
    pub fn parse(text: &str) -> Option<Self> {
        let &[read, write, execute, shared] = text.as_bytes() else {
            return None;
        };
        let one_of = |byte, yes, no| match byte {
            _ if byte == yes => Some(true),
            _ if byte == no => Some(false),
            _ => None,
        };
        Some(Self {
            read: one_of(read, b'r', b'-')?,
            write: one_of(write, b'w', b'-')?,
            execute: one_of(execute, b'x', b'-')?,
            shared: one_of(shared, b's', b'p')?,
        })
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read { "r" } else { "-" })?;
        f.write_str(if self.write { "w" } else { "-" })?;
        f.write_str(if self.execute { "x" } else { "-" })?;
        f.write_str(if self.shared { "s" } else { "p" })
    }
}

/// A VMA, but for its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vma {
    /// The addresses.
    pub span: Span,
    /// What may be done there.
    pub permissions: Permissions,
    /// Where in the mapped file it begins, in bytes; 0 without a file.
    pub offset: u64,
}

impl fmt::Display for Vma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:#x}", self.span, self.permissions, self.offset)
    }
}

/// The end of a name, as much of it as is reported, and whether something is missing before it.
pub fn shown_name(name: &[u8]) -> (&[u8], bool) {
    let skip = name.len().saturating_sub(NAME_MAX);
    (name.get(skip..).unwrap_or(name), skip > 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_permission_is_read_back() {
        for bits in 0..16u8 {
            let permissions = Permissions {
                read: bits & 1 != 0,
                write: bits & 2 != 0,
                execute: bits & 4 != 0,
                shared: bits & 8 != 0,
            };
            let text = permissions.to_string();
            assert_eq!(Permissions::parse(&text), Some(permissions), "{text}");
        }
        for wrong in ["", "rwx", "rwxpp", "wrxp", "rwx-", "R--p"] {
            assert_eq!(Permissions::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_area_is_a_span_with_permissions_and_an_offset() {
        let vma = Vma {
            span: Span {
                start: 0x1000,
                end: 0x2000,
            },
            permissions: Permissions::parse("r-xp").unwrap(),
            offset: 0x3000,
        };
        assert_eq!(
            vma.to_string(),
            "0x0000000000001000 0x0000000000002000 4096 r-xp 0x3000"
        );
    }

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        assert_eq!(shown_name(b"/bin/sh"), (&b"/bin/sh"[..], false));
        let longest = [b'b'; NAME_MAX];
        assert_eq!(shown_name(&longest), (&longest[..], false));
        let long = [&[b'a'; 10][..], &[b'b'; NAME_MAX][..]].concat();
        assert_eq!(shown_name(&long), (&[b'b'; NAME_MAX][..], true));
    }
}
