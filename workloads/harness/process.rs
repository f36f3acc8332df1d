// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that the standard library does not make (forks without exec, shared memory),
//! and how a process is.

use std::io;
use std::os::fd::AsRawFd;

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{set_parent_process_death_signal, waitpid, Pid, Signal, WaitOptions};

/// Forks a child that dies with its parent, runs `body` and ends.
///
/// For programs of one thread: the child is a copy of the calling thread alone.
///
/// # Errors
/// If the kernel has no room for it.
pub fn fork(body: impl FnOnce()) -> Result<u64> {
    // SAFETY: The workloads that fork have one thread, so no lock is held by a thread that
    // the child lacks.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => {
            // Without it the child would outlive a killed parent, which tests notice.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            body();
            std::process::exit(0);
        }
        1.. => Ok(u64::try_from(pid)?),
        _ => bail!(io::Error::last_os_error()),
    }
}

/// Waits for the end of a child of [`fork`].
///
/// # Errors
/// If it is none.
pub fn wait(pid: u64) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no such pid")?;
    waitpid(Some(pid), WaitOptions::empty())?;
    Ok(())
}

/// A forked child that has done its work and lives until this value is dropped.
#[derive(Debug)]
pub struct Child(u64);

impl Child {
    /// Forks a child, as [`fork`] does, and waits until it has run `body`.
    ///
    /// # Errors
    /// If the kernel has no room for it.
    pub fn start(body: impl FnOnce()) -> Result<Self> {
        let (reader, writer) = rustix::pipe::pipe()?;
        let pid = fork(|| {
            body();
            let _ = rustix::io::write(&writer, b"x");
            sleep_for_ever();
        })?;
        let child = Self(pid);
        drop(writer);
        let read = rustix::io::read(&reader, &mut [0; 1])?;
        ensure!(read == 1, "the child ended early");
        Ok(child)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _ = wait(self.0);
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// Waits for the end of a child of [`fork`].
///
/// # Errors
/// If it is none.
pub fn wait_for(pid: u64) -> Result<End> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no such pid")?;
    let (_, status) = waitpid(Some(pid), WaitOptions::empty())?.context("no such child")?;
    Ok(match status.terminating_signal() {
        Some(signal) => End::Signal(signal),
        None => End::Status(status.exit_status().unwrap_or(0)),
    })
}

/// Sleeps until a signal ends the process.
pub fn sleep_for_ever() {
    loop {
        // SAFETY: pause takes nothing and touches no memory.
        unsafe { libc::pause() };
    }
}

/// Starts a process that sleeps in this process's address space, as a child of vfork does
/// for a moment.
///
/// # Errors
/// If the kernel has no room for it.
pub fn share_memory() -> Result<u64> {
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        sleep_for_ever();
        0
    }
    const STACK: usize = 16 * crate::map::PAGE;
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let end = stack.as_mut_ptr_range().end;
    let top = end.wrapping_sub(end as usize % 16); // the ABI's alignment
    let flags = libc::CLONE_VM | libc::SIGCHLD;
    // SAFETY: `stack` is never freed and used by the child alone, downwards from `top`.
    // The child makes two system calls, which need no state of a thread.
    let pid = unsafe { libc::clone(child, top.cast(), flags, std::ptr::null_mut()) };
    ensure!(pid > 0, io::Error::last_os_error());
    Ok(u64::try_from(pid)?)
}

/// Moves the program break up and writes to the pages that this gives.
///
/// # Errors
/// If the kernel has no room for them.
pub fn grow_heap(pages: usize) -> Result<()> {
    let bytes = pages * crate::map::PAGE;
    // SAFETY: Memory is added only. malloc copes with a break that others move.
    let old = unsafe { libc::sbrk(isize::try_from(bytes)?) };
    ensure!(old as isize != -1, io::Error::last_os_error());
    for offset in (0..bytes).step_by(crate::map::PAGE) {
        // SAFETY: Within the memory just made, to which nobody else refers.
        unsafe { old.cast::<u8>().add(offset).write_volatile(1) };
    }
    Ok(())
}

/// Declares that the heap began so much later, and returns where. Only the kernel's reports heed it.
///
/// # Errors
/// Without `CAP_SYS_RESOURCE`, or if there is no heap there.
pub fn start_heap_later(bytes: usize) -> Result<u64> {
    let start: u64 = stat_field(std::process::id(), 47)?.parse()?;
    let later = start + bytes as u64;
    // SAFETY: Changes what the kernel reports, and the least to which the break may be moved back;
    // nobody in this program moves it back.
    let done = unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_START_BRK, later, 0, 0) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(later)
}

/// Calls itself until the stack is at least so much deeper.
#[inline(never)]
pub fn grow_stack(pages: usize) {
    let page = [1u8; crate::map::PAGE];
    std::hint::black_box(&page);
    if pages > 1 {
        grow_stack(pages - 1);
    }
    std::hint::black_box(&page);
}

/// Ends the process as it is: nothing is cleaned up, no memory is unmapped first.
pub fn end_at_once() -> ! {
    // SAFETY: Takes a number and does not return.
    unsafe { libc::_exit(0) }
}

/// Calls `body` while this thread, and whoever it forks, stays on the CPU that it is on.
///
/// # Errors
/// If the kernel does not bind it.
pub fn on_one_cpu<T>(body: impl FnOnce() -> T) -> Result<T> {
    use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity, CpuSet};
    let all = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(sched_getcpu());
    sched_setaffinity(None, &one)?;
    let result = body();
    sched_setaffinity(None, &all)?;
    Ok(result)
}

/// Stays in the kernel for seconds, without sleeping there: reads two GiB of random numbers with one
/// call, which a signal ends.
///
/// # Errors
/// If there is no `/dev/urandom`.
pub fn stay_in_kernel() -> Result<()> {
    const PART: usize = 2 << 20;
    const PARTS: i32 = 1024;
    let file = std::fs::File::open("/dev/urandom")?;
    let mut memory = vec![0_u8; PART];
    let part = libc::iovec {
        iov_base: memory.as_mut_ptr().cast(),
        iov_len: PART,
    };
    let parts = [part; PARTS as usize];
    // SAFETY: Each part is `memory`, as long as it says, at which nobody looks meanwhile.
    let read = unsafe { libc::readv(file.as_raw_fd(), parts.as_ptr(), PARTS) };
    ensure!(read > 0, io::Error::last_os_error());
    Ok(())
}

/// Ends the calling thread and leaves the process to the others.
pub fn end_this_thread() -> ! {
    // SAFETY: Ends this thread without unwinding: its stack stays mapped, and locks that
    // it holds stay locked, which is for the caller to mind.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}

/// Takes on another user and group for good, and leaves all other groups.
///
/// # Errors
/// Without the capabilities for it.
pub fn become_user(user: u32, group: u32) -> Result<()> {
    // SAFETY: The list is empty; the others take numbers. All threads of the process change.
    let done = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setgid(group),
            libc::setuid(user),
        ]
    };
    ensure!(done == [0; 3], io::Error::last_os_error());
    Ok(())
}

/// A field of `/proc/PID/stat` behind the name, numbered as its manual page does: from 3 on.
fn stat_field(pid: u32, number: usize) -> Result<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    let field = fields.trim_end().split(' ').nth(number - 3);
    Ok(field.context("stat is short")?.to_owned())
}

/// The state letter of a process, as in `/proc/PID/stat`.
///
/// # Errors
/// If there is no such process.
pub fn state(pid: u32) -> Result<char> {
    Ok(stat_field(pid, 3)?.parse()?)
}

/// How long a process has run outside of the kernel, in clock ticks.
///
/// # Errors
/// If there is no such process.
pub fn user_ticks(pid: u32) -> Result<u64> {
    Ok(stat_field(pid, 14)?.parse()?)
}

/// How long a process has run inside the kernel, in clock ticks.
///
/// # Errors
/// If there is no such process.
pub fn kernel_ticks(pid: u32) -> Result<u64> {
    Ok(stat_field(pid, 15)?.parse()?)
}

/// Waits until a process is found asleep several times in a row: one that said `ready` still touches
/// pages on its way there, and one may sleep for a moment while it waits for its own pages.
///
/// # Errors
/// If it ends, or does not come to rest within half a minute.
pub fn rest(pid: u32) -> Result<()> {
    let mut rests = 0;
    for _ in 0..3000 {
        rests = if state(pid)? == 'S' { rests + 1 } else { 0 };
        if rests > 5 {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    bail!("process {pid} does not come to rest")
}
