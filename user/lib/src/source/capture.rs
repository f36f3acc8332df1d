// SPDX-License-Identifier: MIT OR Apache-2.0
//! A moment that was kept in a file.
//!
//! The file begins with [`MAGIC`], the [`VERSION`] (32 bits, the least significant byte first), a checksum
//! (XXH64, 64 bits) of all that follows, and what follows is compressed (zstd): sections, each a kind (16
//! bits), its length (64 bits) and its contents (postcard). Sections of kinds that a reader does not know
//! it passes over.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::Path;

use xxhash_rust::xxh64::xxh64;

use crate::error::{Error, Result};
use crate::processes::{Identity, Processes, Question};

/// How such a file begins.
const MAGIC: &[u8; 8] = b"pagelens";
/// Rises when an old reader would misread a new file.
const VERSION: u32 = 1;
/// Bytes before what is compressed.
const HEAD: usize = MAGIC.len() + size_of::<u32>() + size_of::<u64>();
/// A section with [`Processes`].
const KIND_PROCESSES: u16 = 1;
/// How hard to compress: more takes ten times as long for a few percent.
const LEVEL: i32 = 3;
/// A file that would become larger than this is not one of ours, but somebody's trap.
const MOST: u64 = 4 << 30;

/// A moment that was kept in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The processes with their areas.
    pub processes: Processes,
}

impl Capture {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Capture`].
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |source| Error::Read {
            path: path.into(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(&bytes).map_err(|why| Error::Capture {
            path: path.into(),
            why,
        })
    }

    /// Understands the bytes of a file.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let rest = bytes.strip_prefix(MAGIC);
        let rest = rest.ok_or("it does not begin as one")?;
        let torn = "it was cut off";
        let (version, rest) = rest.split_first_chunk().ok_or(torn)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err("it is of another version: use the pagelens that wrote it, or a newer one");
        }
        let (checksum, rest) = rest.split_first_chunk().ok_or(torn)?;
        if xxh64(rest, 0) != u64::from_le_bytes(*checksum) {
            return Err("its checksum is wrong: it is damaged");
        }
        let damaged = "it is damaged";
        let mut plain = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(rest).map_err(|_| damaged)?;
        let mut decoder = decoder.take(MOST);
        decoder.read_to_end(&mut plain).map_err(|_| damaged)?;
        let mut rest = plain.as_slice();
        while let Some((kind, behind)) = rest.split_first_chunk() {
            let (len, behind) = behind.split_first_chunk().ok_or(damaged)?;
            let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| damaged)?;
            let (section, behind) = behind.split_at_checked(len).ok_or(damaged)?;
            if u16::from_le_bytes(*kind) == KIND_PROCESSES {
                let processes = postcard::from_bytes(section).map_err(|_| damaged)?;
                return Ok(Self { processes });
            }
            rest = behind;
        }
        Err("it has no processes in it")
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Those of `file`.
    pub fn write(&self, file: &mut impl Write) -> std::io::Result<()> {
        let section = postcard::to_stdvec(&self.processes).map_err(std::io::Error::other)?;
        let mut plain = KIND_PROCESSES.to_le_bytes().to_vec();
        plain.extend_from_slice(&(section.len() as u64).to_le_bytes());
        plain.extend_from_slice(&section);
        let packed = zstd::stream::encode_all(plain.as_slice(), LEVEL)?;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&xxh64(&packed, 0).to_le_bytes());
        file.write_all(&head)?;
        file.write_all(&packed)
    }

    /// What the processes of a scope had.
    #[must_use]
    pub fn processes(&self, question: &Question) -> Processes {
        let mut answer = self.processes.clone();
        answer.processes.retain(|process| {
            let identity = Identity {
                pid: process.pid,
                name: process.name.as_bytes(),
                uid: process.uid,
                cgroup: process.cgroup.as_ref(),
            };
            let has_memory = process.figures.total_bytes.is_none_or(|bytes| bytes > 0);
            (has_memory || question.with_empty) && question.scope.has(&identity)
        });
        answer.adopt();
        for process in &mut answer.processes {
            process.figures = process.figures.only(question.figures);
            if !question.with_areas {
                process.areas = Vec::new();
            }
        }
        answer.unknown.clear();
        answer.note_unknown(question.figures);
        answer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::processes::{Figure, Scope};
    use crate::source::{Choice, Source};

    fn own() -> Capture {
        let scope = Scope {
            pids: vec![std::process::id()],
            ..Scope::default()
        };
        let question = Question {
            scope,
            with_areas: true,
            with_cgroups: true,
            ..Question::default()
        };
        let source = Source::choose(&Choice::Proc).unwrap();
        Capture {
            processes: source.processes(&question).unwrap(),
        }
    }

    fn written(capture: &Capture) -> Vec<u8> {
        let mut bytes = Vec::new();
        capture.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let capture = own();
        assert!(!capture.processes.processes[0].areas.is_empty());
        assert_eq!(Capture::parse(&written(&capture)), Ok(capture));
    }

    #[test]
    fn no_more_is_told_than_was_asked_for() {
        let capture = own();
        let answer = capture.processes(&Question {
            figures: [Figure::Pss].into_iter().collect(),
            ..Question::default()
        });
        assert!(answer.processes[0].areas.is_empty());
        assert!(answer.processes[0].figures.pss_bytes.is_some());
        assert_eq!(answer.processes[0].figures.uss_bytes, None);
        let scope = Scope {
            pids: vec![u32::MAX],
            ..Scope::default()
        };
        let nobody = capture.processes(&Question {
            scope,
            ..Question::default()
        });
        assert!(nobody.processes.is_empty());
    }

    #[test]
    fn a_section_that_is_not_known_is_passed_over() {
        let capture = own();
        let plain = zstd::stream::decode_all(&written(&capture)[HEAD..]).unwrap();
        let strange = [
            &9_u16.to_le_bytes()[..],
            &3_u64.to_le_bytes(),
            b"abc",
            &plain,
        ];
        let packed = zstd::stream::encode_all(strange.concat().as_slice(), LEVEL).unwrap();
        let head = [
            MAGIC,
            &VERSION.to_le_bytes()[..],
            &xxh64(&packed, 0).to_le_bytes(),
        ];
        let bytes = [head.concat(), packed].concat();
        assert_eq!(Capture::parse(&bytes), Ok(capture));
    }

    /// A file whose checksum is right, whatever is in it.
    fn sealed(plain: &[u8]) -> Vec<u8> {
        let packed = zstd::stream::encode_all(plain, LEVEL).unwrap();
        let head = [
            MAGIC,
            &VERSION.to_le_bytes()[..],
            &xxh64(&packed, 0).to_le_bytes(),
        ];
        [head.concat(), packed].concat()
    }

    proptest! {
        #[test]
        fn any_damage_is_noticed(at: usize, bit in 0..8_u8) {
            let mut bytes = written(&own());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(Capture::parse(&bytes).is_err());
            bytes.truncate(at);
            prop_assert!(Capture::parse(&bytes).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Capture::parse(&bytes);
            let _ = Capture::parse(&sealed(&bytes));
            let len = (bytes.len() as u64).to_le_bytes();
            let _ = Capture::parse(&sealed(&[&[1, 0][..], &len, &bytes].concat()));
        }
    }
}
