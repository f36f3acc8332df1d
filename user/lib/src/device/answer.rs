// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records of an answer, as they come.

use std::fs::File;
use std::io::{self, Read as _};

use abi::pagelens::{
    Begin, End, Header, LeftOut, Memory, Process, Vma, KIND_BEGIN, KIND_END, KIND_LEFT_OUT,
    KIND_MEMORY, KIND_NAME, KIND_PROCESS, KIND_VMA, NAME_CUT, PROTOCOL,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};

/// Bytes that are read at a time. The module fills them from a smaller buffer of its own.
const CHUNK: usize = 1 << 16;

/// An area of addresses, and what is mapped there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// The area.
    pub vma: Vma,
    /// Its name as `/proc/PID/maps` has it, but not escaped; `None` if it has none, if none was asked
    /// for, or if it was too long.
    pub name: Option<Vec<u8>>,
    /// Whether the name is missing because it was too long.
    pub is_name_cut: bool,
}

/// A part of an answer. Parts of a kind that this crate does not know are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// The beginning.
    Begin(Begin),
    /// A process; its memory may be told before or behind it.
    Process(Process),
    /// An area of the memory of the process before it.
    Area(Box<Area>),
    /// The memory of the process before it.
    Memory(Box<Memory>),
    /// A process that is not told.
    LeftOut(LeftOut),
    /// The end: the answer is whole.
    End(End),
}

/// The records of an answer of any kind, one after the other.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) file: File,
    bytes: Vec<u8>,
    /// How many of `bytes` were taken.
    taken: usize,
}

impl Records {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            bytes: Vec::new(),
            taken: 0,
        }
    }

    /// Reads on; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        self.bytes.resize(CHUNK, 0);
        self.taken = 0;
        let count = loop {
            match self.file.read(&mut self.bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = count.map_err(|source| Error::Device { source })?;
        self.bytes.truncate(count);
        Ok(count > 0)
    }

    /// The next one, of whatever kind.
    pub(super) fn next(&mut self) -> Result<(Header, &[u8])> {
        if self.taken >= self.bytes.len() && !self.fill()? {
            return Err(Error::Record {
                why: "it was cut off",
            });
        }
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let (header, record) = split(rest)?;
        self.taken += record.len();
        Ok((header, record))
    }
}

/// An answer that is read. It ends with [`Record::End`], or with an error.
#[derive(Debug)]
pub struct Answer {
    records: Records,
    named: Named,
    is_over: bool,
}

/// The name of the area that comes next, if it was told.
#[derive(Debug, Default)]
struct Named {
    name: Option<Vec<u8>>,
    is_cut: bool,
}

impl Answer {
    pub(super) fn new(file: File) -> Self {
        Self {
            records: Records::new(file),
            named: Named::default(),
            is_over: false,
        }
    }

    /// The descriptor itself. Who reads from it takes records away.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.records.file
    }

    /// The next record that is known.
    fn next_known(&mut self) -> Result<Record> {
        loop {
            let (header, bytes) = self.records.next()?;
            if let Some(record) = self.named.record(header, bytes)? {
                return Ok(record);
            }
        }
    }
}

impl Named {
    /// What a record says; `None` if it belongs to a later one, or is not known.
    fn record(&mut self, header: Header, bytes: &[u8]) -> Result<Option<Record>> {
        Ok(Some(match header.kind {
            KIND_BEGIN => {
                let begin: Begin = parse(bytes)?;
                known_protocol(begin.protocol)?;
                Record::Begin(begin)
            }
            KIND_PROCESS => Record::Process(parse(bytes)?),
            KIND_NAME => {
                self.is_cut = header.flags & NAME_CUT != 0;
                self.name = (!self.is_cut).then(|| name_behind::<Header>(bytes).to_vec());
                return Ok(None);
            }
            KIND_VMA => Record::Area(Box::new(Area {
                vma: parse(bytes)?,
                name: self.name.take(),
                is_name_cut: std::mem::take(&mut self.is_cut),
            })),
            KIND_MEMORY => Record::Memory(Box::new(parse(bytes)?)),
            KIND_LEFT_OUT => Record::LeftOut(parse(bytes)?),
            KIND_END => Record::End(parse(bytes)?),
            _ => return Ok(None),
        }))
    }
}

impl Iterator for Answer {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        if self.is_over {
            return None;
        }
        let record = self.next_known();
        self.is_over = matches!(record, Err(_) | Ok(Record::End(_)));
        Some(record)
    }
}

/// Refuses an answer of a module that speaks otherwise.
pub(super) fn known_protocol(protocol: u32) -> Result<()> {
    match protocol {
        PROTOCOL => Ok(()),
        _ => Err(Error::Record {
            why: "the module speaks another protocol: update the library or the module",
        }),
    }
}

/// The name behind a record of this type: the first 0 byte ends it.
pub(super) fn name_behind<T>(bytes: &[u8]) -> &[u8] {
    let name = bytes.get(size_of::<T>()..).unwrap_or_default();
    name.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The first of some records, with its header.
fn split(bytes: &[u8]) -> Result<(Header, &[u8])> {
    let torn = Error::Record {
        why: "a record is torn",
    };
    let Ok((header, _)) = Header::read_from_prefix(bytes) else {
        return Err(torn);
    };
    let len = header.len as usize;
    match bytes.get(..len) {
        Some(record) if len >= size_of::<Header>() && len % 8 == 0 => Ok((header, record)),
        _ => Err(torn),
    }
}

/// A record that is perhaps longer than this crate knows, or shorter: what is missing is 0.
pub(super) fn parse<T: FromBytes + IntoBytes>(bytes: &[u8]) -> Result<T> {
    let mut record = T::new_zeroed();
    let known = bytes.len().min(size_of::<T>());
    let (Some(to), Some(from)) = (record.as_mut_bytes().get_mut(..known), bytes.get(..known))
    else {
        return Err(Error::Record {
            why: "a record is torn",
        });
    };
    to.copy_from_slice(from);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;

    use super::*;

    fn answer(bytes: &[u8]) -> Answer {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("answer", flags).unwrap());
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Answer::new(file)
    }

    fn header<T>(kind: u16) -> Header {
        let len = size_of::<T>() as u32;
        Header {
            len,
            kind,
            flags: 0,
        }
    }

    #[test]
    fn a_name_goes_to_the_area_behind_it() {
        let vma = Vma {
            header: header::<Vma>(KIND_VMA),
            start: 4096,
            ..Vma::default()
        };
        let end = End {
            header: header::<End>(KIND_END),
            ..End::default()
        };
        let name = Header {
            len: 16,
            kind: KIND_NAME,
            flags: 0,
        };
        let unknown = Header {
            len: 8,
            kind: 999,
            flags: 0,
        };
        let bytes = [
            name.as_bytes(),
            b"[heap]\0\0",
            unknown.as_bytes(),
            vma.as_bytes(),
            vma.as_bytes(),
            end.as_bytes(),
        ]
        .concat();
        let records: Result<Vec<_>> = answer(&bytes).collect();
        let area = |name: Option<&[u8]>| {
            let name = name.map(<[u8]>::to_vec);
            Record::Area(Box::new(Area {
                vma,
                name,
                is_name_cut: false,
            }))
        };
        let expected = vec![area(Some(b"[heap]")), area(None), Record::End(end)];
        assert_eq!(records.unwrap(), expected);
    }

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        let process = Process {
            header: header::<Process>(KIND_PROCESS),
            ..Process::default()
        };
        let mut answer = answer(process.as_bytes());
        assert!(matches!(answer.next(), Some(Ok(Record::Process(_)))));
        let error = answer.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
        assert!(answer.next().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for record in answer(&bytes) {
                let _ = record;
            }
        }

        #[test]
        fn records_of_any_length_and_kind_are_understood_or_passed_over(
            records in proptest::collection::vec((0_u16..10, 1_u32..100), 0..20)
        ) {
            let mut bytes = Vec::new();
            for (kind, words) in records {
                let header = Header { len: words * 8, kind, flags: 0 };
                bytes.extend_from_slice(header.as_bytes());
                bytes.resize(bytes.len() + words as usize * 8 - 8, 1);
            }
            for record in answer(&bytes) {
                let _ = record;
            }
        }
    }
}
