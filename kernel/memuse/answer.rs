// SPDX-License-Identifier: GPL-2.0
//! From a pid and a number to bytes, or to an error.

use crate::{count::Count, pointers::Pointers};
use kernel::prelude::*;
use kx_base::sched;
use kx_mm::{
    mm::{self, MmWithUser, Patience},
    target::Target,
};
use kx_page::walk::{self, Table};
use model::memuse::{Kind, PAGE_SIZE};

/// How often a process that becomes another program is looked at. One that could do so at each look
/// would keep its caller busy for ever.
const LOOKS: usize = 16;

/// Bytes of the kind with this number in the process with this pid, as the caller numbers it.
///
/// # Errors
///
/// - [`ESRCH`]: there is no such process, or it has ended meanwhile.
/// - [`EINVAL`]: there is no such kind.
/// - [`EPERM`]: the process is another user's, or guarded, and the caller has no right to trace it.
/// - [`EFAULT`]: its page tables are corrupt.
/// - [`EAGAIN`]: at each of [`LOOKS`] looks it became another program.
/// - [`ENOMEM`], and those of [`sched::yield_unless_killed_or_frozen`].
pub(crate) fn memuse(pid: i32, kind: i32) -> Result<u64> {
    let target = Target::find(pid).ok_or(ESRCH)?;
    let kind = Kind::from_number(kind).ok_or(EINVAL)?;
    for _ in 0..LOOKS {
        let Some(mm) = target.access()? else {
            return without_mm(&target, kind);
        };
        if let Some(users) = mm.mmget_not_zero() {
            let bytes = with_mm(&target, &users, kind)?;
            if target.still_has(&mm)? {
                return Ok(bytes);
            }
        }
        // It has ended, or become another program: look again.
        sched::yield_unless_killed_or_frozen()?;
    }
    Err(EAGAIN)
}

/// Kernel threads have a stack and no memory of their own; others have ended.
fn without_mm(target: &Target, kind: Kind) -> Result<u64> {
    match kind {
        _ if !target.is_kernel_thread() => Err(ESRCH),
        Kind::KernelStack => Ok(target.kernel_stack_bytes()),
        _ => Ok(0),
    }
}

fn with_mm(target: &Target, mm: &MmWithUser, kind: Kind) -> Result<u64> {
    Ok(match kind {
        Kind::KernelStack => target.kernel_stack_bytes(),
        Kind::PageTables => mm::page_table_bytes(mm),
        Kind::Swapped => mm::swapped_pages(mm).saturating_mul(PAGE_SIZE),
        Kind::ThreadStacks | Kind::Anonymous => {
            present_bytes(mm, kind, Some(Pointers::new(target, mm)))?
        }
        Kind::CallStack | Kind::All | Kind::Heap | Kind::File | Kind::Shared | Kind::Vdso => {
            present_bytes(mm, kind, None)?
        }
    })
}

/// Bytes of present pages of a kind. Only thread stacks and other anonymous memory are told apart by
/// the threads' stack pointers.
fn present_bytes(mm: &MmWithUser, kind: Kind, pointers: Option<Pointers<'_>>) -> Result<u64> {
    let layout = mm::layout(mm);
    let range = match kind {
        Kind::CallStack => {
            let guard = mm::read_lock_within(mm, &mut Patience::for_ever())?.ok_or(EAGAIN)?;
            let area = guard
                .find_vma(layout.start_stack() as usize)
                .map(mm::area)
                .filter(|area| layout.is_call_stack(area));
            area.map_or(0..0, |area| area.range)
        }
        Kind::Heap => layout.heap().clone(),
        _ => 0..u64::MAX,
    };
    let mut table = Table::new()?;
    let mut count = Count::new(kind, layout, pointers);
    walk::walk_range(
        mm,
        range.start as usize..range.end as usize,
        &mut table,
        &mut count,
    )?;
    count.bytes()
}
