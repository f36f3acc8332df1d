// SPDX-License-Identifier: GPL-2.0
//! Where an address space has its parts, and what its VMAs are.
//!
//! Lock order: mmap lock, then `arg_lock` or the locks of path look-up; the latter two are taken and
//! given up inside single functions.

use crate::{
    mm::{self, Mm, ReadGuard, VmaRef},
    sys,
};
use kernel::{error::from_err_ptr, ffi::c_int, mm::virt::flags, page::PAGE_SIZE, prelude::*};
use model::{
    area::Span,
    layout::{shown_name, Permissions, Segments, Vma, NAME_MAX},
};

/// Pages that are present, as the second field of `/proc/PID/statm` has them: hugetlb pages are
/// accounted for elsewhere.
pub fn rss(mm: &Mm) -> u64 {
    // SAFETY: `mm` is a valid structure.
    unsafe { sys::kx_mm_rss(mm.as_raw()) as u64 }
}

/// How many VMAs there are.
pub fn vma_count(guard: &ReadGuard<'_>) -> usize {
    // SAFETY: The lock is held, so that nothing writes the field.
    unsafe { (*guard.mm().as_raw()).__bindgen_anon_1.map_count as usize }
}

/// Where the address space has its parts.
pub fn segments(guard: &ReadGuard<'_>) -> Segments {
    let mut raw = sys::Segments::default();
    // SAFETY: The address space is valid, and the result goes to a structure of that layout.
    unsafe { sys::kx_mm_segments(guard.mm().as_raw(), &mut raw) };
    let span = |start, end| Span {
        start: start as u64,
        end: end as u64,
    };
    Segments {
        code: span(raw.start_code, raw.end_code),
        data: span(raw.start_data, raw.end_data),
        heap: span(raw.start_brk, raw.brk),
        stack: stack(guard, raw.start_stack),
        args: span(raw.arg_start, raw.arg_end),
        env: span(raw.env_start, raw.env_end),
    }
}

/// The VMA in which the stack began.
fn stack(guard: &ReadGuard<'_>, began: usize) -> Span {
    guard
        .find_vma(began)
        .filter(|vma| vma.start() <= began)
        .map(span)
        .unwrap_or_default()
}

fn span(vma: &VmaRef) -> Span {
    Span {
        start: vma.start() as u64,
        end: vma.end() as u64,
    }
}

/// A VMA with the end of its name.
pub struct NamedVma {
    /// The VMA.
    pub vma: Vma,
    name: [u8; NAME_MAX],
    len: usize,
    is_cut: bool,
}

impl NamedVma {
    /// What it maps, as `/proc/PID/maps` has it, and whether its beginning is missing. Empty for
    /// anonymous memory.
    pub fn name(&self) -> (&[u8], bool) {
        (self.name.get(..self.len).unwrap_or_default(), self.is_cut)
    }
}

/// The first VMAs of an address space.
pub struct Vmas {
    /// As many as there was room for.
    pub vmas: KVVec<NamedVma>,
    scratch: KBox<[u8; PAGE_SIZE]>,
}

impl Vmas {
    /// With room for `count` VMAs.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn with_room(count: usize) -> Result<Self> {
        Ok(Self {
            vmas: KVVec::with_capacity(count, GFP_KERNEL)?,
            scratch: KBox::new([0; PAGE_SIZE], GFP_KERNEL)?,
        })
    }

    /// Takes down what is mapped from `address` on, until the end or until there is no more room.
    /// Allocates nothing.
    pub fn fill(&mut self, guard: &ReadGuard<'_>, address: usize) {
        let mut address = address;
        while self.vmas.len() < self.vmas.capacity() {
            let Some(vma) = guard.find_vma(address) else {
                return;
            };
            address = vma.end();
            let named = self.describe(vma);
            if self.vmas.push_within_capacity(named).is_err() {
                return;
            }
        }
    }

    fn describe(&mut self, vma: &VmaRef) -> NamedVma {
        let full_name = vma_name(vma, &mut self.scratch).unwrap_or(b"[unknown]");
        let (shown, is_cut) = shown_name(full_name);
        let mut name = [0; NAME_MAX];
        for (to, from) in name.iter_mut().zip(shown) {
            *to = *from;
        }
        NamedVma {
            vma: describe(vma),
            name,
            len: shown.len(),
            is_cut,
        }
    }
}

fn describe(vma: &VmaRef) -> Vma {
    let allows = |flag| vma.flags() & flag != 0;
    Vma {
        span: span(vma),
        permissions: Permissions {
            read: allows(flags::READ),
            write: allows(flags::WRITE),
            execute: allows(flags::EXEC),
            shared: mm::is_shared(vma),
        },
        offset: offset(vma),
    }
}

/// Where in its file the VMA begins, in bytes; 0 without a file.
pub fn offset(vma: &VmaRef) -> u64 {
    // SAFETY: The VMA is valid as it is borrowed, and its lock is held: neither field changes.
    let (file, pages) = unsafe { ((*vma.as_ptr()).vm_file, (*vma.as_ptr()).vm_pgoff) };
    match file.is_null() {
        true => 0,
        false => (pages as u64).wrapping_mul(PAGE_SIZE as u64),
    }
}

/// What a VMA maps, as the current task would call it.
///
/// # Errors
///
/// [`ENAMETOOLONG`] if `scratch` is too small for it.
pub fn vma_name<'a>(vma: &VmaRef, scratch: &'a mut [u8; PAGE_SIZE]) -> Result<&'a [u8]> {
    // SAFETY: The VMA is valid and its lock held, as it is borrowed; the buffer has the size.
    let name = from_err_ptr(unsafe {
        sys::kx_vma_name(
            vma.as_ptr(),
            scratch.as_mut_ptr().cast(),
            PAGE_SIZE as c_int,
        )
    })?;
    // SAFETY: The name lies in `scratch` and ends with a NUL.
    Ok(unsafe { CStr::from_char_ptr(name) }.to_bytes())
}
