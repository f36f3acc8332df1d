// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes as people read them.

/// The letters of the powers of 1024.
const LETTERS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

/// How sizes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// With a letter.
    Human,
    /// As they are.
    Bytes,
}

impl Unit {
    /// A size in this unit.
    pub fn write(self, bytes: u64) -> String {
        match self {
            Self::Human => human(bytes),
            Self::Bytes => bytes.to_string(),
        }
    }
}

/// Three digits or so, and a letter.
fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut size = bytes as f64 / 1024.0;
    let mut letters = LETTERS.iter();
    let mut letter = letters.next();
    // What would be rounded to 1024 is one of the next.
    while size >= 1023.95 {
        size /= 1024.0;
        letter = letters.next();
    }
    let letter = letter.copied().unwrap_or('E');
    match letter {
        'K' => format!("{size:.0}{letter}"),
        _ => format!("{size:.1}{letter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_or_so() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (912 << 10, "912K"),
            ((1 << 20) - 1, "1.0M"),
            (1 << 20, "1.0M"),
            (12_900_000, "12.3M"),
            ((1 << 30) - 1, "1.0G"),
            (u64::MAX, "16.0E"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
