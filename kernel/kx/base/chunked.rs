// SPDX-License-Identifier: GPL-2.0
//! Growing arrays and texts made of single pages.
//!
//! Nothing here is contiguous beyond a page in physical memory, growing moves no element, and memory
//! is allocated as [`charged`] says.

use crate::{charged, sched, sys};
use core::{
    fmt,
    marker::PhantomData,
    mem::{needs_drop, size_of},
    ptr::NonNull,
};
use kernel::{bindings, page::PAGE_SIZE, prelude::*, uaccess::UserSliceWriter};
use model::{
    sort::{Records, Scratch, BUCKETS, FEW},
    text::Output,
};
use pin_init::init_zeroed;

/// A page of the kernel's memory, its contents undefined.
///
/// # Invariants
///
/// The pointer is the address of an order-0 allocation that this value owns.
struct Chunk(NonNull<u8>);

// SAFETY: By the invariant the value owns plain memory, which belongs to no thread.
unsafe impl Send for Chunk {}
// SAFETY: A shared `Chunk` gives no access to its memory.
unsafe impl Sync for Chunk {}

impl Chunk {
    fn new() -> Result<Self> {
        // SAFETY: Has no preconditions but a context that may sleep.
        let page = unsafe { sys::kx_page_alloc() };
        // INVARIANT: The page was allocated just now, with order 0.
        NonNull::new(page.cast()).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: By the invariant this is an order-0 allocation of ours.
        unsafe { bindings::free_pages(self.0.as_ptr() as usize, 0) };
    }
}

/// A growing array that is contiguous by pages only.
///
/// # Invariants
///
/// - There are chunks for `len` elements at least, each chunk holding [`Chunked::PER`] of them.
/// - The first `len` elements are initialised, the others are not.
pub struct Chunked<T> {
    chunks: VVec<Chunk>,
    len: usize,
    owns: PhantomData<T>,
}

impl<T> Chunked<T> {
    /// Elements in a chunk.
    pub const PER: usize = PAGE_SIZE / size_of::<T>();

    /// An empty array; allocates nothing.
    pub fn new() -> Self {
        // INVARIANT: No chunks are enough for no elements.
        Self {
            chunks: VVec::new(),
            len: 0,
            owns: PhantomData,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many elements can be pushed without an allocation.
    #[inline]
    pub fn room(&self) -> usize {
        self.chunks.len() * Self::PER - self.len
    }

    /// Makes room for `additional` elements.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; the elements stay as they are.
    pub fn reserve(&mut self, additional: usize) -> Result {
        while self.room() < additional {
            let chunk = Chunk::new()?;
            self.chunks.push(chunk, charged::flags())?;
        }
        Ok(())
    }

    /// Appends an element.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]; the element is dropped and the others stay as they are.
    pub fn push(&mut self, value: T) -> Result {
        self.reserve(1)?;
        self.push_within_room(value);
        Ok(())
    }

    /// Appends an element without allocating. Without [`room`](Self::room) it is dropped.
    #[inline]
    pub fn push_within_room(&mut self, value: T) {
        let Some(slot) = self.slot(self.len) else {
            return;
        };
        // SAFETY: The slot lies in a chunk that `self` owns, and holds no element by the second
        // invariant.
        unsafe { slot.write(value) };
        // INVARIANT: The slot exists and is initialised now.
        self.len += 1;
    }

    /// The element at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        // SAFETY: By the second invariant there is an element; `self` is borrowed with it.
        self.slot(index).map(|slot| unsafe { &*slot })
    }

    /// The element at `index`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        // SAFETY: By the second invariant there is an element; `self` is borrowed mutably with it.
        self.slot(index).map(|slot| unsafe { &mut *slot })
    }

    /// All elements in turn.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len).map_while(|index| self.get(index))
    }

    /// Drops all elements from `len` on. Their memory stays for later ones.
    pub fn truncate(&mut self, len: usize) {
        if !needs_drop::<T>() {
            // INVARIANT: Fewer than before.
            self.len = self.len.min(len);
        }
        while self.len > len {
            // INVARIANT: The last element is given up before it is dropped.
            self.len -= 1;
            if let Some(slot) = self.slot(self.len) {
                // SAFETY: The element was initialised by the second invariant and is no longer
                // counted, hence dropped once.
                unsafe { slot.drop_in_place() };
            }
        }
    }

    /// Where the element at `index` lives or would live, if there is a chunk for it.
    #[inline]
    fn slot(&self, index: usize) -> Option<*mut T> {
        const { assert!(size_of::<T>() > 0 && size_of::<T>() <= PAGE_SIZE) };
        let chunk = self.chunks.get(index / Self::PER)?;
        // SAFETY: The index is below `PER`, so that the element lies within the chunk's page.
        Some(unsafe { chunk.0.cast::<T>().as_ptr().add(index % Self::PER) })
    }
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Chunked<T> {
    fn drop(&mut self) {
        // From the end on, chunk by chunk: there may be millions.
        while let Some(chunk) = self.chunks.len().checked_sub(1) {
            self.truncate(chunk * Self::PER);
            drop(self.chunks.pop());
            sched::cond_resched();
        }
    }
}

impl Records for Chunked<u128> {
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn get(&self, index: usize) -> u128 {
        Chunked::get(self, index).copied().unwrap_or_default()
    }

    #[inline]
    fn set(&mut self, index: usize, record: u128) {
        if let Some(slot) = self.get_mut(index) {
            *slot = record;
        }
    }

    fn truncate(&mut self, len: usize) {
        Chunked::truncate(self, len);
    }
}

/// The scratch space that sorting needs, no part larger than a page.
pub struct SortSpace {
    next: KBox<[u32; BUCKETS]>,
    end: KBox<[u32; BUCKETS]>,
    few: KBox<[u128; FEW]>,
}

impl SortSpace {
    /// Allocates it.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new() -> Result<Self> {
        Ok(Self {
            next: KBox::init(init_zeroed(), charged::flags())?,
            end: KBox::init(init_zeroed(), charged::flags())?,
            few: KBox::init(init_zeroed(), charged::flags())?,
        })
    }

    /// Lends it.
    pub fn lend(&mut self) -> Scratch<'_> {
        Scratch {
            next: &mut self.next,
            end: &mut self.end,
            few: &mut self.few,
        }
    }
}

/// A text for a reader. Writing to it fails for want of memory only.
#[derive(Default)]
pub struct Text(Chunked<u8>);

impl Text {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies as much as `to` takes, from `offset` on; returns how much that was.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if not even the first bytes could be copied.
    pub fn read(&self, offset: usize, to: &mut UserSliceWriter) -> Result<usize> {
        let mut at = offset;
        while !to.is_empty() {
            let piece = self.piece(at);
            let piece = piece.get(..to.len()).unwrap_or(piece);
            match to.write_slice(piece) {
                Ok(()) if piece.is_empty() => break,
                Ok(()) => at += piece.len(),
                Err(error) if at == offset => return Err(error),
                Err(_) => break,
            }
        }
        Ok(at - offset)
    }

    /// What is contiguous from `offset` on; empty at the end.
    fn piece(&self, offset: usize) -> &[u8] {
        let len = (PAGE_SIZE - offset % PAGE_SIZE).min(self.len().saturating_sub(offset));
        match self.0.get(offset) {
            // SAFETY: The bytes from `offset` to the end of its chunk or of the text are
            // initialised and contiguous; `self` is borrowed with them.
            Some(first) => unsafe { core::slice::from_raw_parts(first, len) },
            None => &[],
        }
    }
}

impl Output for Text {
    fn write_bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        self.0.reserve(bytes.len()).map_err(|_| fmt::Error)?;
        for &byte in bytes {
            self.0.push_within_room(byte);
        }
        Ok(())
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_bytes(text.as_bytes())
    }
}
