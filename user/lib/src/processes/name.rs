// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that others chose: of programs, files and cgroups.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Any bytes. Shown, they cannot do anything to a terminal.
///
/// In JSON it is its text; bytes that are not UTF-8 are written `\xNN` there.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The bytes as they are.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, as it is but for bytes that are not UTF-8.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(self.with(str::to_owned)),
        }
    }

    /// The bytes, of which text goes through `text` and the rest is written `\xNN`.
    fn with(&self, text: impl Fn(&str) -> String) -> String {
        let mut written = String::new();
        for chunk in self.0.utf8_chunks() {
            written.push_str(&text(chunk.valid()));
            for byte in chunk.invalid() {
                written.push_str(&format!("\\x{byte:02x}"));
            }
        }
        written
    }
}

impl<T: AsRef<[u8]> + ?Sized> From<&T> for Name {
    fn from(bytes: &T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

/// Characters that a terminal obeys, or that change how what stands around them looks.
#[must_use]
pub fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || ('\u{200b}'..='\u{200f}').contains(&letter)
        || ('\u{2028}'..='\u{202e}').contains(&letter)
        || ('\u{2060}'..='\u{206f}').contains(&letter)
        || ('\u{fff9}'..='\u{fffb}').contains(&letter)
        || ('\u{e0000}'..='\u{e007f}').contains(&letter)
}

/// Text for people: what a terminal might obey is written as in a string of Rust.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_dangerous(letter) {
            written.extend(letter.escape_default());
        } else {
            written.push(letter);
        }
    }
    written
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.with(harmless))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.text())
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer).map(|text| Self(text.into_bytes()));
        }
        <Vec<u8>>::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A name; bytes that are not UTF-8 are written \\xNN.",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_so_that_a_terminal_does_not_obey() {
        let name = Name::from(b"a\x1b[31m\nb\xff\xc2\x9bc\xe2\x80\xaed");
        assert_eq!(name.to_string(), "a\\u{1b}[31m\\nb\\xff\\u{9b}c\\u{202e}d");
        assert_eq!(name.text(), "a\x1b[31m\nb\\xff\u{9b}c\u{202e}d");
        assert_eq!(Name::from("Grüße").to_string(), "Grüße");
    }

    proptest! {
        #[test]
        fn no_bytes_are_dangerous(bytes: Vec<u8>) {
            let shown = Name::from(&bytes).to_string();
            prop_assert!(!shown.chars().any(is_dangerous));
        }
    }
}
