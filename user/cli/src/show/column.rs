// SPDX-License-Identifier: MIT OR Apache-2.0
//! Columns: their words, what they mean, and what a row has there.

use std::cmp::Ordering;

use anyhow::Result;
use pagelens::processes::{harmless, Name};

use crate::error::Usage;
use crate::show::Unit;

/// What a row has in a column. Ordered by size, or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A name that others chose.
    Name(Name),
    /// Text of our own.
    Text(String),
    /// A size, if it is known.
    Bytes(Option<u64>),
    /// A difference of sizes, if it is known.
    Change(Option<i64>),
    /// How many.
    Count(u64),
    /// An address.
    Address(u64),
    /// Numbers, of which a table shows the first few.
    List(Vec<u32>),
}

/// So many numbers of a list are shown.
const SHOWN: usize = 4;

impl Cell {
    /// For people.
    pub fn text(&self, unit: Unit) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Text(text) => harmless(text),
            Self::Bytes(Some(bytes)) => unit.write(*bytes),
            Self::Change(Some(change)) => {
                let sign = match change.cmp(&0) {
                    Ordering::Less => "-",
                    Ordering::Equal => "",
                    Ordering::Greater => "+",
                };
                format!("{sign}{}", unit.write(change.unsigned_abs()))
            }
            Self::Bytes(None) | Self::Change(None) => "-".to_owned(),
            Self::Count(count) => count.to_string(),
            Self::Address(address) => format!("{address:x}"),
            Self::List(numbers) => {
                let some = numbers.iter().take(SHOWN).map(u32::to_string);
                let mut text = some.collect::<Vec<_>>().join(" ");
                if numbers.len() > SHOWN {
                    text += " …";
                }
                text
            }
        }
    }

    /// For programs. What is not known is empty.
    pub fn plain(&self) -> String {
        match self {
            Self::Name(name) => name.text().into_owned(),
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => bytes.map_or(String::new(), |bytes| bytes.to_string()),
            Self::Change(change) => change.map_or(String::new(), |change| change.to_string()),
            Self::Count(count) => count.to_string(),
            Self::Address(address) => format!("0x{address:x}"),
            Self::List(numbers) => {
                let all = numbers.iter().map(u32::to_string);
                all.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Whether it stands at the right of its column.
    pub fn is_number(&self) -> bool {
        !matches!(self, Self::Name(_) | Self::Text(_) | Self::List(_))
    }

    /// The order in which rows stand: the largest first, then what is not known; names by the alphabet.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => b.cmp(a),
            (Self::Change(a), Self::Change(b)) => {
                let size = |change: &Option<i64>| change.map(i64::unsigned_abs);
                size(b).cmp(&size(a))
            }
            (Self::Count(a), Self::Count(b)) => b.cmp(a),
            (Self::Address(a), Self::Address(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

/// A column of rows of one kind.
pub struct Column<R> {
    /// Its word.
    pub key: &'static str,
    /// What stands above it.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether it is shown if nobody says which.
    pub is_usual: bool,
    /// Whether sizes stand in it.
    pub is_size: bool,
    /// What a row has there.
    pub cell: Box<dyn Fn(&R) -> Cell>,
}

/// What can be shown in columns.
pub trait Row: Sized {
    /// All columns, in their order. The last of the usual ones is the row's name, which is never left out.
    fn columns() -> Vec<Column<Self>>;
}

impl<R> Column<R> {
    /// One that is shown if nobody says which.
    pub fn usual(
        key: &'static str,
        title: &'static str,
        meaning: &'static str,
        is_size: bool,
        cell: impl Fn(&R) -> Cell + 'static,
    ) -> Self {
        Self {
            key,
            title,
            meaning,
            is_usual: true,
            is_size,
            cell: Box::new(cell),
        }
    }

    /// Its key in JSON.
    pub fn json_key(&self) -> String {
        match self.is_size {
            true => format!("{}_bytes", self.key),
            false => self.key.to_owned(),
        }
    }

    fn is(&self, word: &str) -> bool {
        self.key == word || word.strip_suffix("_bytes") == Some(self.key)
    }
}

fn unknown<R>(word: &str, columns: &[Column<R>]) -> anyhow::Error {
    let keys: Vec<_> = columns.iter().map(|column| column.key).collect();
    Usage(format!("no column {word}; there are {}", keys.join(", "))).into()
}

/// The columns of these words, in the order of the words; without any, the usual ones.
pub fn picked<R: Row>(words: &[String]) -> Result<Vec<Column<R>>> {
    let mut all = R::columns();
    if words.is_empty() {
        all.retain(|column| column.is_usual);
        return Ok(all);
    }
    let mut picked = Vec::new();
    for word in words {
        let place = all.iter().position(|column| column.is(word));
        match place {
            Some(place) => picked.push(all.remove(place)),
            None if picked.iter().any(|column: &Column<R>| column.is(word)) => {}
            None => return Err(unknown(word, &R::columns())),
        }
    }
    Ok(picked)
}

/// Puts rows in the order of a column.
pub fn ordered<R: Row>(rows: &mut [R], word: &str) -> Result<()> {
    let columns = R::columns();
    let column = columns.iter().find(|column| column.is(word));
    let column = column.ok_or_else(|| unknown(word, &columns))?;
    rows.sort_by(|a, b| (column.cell)(a).order(&(column.cell)(b)));
    Ok(())
}

/// The columns for people who ask which there are.
pub fn list<R: Row>() -> String {
    let columns = R::columns();
    let lines = columns.iter().map(|column| {
        let usual = if column.is_usual { '*' } else { ' ' };
        format!("{usual} {:<16}{}\n", column.key, column.meaning)
    });
    let lines: String = lines.collect();
    format!("{lines}\nThose with * are shown if nobody says which.\n")
}
