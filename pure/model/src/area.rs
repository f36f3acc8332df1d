// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! Addresses of processes: ranges of them, and areas (VMAs) with what stands behind them.

use core::{fmt, ops::Range};

/// A range of addresses, its end not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// First address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
}

impl Span {
    /// Bytes in it; none if it is upside down.
    pub const fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} {:#018x} {}", self.start, self.end, self.size())
    }
}

/// What stands behind an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Nothing: private memory that begins as zeros.
    Anonymous,
    /// A file, mapped shared or private; also a memory file system's, if mapped private.
    File,
    /// A file of a memory file system (or shared memory that has no name), mapped shared.
    SharedMemory,
    /// The kernel itself.
    Kernel,
}

/// An area, as far as the kind of its memory depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its addresses.
    pub range: Range<u64>,
    /// What stands behind it.
    pub backing: Backing,
    /// Whether it grows downwards when it is touched just below.
    pub grows_down: bool,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_span_is_its_two_ends_and_its_size() {
        let span = Span {
            start: 0x1000,
            end: 0x3800,
        };
        assert_eq!(
            span.to_string(),
            "0x0000000000001000 0x0000000000003800 10240"
        );
        let upside_down = Span { start: 2, end: 1 };
        assert_eq!(upside_down.size(), 0);
    }
}
