// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole answers, put in order.

use std::collections::BTreeMap;

use abi::pagelens::{End, LeftOut, Memory, Process};

use crate::device::{Area, Record};
use crate::error::{Error, Result};

/// A memory with its areas, if those were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The memory as a whole.
    pub memory: Memory,
    /// Its areas, ascending.
    pub areas: Vec<Area>,
}

/// An answer that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The processes in the order of their numbers.
    pub processes: Vec<Process>,
    /// The memories, by the numbers that the processes have for them.
    pub memories: BTreeMap<u64, Space>,
    /// The processes that are not told.
    pub left_out: Vec<LeftOut>,
    /// What there was of everything.
    pub end: End,
}

impl Snapshot {
    /// Reads an answer.
    ///
    /// # Errors
    /// Those of the answer; [`Error::Record`] if it has no end.
    pub fn read(answer: impl IntoIterator<Item = Result<Record>>) -> Result<Self> {
        let (mut processes, mut left_out) = (Vec::new(), Vec::new());
        let (mut memories, mut areas) = (BTreeMap::new(), Vec::new());
        for record in answer {
            match record? {
                Record::Begin(_) => {}
                Record::Process(process) => processes.push(process),
                Record::Area(area) => areas.push(*area),
                Record::Memory(memory) => {
                    let areas: Vec<Area> = std::mem::take(&mut areas);
                    let memory = *memory;
                    if areas.iter().any(|area| area.vma.memory != memory.memory) {
                        return Err(Error::Record {
                            why: "an area is of another memory",
                        });
                    }
                    memories.insert(memory.memory, Space { memory, areas });
                }
                Record::LeftOut(process) => left_out.push(process),
                Record::End(end) => {
                    return Ok(Self {
                        processes,
                        memories,
                        left_out,
                        end,
                    });
                }
            }
        }
        Err(Error::Record {
            why: "it has no end",
        })
    }

    /// The process of this number.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// The memory of the process of this number; `None` if it has none.
    #[must_use]
    pub fn memory_of(&self, pid: u32) -> Option<&Space> {
        self.memories.get(&self.process(pid)?.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::pagelens::Vma;

    #[test]
    fn areas_whose_memory_is_missing_are_not_taken_for_another_s() {
        let area = |memory| {
            let vma = Vma {
                memory,
                ..Vma::default()
            };
            Ok(Record::Area(Box::new(Area {
                vma,
                name: None,
                is_name_cut: false,
            })))
        };
        let memory = Memory {
            memory: 2,
            ..Memory::default()
        };
        let told = || Ok(Record::Memory(Box::new(memory)));
        let end = || Ok(Record::End(End::default()));
        assert!(Snapshot::read([area(1), area(2), told(), end()]).is_err());
        let snapshot = Snapshot::read([area(2), area(2), told(), end()]).unwrap();
        assert_eq!(snapshot.memories[&2].areas.len(), 2);
    }
}
