// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of `/proc/memory_info`: what all processes of one name hold together.

use crate::error::{Error, Result};

/// Pages that could share one frame, and how many frames would remain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duplicates {
    /// Different frames whose bytes equal those of at least one other frame.
    pub pages: u64,
    /// Groups of such frames; merging would leave one frame a group.
    pub groups: u64,
}

impl Duplicates {
    /// Pages that merging would free: every frame of a group but one.
    #[must_use]
    pub fn savable(&self) -> u64 {
        self.pages.saturating_sub(self.groups)
    }
}

/// The memory of all processes that bear one name, in pages of 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The name (`comm`), at most 15 bytes of anything but NUL.
    pub name: Vec<u8>,
    /// Pages of all mappings, present or not (`mm->total_vm`).
    pub total: u64,
    /// Pages that are in memory and mapped now: RSS as `/proc/PID/statm` has it.
    pub valid: u64,
    /// `total - valid`, and 0 if a process shrank so fast that `valid` is more.
    pub invalid: u64,
    /// Read-only pages that are equal byte for byte.
    pub duplicates: Duplicates,
    /// The processes, ascending, as the reader's pid namespace numbers them.
    pub pids: Vec<u32>,
}

impl Program {
    /// Parses a line `NAME, total: N, valid: N, invalid: N, may_be_shared: N, nb_group: N,
    /// pid(N): A; B; C`, without its newline.
    ///
    /// # Errors
    /// [`Error::Answer`] if the line has another form or contradicts itself.
    pub fn parse(line: &[u8]) -> Result<Self> {
        parse(line).map_err(|why| Error::Answer {
            line: String::from_utf8_lossy(line).into_owned(),
            why,
        })
    }

    /// Parses an answer of any number of lines.
    ///
    /// # Errors
    /// As [`Program::parse`]; also if the last line is not complete.
    pub fn parse_all(answer: &[u8]) -> Result<Vec<Self>> {
        let Some(body) = answer.strip_suffix(b"\n") else {
            return match answer {
                [] => Ok(Vec::new()),
                _ => Err(Error::Answer {
                    line: String::from_utf8_lossy(answer).into_owned(),
                    why: "the last line has no end",
                }),
            };
        };
        body.split(|&byte| byte == b'\n').map(Self::parse).collect()
    }
}

fn parse(line: &[u8]) -> Result<Program, &'static str> {
    // A name may itself contain ", total: ": what follows the last one is digits only.
    const TOTAL: &[u8] = b", total: ";
    let at = line
        .windows(TOTAL.len())
        .rposition(|window| window == TOTAL)
        .ok_or("`, total: ` is missing")?;
    let (name, rest) = line.split_at(at);
    let rest = std::str::from_utf8(&rest[TOTAL.len()..]).map_err(|_| "figures are not text")?;

    let (total, rest) = figure(rest, ", valid: ")?;
    let (valid, rest) = figure(rest, ", invalid: ")?;
    let (invalid, rest) = figure(rest, ", may_be_shared: ")?;
    let (pages, rest) = figure(rest, ", nb_group: ")?;
    let (groups, rest) = figure(rest, ", pid(")?;
    let (count, rest) = figure(rest, "):")?;

    let program = Program {
        name: unescape(name)?,
        total,
        valid,
        invalid,
        duplicates: Duplicates { pages, groups },
        pids: pids(rest)?,
    };
    if program.pids.len() as u64 != count {
        return Err("the number of pids differs from the list");
    }
    // A process that unmaps meanwhile may have had more pages than it now has room for.
    if invalid != total.saturating_sub(valid) {
        return Err("invalid is not total without valid");
    }
    Ok(program)
}

/// Splits `text` at `next` and reads the number before it.
fn figure<'t>(text: &'t str, next: &str) -> Result<(u64, &'t str), &'static str> {
    let (digits, rest) = text.split_once(next).ok_or("a field is missing")?;
    Ok((number(digits)?, rest))
}

/// A plain decimal number: no sign, no space.
fn number<T: std::str::FromStr>(digits: &str) -> Result<T, &'static str> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a figure is not a number");
    }
    digits.parse().map_err(|_| "a figure is not a number")
}

fn pids(list: &str) -> Result<Vec<u32>, &'static str> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let list = list
        .strip_prefix(' ')
        .ok_or("a space before the pids is missing")?;
    list.split("; ").map(number).collect()
}

/// Undoes the kernel's escaping: `\n` and `\\`, as in the `Name:` of `/proc/PID/status`.
fn unescape(name: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => plain.push(b'\n'),
                Some(b'\\') => plain.push(b'\\'),
                _ => return Err("an unknown escape in the name"),
            },
            _ => plain.push(byte),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::memory_info::{write_line, Figures};
    use model::text::Output;
    use proptest::prelude::*;

    const SSHD: &[u8] = b"sshd, total: 7845, valid: 75, invalid: 7770, may_be_shared: 4, \
        nb_group: 2, pid(3): 861; 867; 892";

    #[test]
    fn the_documents_line_is_understood() {
        let program = Program::parse(SSHD).unwrap();
        assert_eq!(program.name, b"sshd");
        assert_eq!(
            (program.total, program.valid, program.invalid),
            (7845, 75, 7770)
        );
        assert_eq!(
            program.duplicates,
            Duplicates {
                pages: 4,
                groups: 2
            }
        );
        assert_eq!(program.duplicates.savable(), 2);
        assert_eq!(program.pids, [861, 867, 892]);
    }

    #[test]
    fn a_line_that_contradicts_itself_is_refused() {
        for (from, to) in [
            ("pid(3)", "pid(2)"),
            ("invalid: 7770", "invalid: 7771"),
            ("total: 7845", "total: -1"),
            ("total: 7845", "total: +7845"),
            ("; 892", "; 892;"),
            (", nb_group", " nb_group"),
            ("sshd", "ss\\hd"),
        ] {
            let line = String::from_utf8_lossy(SSHD).replace(from, to);
            assert!(Program::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn an_answer_is_cut_at_its_newlines_only() {
        let two = [SSHD, SSHD, b""].join(&b'\n');
        assert_eq!(Program::parse_all(&two).unwrap().len(), 2);
        assert!(Program::parse_all(b"").unwrap().is_empty());
        assert!(
            Program::parse_all(SSHD).is_err(),
            "the end of the line is missing"
        );
    }

    /// The module's own formatting, into memory.
    #[derive(Default)]
    struct Text(Vec<u8>);

    impl std::fmt::Write for Text {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.write_bytes(text.as_bytes())
        }
    }

    impl Output for Text {
        fn write_bytes(&mut self, bytes: &[u8]) -> std::fmt::Result {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn what_the_module_writes_is_read_back(
            name in proptest::collection::vec(1u8.., 1..16),
            total in 0u64..1 << 40, valid in 0u64..1 << 40,
            may_be_shared: u64, nb_group: u64,
            pids in proptest::collection::vec(1u32..1 << 22, 0..9),
        ) {
            let figures = Figures { total, valid, may_be_shared, nb_group };
            let mut line = Text::default();
            let list = pids.iter().map(|&pid| pid as i32);
            write_line(&mut line, &name, &figures, pids.len(), list).unwrap();
            let programs = Program::parse_all(&line.0).unwrap();
            prop_assert_eq!(programs, [Program {
                name, total, valid, invalid: figures.invalid(),
                duplicates: Duplicates { pages: may_be_shared, groups: nb_group }, pids,
            }]);
        }

        #[test]
        fn no_input_panics(line: Vec<u8>) {
            let _ = Program::parse_all(&line);
        }

        #[test]
        fn a_damaged_line_never_panics(at in 0usize..90, byte: u8) {
            let mut line = SSHD.to_vec();
            if let Some(slot) = line.get_mut(at) {
                *slot = byte;
            }
            let _ = Program::parse(&line);
        }
    }
}
