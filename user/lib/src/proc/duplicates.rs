// SPDX-License-Identifier: MIT OR Apache-2.0
//! Groups of frames with equal bytes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;

use super::pages::{Permission, PresentPage};
use crate::error::{Error, Result};
use crate::program::Duplicates;
use crate::PAGE_SIZE;

type Bytes = [u8; PAGE_SIZE];

/// The frames of one program that are, or may be, mapped read-only somewhere.
#[derive(Default)]
pub(super) struct Frames {
    by_number: BTreeMap<u64, Frame>,
}

#[derive(Clone, Copy)]
struct Frame {
    pid: u32,
    address: u64,
    is_read_only: bool,
}

/// Frames with the same bytes; `first` stands for them all.
struct Class {
    first: Frame,
    read_only: u64,
    unknown: u64,
}

/// What comparing gave: the fields of [`super::Survey`].
pub(super) struct Compared {
    pub least: Duplicates,
    pub most: Duplicates,
    pub unread: u64,
}

impl Frames {
    /// Notes a page. A frame counts once, and as read-only if one mapping of it is.
    pub fn add(&mut self, pid: u32, page: PresentPage) {
        let is_read_only = match page.permission {
            Permission::Writable => return,
            Permission::ReadOnly => true,
            Permission::Unknown => false,
        };
        self.by_number
            .entry(page.frame)
            .and_modify(|frame| frame.is_read_only |= is_read_only)
            .or_insert(Frame {
                pid,
                address: page.address,
                is_read_only,
            });
    }

    /// Compares the bytes of all frames.
    pub fn compare(&self) -> Result<Compared> {
        let mut memory = MemFiles::default();
        // The hash only finds the classes to compare with; bytes decide.
        let mut classes: HashMap<u64, Vec<Class>> = HashMap::new();
        let mut unread = 0;
        for &frame in self.by_number.values() {
            let Some(bytes) = memory.read(frame)? else {
                unread += 1;
                continue;
            };
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            let same_hash = classes.entry(hasher.finish()).or_default();
            let mut found = None;
            for (index, class) in same_hash.iter().enumerate() {
                if memory.read(class.first)?.as_deref() == Some(&*bytes) {
                    found = Some(index);
                    break;
                }
            }
            let index = found.unwrap_or_else(|| {
                same_hash.push(Class {
                    first: frame,
                    read_only: 0,
                    unknown: 0,
                });
                same_hash.len() - 1
            });
            match frame.is_read_only {
                true => same_hash[index].read_only += 1,
                false => same_hash[index].unknown += 1,
            }
        }
        let classes: Vec<&Class> = classes.values().flatten().collect();
        let least = count(classes.iter().map(|class| class.read_only));
        let most = count(classes.iter().map(|class| class.read_only + class.unknown));
        Ok(Compared {
            least,
            most,
            unread,
        })
    }
}

fn count(sizes: impl Iterator<Item = u64>) -> Duplicates {
    sizes
        .filter(|&size| size > 1)
        .fold(Duplicates::default(), |sum, size| Duplicates {
            pages: sum.pages + size,
            groups: sum.groups + 1,
        })
}

/// The open `/proc/PID/mem` files.
#[derive(Default)]
struct MemFiles {
    files: HashMap<u32, File>,
}

impl MemFiles {
    /// The frame's bytes, or `None` where /proc refuses them.
    fn read(&mut self, frame: Frame) -> Result<Option<Box<Bytes>>> {
        const EIO: i32 = 5;
        let pid = frame.pid;
        let failed = |source| Error::Process {
            pid,
            file: "mem",
            source,
        };
        let file = match self.files.entry(pid) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(new) => {
                new.insert(File::open(format!("/proc/{pid}/mem")).map_err(failed)?)
            }
        };
        let mut bytes = Box::new([0; PAGE_SIZE]);
        match file.read_exact_at(bytes.as_mut_slice(), frame.address) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.raw_os_error() == Some(EIO) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_classes_of_two_or_more_count() {
        assert_eq!(
            count([0, 1, 2, 3, 1].into_iter()),
            Duplicates {
                pages: 5,
                groups: 2
            }
        );
    }

    #[test]
    fn equal_bytes_of_this_process_are_one_class_and_bounds_differ_by_the_unknown() {
        let pages = [vec![7u8; 3 * PAGE_SIZE], vec![9u8; 3 * PAGE_SIZE]];
        let mut frames = Frames::default();
        let aligned = |bytes: &Vec<u8>| (bytes.as_ptr() as u64).next_multiple_of(PAGE_SIZE as u64);
        let mut number = 0;
        let mut add = |address, permission| {
            number += 1;
            frames.add(
                std::process::id(),
                PresentPage {
                    address,
                    frame: number,
                    permission,
                },
            );
        };
        let (seven, nine) = (aligned(&pages[0]), aligned(&pages[1]));
        add(seven, Permission::ReadOnly);
        add(seven + PAGE_SIZE as u64, Permission::ReadOnly);
        add(nine, Permission::ReadOnly);
        add(nine + PAGE_SIZE as u64, Permission::Unknown);
        add(nine, Permission::Writable);
        add(8, Permission::ReadOnly); // nothing is mapped there
        let compared = frames.compare().unwrap();
        assert_eq!(
            compared.least,
            Duplicates {
                pages: 2,
                groups: 1
            }
        );
        assert_eq!(
            compared.most,
            Duplicates {
                pages: 4,
                groups: 2
            }
        );
        assert_eq!(compared.unread, 1);
    }

    #[test]
    fn a_frame_is_one_page_however_often_it_is_mapped() {
        let mut frames = Frames::default();
        for permission in [
            Permission::Unknown,
            Permission::ReadOnly,
            Permission::Unknown,
        ] {
            frames.add(
                1,
                PresentPage {
                    address: 0,
                    frame: 5,
                    permission,
                },
            );
        }
        assert_eq!(frames.by_number.len(), 1);
        assert!(frames.by_number[&5].is_read_only);
    }
}
