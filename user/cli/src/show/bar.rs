// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bar of letters, with or without colours.

/// A colour of the terminal's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// That of text.
    Plain,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Yellow.
    Yellow,
    /// Blue.
    Blue,
    /// Magenta.
    Magenta,
    /// Cyan.
    Cyan,
}

impl Paint {
    /// Text in this colour.
    fn on(self, text: &str) -> String {
        let number = match self {
            Self::Plain => return text.to_owned(),
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }
}

/// A bar.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// Its letters.
    pub length: usize,
    /// How many letters are written, with spaces behind it.
    pub room: usize,
    /// Its colour.
    pub paint: Paint,
}

impl Bar {
    /// Draws it: how much of `whole` is there, and how much is elsewhere. What there is at all is seen.
    pub fn draw(self, has_color: bool, whole: u64, here: u64, elsewhere: u64) -> String {
        let letters = |part: u64| {
            let part = part.min(whole);
            let exact = part as f64 / whole.max(1) as f64 * self.length as f64;
            (exact.round() as usize).max(usize::from(part > 0))
        };
        let here = letters(here).min(self.length);
        let elsewhere = letters(elsewhere).min(self.length - here);
        let rest = self.length - here - elsewhere;
        let bar = [("#", here), ("=", elsewhere), (".", rest)];
        let bar: String = bar.map(|(letter, count)| letter.repeat(count)).concat();
        let space = " ".repeat(self.room.saturating_sub(self.length));
        match has_color {
            true => self.paint.on(&bar) + &space,
            false => bar + &space,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_at_all_is_seen() {
        let bar = Bar {
            length: 4,
            room: 5,
            paint: Paint::Red,
        };
        assert_eq!(bar.draw(false, 100, 1, 0), "#... ");
        assert_eq!(bar.draw(false, 100, 50, 50), "##== ");
        assert_eq!(bar.draw(false, 100, 100, 1), "#### ");
        assert_eq!(bar.draw(false, 0, 0, 0), ".... ");
        assert_eq!(bar.draw(true, 100, 0, 100), "\x1b[31m====\x1b[0m ");
        assert_eq!(bar.draw(false, 1, u64::MAX, u64::MAX), "#### ");
    }
}
