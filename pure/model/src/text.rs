// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Lines of text that hold names of programs.

use core::fmt;

/// Where text goes. Names are bytes, not necessarily UTF-8.
pub trait Output: fmt::Write {
    /// Appends bytes as they are.
    ///
    /// # Errors
    ///
    /// If they cannot be kept.
    fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result;
}

/// Writes a name so that it cannot end the line: newline and backslash escaped as in
/// `/proc/PID/status`, all else as it is.
///
/// # Errors
///
/// What `out` returned.
pub fn write_name(out: &mut impl Output, name: &[u8]) -> fmt::Result {
    let mut rest = name;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\\')) {
        let (plain, special) = rest.split_at(at);
        out.write_bytes(plain)?;
        out.write_bytes(if special.starts_with(b"\n") {
            b"\\n"
        } else {
            b"\\\\"
        })?;
        rest = special.get(1..).unwrap_or_default();
    }
    out.write_bytes(rest)
}
