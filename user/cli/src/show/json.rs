// SPDX-License-Identifier: MIT OR Apache-2.0
//! One JSON object.

use std::fmt::Write as _;

use anyhow::Result;
use pagelens::processes::is_dangerous;
use serde::Serialize;

use crate::ui::Ui;

/// Writes an object over several lines.
pub fn json<T: Serialize>(ui: &mut Ui, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    ui.line(&escaped(&text));
    Ok(())
}

/// Writes an object as one line, of which several may follow each other.
pub fn json_line<T: Serialize>(ui: &mut Ui, value: &T) -> Result<()> {
    let text = serde_json::to_string(value)?;
    ui.line(&escaped(&text));
    Ok(())
}

/// What a terminal might obey, escaped as JSON allows. It can only stand in a string.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\n' || !is_dangerous(letter) {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_read_back() {
        let name = "a\u{9b}31m\u{1b}[0m\n\u{e0041}\u{202e}ü";
        let text = escaped(&serde_json::to_string_pretty(&[name]).unwrap());
        assert!(!text.replace('\n', "").chars().any(is_dangerous), "{text}");
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, [name]);
    }
}
