// SPDX-License-Identifier: GPL-2.0
//! Questions: records that begin with their size, older or newer than this module.

use abi::pagelens::{
    ram::{Ram, RAM_WITH_FILES, RAM_WITH_GROUPS, RAM_WITH_NAMES, RAM_WITH_RUNS},
    Snapshot, DETAIL_FRAMES, PIDS_MAX, SCOPE_ALL, SCOPE_CGROUP, SCOPE_COMM, SCOPE_PIDS,
    SCOPE_PID_NAMESPACE, WITH_NAMES, WITH_VMAS,
};
use core::ops::Range;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    uaccess::{UserPtr, UserSlice},
};
use kx_base::{charged, record};
use kx_census::scope::{self, Cgroup, Scope};
use kx_mm::task::Comm;
use zerocopy::{FromBytes, IntoBytes};

/// Reads a question.
///
/// # Errors
///
/// [`EINVAL`] for a size that holds not even itself; [`E2BIG`] if there is more in it than this module
/// knows; [`EFAULT`].
pub(crate) fn read<T: FromBytes + IntoBytes>(address: UserPtr) -> Result<T> {
    let size: u32 = record::read(address)?;
    if (size as usize) < size_of::<u32>() {
        return Err(EINVAL);
    }
    record::read_sized(address, size as usize)
}

/// What a snapshot is of.
///
/// # Errors
///
/// [`EINVAL`] for what has no meaning; those of getting at pids, cgroup or namespace; [`ENOMEM`].
pub(crate) fn scope(asked: &Snapshot) -> Result<Scope> {
    let comm = asked.comm;
    let is_plain = asked.flags & !(WITH_VMAS | WITH_NAMES) == 0 && asked.detail <= DETAIL_FRAMES;
    let has = [
        (SCOPE_PIDS, asked.pids != 0 || asked.count != 0),
        (SCOPE_COMM, comm != [0; 16]),
    ];
    let is_strange = has.iter().any(|&(scope, has)| has && asked.scope != scope);
    if !is_plain || is_strange {
        return Err(EINVAL);
    }
    match asked.scope {
        SCOPE_ALL => Ok(Scope::All),
        SCOPE_PIDS => pids(asked).map(Scope::Pids),
        SCOPE_COMM => name(&comm).map(Scope::Comm),
        SCOPE_CGROUP => Cgroup::open(asked.fd).map(Scope::Cgroup),
        SCOPE_PID_NAMESPACE => scope::pid_namespace(asked.fd).map(Scope::Namespace),
        _ => Err(EINVAL),
    }
}

/// The numbers, which must ascend.
fn pids(asked: &Snapshot) -> Result<KVVec<u32>> {
    if asked.count > PIDS_MAX {
        return Err(EINVAL);
    }
    let count = asked.count as usize;
    let bytes = count.checked_mul(size_of::<u32>()).ok_or(EINVAL)?;
    let address = UserPtr::from_addr(usize::try_from(asked.pids).map_err(|_| EFAULT)?);
    let mut from = UserSlice::new(address, bytes).reader();
    let mut pids = KVVec::from_elem(0u32, count, charged::flags())?;
    from.read_slice(pids.as_mut_bytes())?;
    match pids.is_sorted_by(|a, b| a < b) {
        true => Ok(pids),
        false => Err(EINVAL),
    }
}

fn name(comm: &[u8; 16]) -> Result<Comm> {
    let len = comm.iter().position(|&byte| byte == 0).ok_or(EINVAL)?;
    let (name, padding) = comm.split_at_checked(len).ok_or(EINVAL)?;
    match padding.iter().all(|&byte| byte == 0) {
        true => Comm::new(name).ok_or(EINVAL),
        false => Err(EINVAL),
    }
}

/// The physical addresses that a RAM map is of.
///
/// # Errors
///
/// [`EINVAL`] for what has no meaning.
pub(crate) fn addresses(asked: &Ram) -> Result<Range<u64>> {
    let known = RAM_WITH_GROUPS | RAM_WITH_FILES | RAM_WITH_NAMES | RAM_WITH_RUNS;
    let has = |flag| asked.flags & flag != 0;
    if asked.flags & !known != 0 || (has(RAM_WITH_NAMES) && !has(RAM_WITH_FILES)) {
        return Err(EINVAL);
    }
    let whole = |address: u64| address % PAGE_SIZE as u64 == 0;
    let end = match asked.end {
        0 => u64::MAX,
        end if whole(end) && end > asked.start => end,
        _ => return Err(EINVAL),
    };
    match whole(asked.start) {
        true => Ok(asked.start..end),
        false => Err(EINVAL),
    }
}
