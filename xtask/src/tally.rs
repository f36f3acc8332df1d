// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counts tests by what their runners print, and passes that on, but for runners that had nothing to
//! run: a filter leaves most of them idle.

use std::fmt;
use std::io::{self, Write};

/// How many tests there were, by how they ended. What is written to it goes to `out`.
pub struct Tally<W> {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, and runners that failed otherwise.
    pub failed: u64,
    /// Tests that said why they could not run.
    pub skipped: u64,
    out: W,
    /// Shown before the next line, if there comes one.
    heading: Option<String>,
    line: Vec<u8>,
    is_idle: bool,
    was_blank: bool,
}

impl<W: Write> Tally<W> {
    /// Nothing counted yet.
    pub fn new(out: W) -> Self {
        Self {
            passed: 0,
            failed: 0,
            skipped: 0,
            out,
            heading: None,
            line: Vec::new(),
            is_idle: false,
            was_blank: true,
        }
    }

    /// Says what comes next, if anything does.
    pub fn head(&mut self, heading: String) {
        self.heading = Some(heading);
    }

    /// How many tests ran or were skipped.
    pub fn seen(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Takes the end of a runner into account: one that failed without naming a test counts as one.
    pub fn end(&mut self, failed_before: u64, is_success: bool) -> io::Result<()> {
        self.finish_line()?;
        if !is_success && self.failed == failed_before {
            self.failed += 1;
        }
        Ok(())
    }

    fn finish_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if let Some(rest) = text.strip_prefix("running ") {
            self.is_idle = rest.starts_with("0 test");
        }
        let is_hidden = self.is_idle || (text.is_empty() && self.was_blank);
        if let Some((passed, failed, ignored)) = result(text) {
            self.passed += passed;
            self.failed += failed;
            self.skipped += ignored;
            self.is_idle = false;
        }
        if is_hidden {
            return Ok(());
        }
        self.was_blank = text.is_empty();
        if let Some(heading) = self.heading.take() {
            writeln!(self.out, "{heading}")?;
        }
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

/// The numbers of a line "test result: ok. 1 passed; 2 failed; 3 ignored; …".
fn result(line: &str) -> Option<(u64, u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let mut parts = counts.split("; ").filter_map(|part| part.split_once(' '));
        parts.find(|(_, name)| *name == what)?.0.parse().ok()
    };
    Some((count("passed")?, count("failed")?, count("ignored")?))
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend(line);
            if line.ends_with(b"\n") {
                self.finish_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W> fmt::Display for Tally<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(output: &str) -> (Tally<Vec<u8>>, String) {
        let mut tally = Tally::new(Vec::new());
        tally.head("— a —".to_owned());
        // In pieces that do not respect lines.
        for piece in output.as_bytes().chunks(7) {
            tally.write_all(piece).unwrap();
        }
        let shown = String::from_utf8(tally.out.clone()).unwrap();
        (tally, shown)
    }

    #[test]
    fn results_of_all_runners_are_added_up() {
        let (mut tally, shown) = fed(
            "\nrunning 2 tests\n..\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n\
             \nrunning 3 tests\ntest a ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured\n",
        );
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 1 skipped");
        assert!(shown.starts_with("— a —\nrunning 2 tests\n"), "{shown}");
        assert!(shown.contains("test a ... FAILED\n"), "{shown}");
        tally.end(0, false).unwrap();
        assert_eq!(tally.failed, 1, "it was counted");
    }

    #[test]
    fn a_runner_without_tests_leaves_no_trace() {
        let (tally, shown) = fed(
            "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n\n",
        );
        assert_eq!((tally.seen(), shown.as_str()), (0, ""));
    }

    #[test]
    fn a_runner_that_dies_is_a_failure() {
        let (mut tally, _) = fed("running 1 test\ntest a ... ");
        tally.end(0, false).unwrap();
        assert_eq!(tally.failed, 1);
        tally.end(1, true).unwrap();
        assert_eq!(tally.failed, 1);
    }
}
