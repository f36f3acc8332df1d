// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copying into and out of memory that others change meanwhile.
//!
//! Every access is an atomic one to a whole word, so that whatever threads do at the same time is
//! defined: races are no undefined behaviour if all accesses are atomic and of the same size.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Bytes of a word.
pub(super) const WORD: usize = size_of::<AtomicU32>();

/// Copies from the bytes that begin at `offset`.
///
/// # Panics
/// If the words have not as many bytes.
pub(super) fn read(words: &[AtomicU32], offset: usize, to: &mut [u8]) {
    let load = |index: usize| words[index].load(Relaxed).to_ne_bytes();
    let (head, to) = to.split_at_mut(head(offset).min(to.len()));
    if !head.is_empty() {
        let skipped = offset % WORD;
        head.copy_from_slice(&load(offset / WORD)[skipped..][..head.len()]);
    }
    let (first, last) = whole(offset, to.len());
    let mut parts = to.chunks_exact_mut(WORD);
    for (part, word) in parts.by_ref().zip(&words[first..last]) {
        part.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
    }
    let tail = parts.into_remainder();
    if !tail.is_empty() {
        tail.copy_from_slice(&load(last)[..tail.len()]);
    }
}

/// Copies into the bytes that begin at `offset`.
///
/// # Panics
/// If the words have not as many bytes.
pub(super) fn write(words: &[AtomicU32], offset: usize, from: &[u8]) {
    let (head, from) = from.split_at(head(offset).min(from.len()));
    if !head.is_empty() {
        merge(&words[offset / WORD], offset % WORD, head);
    }
    let (first, last) = whole(offset, from.len());
    let parts = from.chunks_exact(WORD);
    let tail = parts.remainder();
    for (part, word) in parts.zip(&words[first..last]) {
        let mut bytes = [0; WORD];
        bytes.copy_from_slice(part);
        word.store(u32::from_ne_bytes(bytes), Relaxed);
    }
    if !tail.is_empty() {
        merge(&words[last], 0, tail);
    }
}

/// Sets the first `length` bytes.
///
/// # Panics
/// If the words have not as many bytes.
pub(super) fn fill(words: &[AtomicU32], length: usize, byte: u8) {
    let (whole, tail) = (length / WORD, length % WORD);
    for word in &words[..whole] {
        word.store(u32::from_ne_bytes([byte; WORD]), Relaxed);
    }
    write(words, whole * WORD, &[byte; WORD][..tail]);
}

/// The bytes from `offset` on that belong to a word which begins before it.
fn head(offset: usize) -> usize {
    offset.next_multiple_of(WORD) - offset
}

/// The words, from the first to that behind the last, that lie within `length` bytes behind the head
/// at `offset`.
fn whole(offset: usize, length: usize) -> (usize, usize) {
    let first = offset.div_ceil(WORD);
    (first, first + length / WORD)
}

/// Replaces bytes of a word and keeps the others, whoever changes them meanwhile.
fn merge(word: &AtomicU32, at: usize, bytes: &[u8]) {
    let replace = |old: u32| {
        let mut new = old.to_ne_bytes();
        new[at..][..bytes.len()].copy_from_slice(bytes);
        Some(u32::from_ne_bytes(new))
    };
    // It always has something to store.
    let _ = word.fetch_update(Relaxed, Relaxed, replace);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::thread;

    fn zeros(count: usize) -> Vec<AtomicU32> {
        (0..count).map(|_| AtomicU32::new(0)).collect()
    }

    /// Whatever threads do at the same time: Miri would find a race.
    #[test]
    fn threads_may_read_and_write_the_same_bytes() {
        let words = zeros(4);
        thread::scope(|scope| {
            for byte in 1..4 {
                let words = &words;
                scope.spawn(move || {
                    for offset in 0..4 {
                        write(words, offset, &[byte; 9]);
                        fill(words, 14, byte);
                        let mut seen = [0; 10];
                        read(words, offset, &mut seen);
                        assert!(seen.iter().all(|&byte| byte <= 3));
                        words[1].store(0, Relaxed);
                    }
                });
            }
        });
        let mut end = [1; 2];
        read(&words, 14, &mut end);
        assert_eq!(end, [0; 2], "nobody wrote there");
    }

    #[test]
    fn neighbours_in_a_word_do_not_lose_what_they_write() {
        let words = zeros(1);
        thread::scope(|scope| {
            for place in 0..WORD {
                let words = &words;
                scope.spawn(move || (1..=50).for_each(|byte| write(words, place, &[byte])));
            }
        });
        let mut seen = [0; WORD];
        read(&words, 0, &mut seen);
        assert_eq!(seen, [50; WORD]);
    }

    proptest! {
        #[test]
        fn as_copies_of_a_slice(
            before in prop::collection::vec(any::<u8>(), 40),
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            at in 0usize..=20,
            length in 0usize..=40,
            byte: u8,
        ) {
            let words = zeros(10);
            write(&words, 0, &before);
            let mut expected = before;
            write(&words, at, &bytes);
            expected[at..][..bytes.len()].copy_from_slice(&bytes);
            let mut seen = vec![0; 40 - at];
            read(&words, at, &mut seen);
            prop_assert_eq!(&seen, &expected[at..]);
            fill(&words, length, byte);
            expected[..length].fill(byte);
            let mut seen = vec![0; length.max(at)];
            read(&words, 0, &mut seen);
            prop_assert_eq!(&seen, &expected[..seen.len()]);
        }
    }
}
