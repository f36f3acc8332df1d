// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0
//! `kshram`: which sizes and ranges make sense, and the lines of `/proc/kshram`.

use core::fmt;

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Bytes of a slot when the module is loaded.
pub const FIRST_SIZE: u64 = 4096;
/// More slots than that are refused.
pub const SLOTS_MAX: u64 = 256;
/// The largest `max_bytes`: sizes are answers of `ioctl`, which returns an `int` in C.
pub const BYTES_MAX: u64 = i32::MAX as u64 / PAGE * PAGE;

/// The module's parameters, once they were found to make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many slots there are: 1 to [`SLOTS_MAX`].
    pub slots: u32,
    /// Bytes that a slot may have: [`FIRST_SIZE`] to [`BYTES_MAX`].
    pub max_bytes: u64,
}

/// Why a size is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 0, or no size at all.
    Invalid,
    /// More than a slot may have.
    TooLarge,
}

impl Limits {
    /// `None` if a parameter is out of its range.
    pub const fn new(slots: u64, max_bytes: u64) -> Option<Self> {
        if slots == 0 || slots > SLOTS_MAX || max_bytes < FIRST_SIZE || max_bytes > BYTES_MAX {
            return None;
        }
        Some(Self {
            slots: slots as u32,
            max_bytes,
        })
    }

    /// The size that the argument of `SETSIZE` asks for.
    ///
    /// # Errors
    /// If a slot cannot have it.
    pub const fn size(&self, argument: u64) -> Result<u64, Refusal> {
        match argument {
            0 => Err(Refusal::Invalid),
            // What a negative number of C looks like.
            _ if argument > i64::MAX as u64 => Err(Refusal::Invalid),
            _ if argument > self.max_bytes => Err(Refusal::TooLarge),
            size => Ok(size),
        }
    }
}

/// The pages that `size` bytes begin.
pub const fn pages(size: u64) -> u64 {
    size.div_ceil(PAGE)
}

/// The page behind a mapping of `count` pages from page `first` on; `None` if memory of `size`
/// bytes has not that many.
pub fn mapping_end(first: u64, count: u64, size: u64) -> Option<u64> {
    first.checked_add(count).filter(|&end| end <= pages(size))
}

/// A line of `/proc/kshram`, which ends in a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which slot.
    pub index: u32,
    /// Its size in bytes.
    pub size: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:02}: {}", self.index, self.size)
    }
}

impl Line {
    /// The line back from its text, without the newline.
    pub fn parse(text: &str) -> Option<Self> {
        let (index, size) = text.split_once(": ")?;
        Some(Self {
            index: index.parse().ok()?,
            size: size.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    const LIMITS: Limits = match Limits::new(8, 256 << 20) {
        Some(limits) => limits,
        None => panic!("the defaults make sense"),
    };

    #[test]
    fn parameters_out_of_range_are_refused() {
        assert!(Limits::new(1, FIRST_SIZE).is_some());
        assert!(Limits::new(SLOTS_MAX, BYTES_MAX).is_some());
        assert_eq!(BYTES_MAX, 0x7fff_f000);
        for (slots, max_bytes) in [
            (0, FIRST_SIZE),
            (SLOTS_MAX + 1, FIRST_SIZE),
            (8, FIRST_SIZE - 1),
            (8, BYTES_MAX + 1),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(Limits::new(slots, max_bytes), None, "{slots} {max_bytes}");
        }
    }

    #[test]
    fn sizes_are_any_positive_number_up_to_the_limit() {
        assert_eq!(LIMITS.size(0), Err(Refusal::Invalid));
        assert_eq!(LIMITS.size(1), Ok(1));
        assert_eq!(LIMITS.size(256 << 20), Ok(256 << 20));
        assert_eq!(LIMITS.size((256 << 20) + 1), Err(Refusal::TooLarge));
        assert_eq!(LIMITS.size(i64::MAX as u64), Err(Refusal::TooLarge));
        assert_eq!(LIMITS.size(-1i64 as u64), Err(Refusal::Invalid));
        assert_eq!(LIMITS.size(i64::MIN as u64), Err(Refusal::Invalid));
    }

    #[test]
    fn a_line_is_as_in_the_document() {
        let line = Line {
            index: 3,
            size: 4096,
        };
        assert_eq!(line.to_string(), "03: 4096\n");
        let line = Line {
            index: 255,
            size: 1,
        };
        assert_eq!(line.to_string(), "255: 1\n");
        for wrong in ["", "03", "03 4096", "03: ", ": 4096", "03: 4096x", "-1: 2"] {
            assert_eq!(Line::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_mapping_fits_if_its_last_page_has_a_byte(first: u64, count in 1u64.., size: u64) {
            let last = first as u128 + count as u128 - 1;
            let fits = last * u128::from(PAGE) < u128::from(size);
            prop_assert_eq!(mapping_end(first, count, size).is_some(), fits);
        }

        #[test]
        fn small_mappings_too(first in 0u64..5, count in 1u64..5, size in 1u64..20_000) {
            let fits = (first + count - 1) * PAGE < size;
            prop_assert_eq!(mapping_end(first, count, size), fits.then_some(first + count));
        }

        #[test]
        fn a_line_comes_back(index: u32, size: u64) {
            let line = Line { index, size };
            prop_assert_eq!(Line::parse(line.to_string().trim_end()), Some(line));
        }
    }
}
