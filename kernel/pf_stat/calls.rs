// SPDX-License-Identifier: GPL-2.0
//! The three system calls: arguments in, structure out, one line in the log for each error.
//!
//! Lock order: `hooking`, `tracking`, then what `kx_cow` takes. Hooking and unhooking may take minutes:
//! the kernel waits for every task to leave the kernel or sleep, and keeps all others from hooking
//! meanwhile. So who waits for `hooking` can be interrupted. `tracking` is only held for looking a
//! program up and for adding one; never while the kernel is hooked or unhooked, or a report is made.

use abi::pf_stat::{
    COUNT, ENDS, FAULTS, MAX_AREAS, MAX_NAME, NR_GET_INFO, NR_SET_PARAM, STARTS, TOTAL, WORDS,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
    transmute::AsBytes,
    uaccess::{UserPtr, UserSlice},
};
use kx_base::{log, rw_lock::InterruptibleRwLock};
use kx_cow::{Report, Tracked, Tracking};
use kx_hook::syscall::Handler;
use kx_mm::task::{self, Comm};
use model::ledger::Faults;

const _: () = assert!(MAX_AREAS == kx_cow::MAX_AREAS);
const _: () = assert!(MAX_NAME + 1 == task::COMM_LEN);

/// What the calls and the file share.
#[pin_data]
pub(crate) struct Shared {
    /// `Some` while something is tracked. Becomes that, or `None`, within `hooking` only.
    #[pin]
    tracking: Mutex<Option<Tracking>>,
    /// Entered alone by who hooks or unhooks the kernel.
    #[pin]
    hooking: InterruptibleRwLock,
}

/// Serves the calls.
pub(crate) struct Calls {
    pub(crate) shared: Arc<Shared>,
}

/// Why a call fails: what the caller gets, and what the log says.
struct Failure(Error, &'static str);

const NOT_ALLOWED: Failure = Failure(EPERM, "CAP_PERFMON is needed");
const NO_NAME: Failure = Failure(EINVAL, "no process name was given");
const LONG_NAME: Failure = Failure(EINVAL, "a process name has at most 15 characters");
const UNREADABLE: Failure = Failure(EFAULT, "the process name cannot be read");
const NO_STRUCTURE: Failure = Failure(EINVAL, "no structure was given");
const UNWRITABLE: Failure = Failure(EFAULT, "the structure cannot be written");
const NOT_TRACKED: Failure = Failure(ESRCH, "this process name is not tracked");
const NEVER_RUN: Failure = Failure(
    ESRCH,
    "no process was executed under this name since it is tracked",
);
const NO_MEMORY: Failure = Failure(ENOMEM, "not enough memory");
const KILLED: Failure = Failure(EINTR, "the calling process was killed");
const LOST: Failure = Failure(
    ENOMEM,
    "too many processes were alive to follow the last one that was executed",
);
const SWITCHED_OFF: Failure = Failure(EBUSY, "kernel.ftrace_enabled is 0");
const NO_HOOK: Failure = Failure(ENOENT, "this kernel lacks a function that must be hooked");

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            ENOMEM => NO_MEMORY,
            ESRCH => NEVER_RUN,
            EINTR => KILLED,
            ENOENT => NO_HOOK,
            EBUSY => SWITCHED_OFF,
            ENOSPC => LOST,
            other => Failure(other, "unexpected"),
        }
    }
}

impl Shared {
    pub(crate) fn new() -> Result<Arc<Self>> {
        let shared = pin_init!(Self {
            tracking <- new_mutex!(None, "pf_stat.tracking"),
            hooking <- InterruptibleRwLock::new(),
        });
        Arc::pin_init(shared, GFP_KERNEL)
    }

    /// Shows all programs that are tracked.
    pub(crate) fn each(&self, mut show: impl FnMut(Tracked) -> Result) -> Result {
        let mut programs = KVec::new();
        if let Some(tracking) = &*self.tracking.lock() {
            for program in tracking.programs() {
                programs.push(program, GFP_KERNEL)?;
            }
        }
        programs.into_iter().try_for_each(&mut show)
    }

    fn set_param(&self, name: usize, len: usize) -> Result<(), Failure> {
        let comm = read_name(name, len)?;
        if let Some(done) = self.track(comm) {
            return Ok(done?);
        }
        let _alone = self.hooking.exclude()?;
        // Somebody may have hooked the kernel meanwhile.
        if let Some(done) = self.track(comm) {
            return Ok(done?);
        }
        let mut new = Tracking::new()?;
        new.track(comm)?;
        *self.tracking.lock() = Some(new);
        Ok(())
    }

    /// Tracks one more name, if the kernel is hooked.
    fn track(&self, comm: Comm) -> Option<Result> {
        let mut tracking = self.tracking.lock();
        let tracking = Option::as_mut(&mut tracking)?;
        Some(tracking.track(comm))
    }

    fn get_info(&self, name: usize, len: usize, to: usize) -> Result<(), Failure> {
        if to == 0 {
            return Err(NO_STRUCTURE);
        }
        let comm = read_name(name, len)?;
        let report = self.tracked(&comm).ok_or(NOT_TRACKED)?.report::<Faults>()?;
        let words = encode(&report)?;
        UserSlice::new(UserPtr::from_addr(to), size_of_val(&words[..]))
            .writer()
            .write_slice(AsBytes::as_bytes(&words[..]))
            .map_err(|_| UNWRITABLE)
    }

    fn cleanup(&self) -> Result<(), Failure> {
        let _alone = self.hooking.exclude()?;
        let tracking = self.tracking.lock().take();
        // Outside of the lock, which is released at the end of the line above.
        drop(tracking);
        Ok(())
    }

    fn tracked(&self, comm: &Comm) -> Option<Tracked> {
        self.tracking.lock().as_ref()?.program(comm)
    }
}

impl Handler for Calls {
    fn call(&self, number: u32, arguments: [usize; 6]) -> Result<isize> {
        let [name, len, to, ..] = arguments;
        let call = match number {
            NR_SET_PARAM => "pf_set_param",
            NR_GET_INFO => "pf_get_info",
            _ => "pf_cleanup",
        };
        let result = match number {
            _ if !task::may_monitor() => Err(NOT_ALLOWED),
            NR_SET_PARAM => self.shared.set_param(name, len),
            NR_GET_INFO => self.shared.get_info(name, len, to),
            _ => self.shared.cleanup(),
        };
        result.map(|()| 0).map_err(|Failure(error, reason)| {
            // Nothing was changed, and the kernel makes the call again: when it is thawed or goes on,
            // or after a handler that wants it so. Otherwise it makes EINTR of it.
            if error == ERESTARTSYS {
                return error;
            }
            let number = error.to_errno();
            log::error_line(format_args!("[INFO940][ERROR] {call}: {reason} ({number})"));
            error
        })
    }
}

/// Reads a name of `len` bytes; what follows a NUL does not count.
fn read_name(address: usize, len: usize) -> Result<Comm, Failure> {
    if address == 0 || len == 0 {
        return Err(NO_NAME);
    }
    let mut name = [0; MAX_NAME];
    let name = name.get_mut(..len).ok_or(LONG_NAME)?;
    UserSlice::new(UserPtr::from_addr(address), len)
        .reader()
        .read_slice(name)
        .map_err(|_| UNREADABLE)?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Comm::new(name).ok_or(NO_NAME)
}

/// The structure of the document, as words.
fn encode(report: &Report<Faults>) -> Result<KVec<u64>, Failure> {
    let mut words = KVec::from_elem(0, WORDS, GFP_KERNEL).map_err(|_| NO_MEMORY)?;
    let areas = report.areas.as_slice();
    set(&mut words, COUNT, [areas.len() as u64]);
    set(&mut words, TOTAL, [report.folded.total.faults()]);
    let faults = report.tallies.iter().take(areas.len());
    set(&mut words, FAULTS, faults.map(|faults| faults.0));
    set(&mut words, STARTS, areas.iter().map(|area| area.start));
    set(&mut words, ENDS, areas.iter().map(|area| area.end));
    Ok(words)
}

fn set(words: &mut [u64], from: usize, values: impl IntoIterator<Item = u64>) {
    let places = words.get_mut(from..).unwrap_or_default();
    for (place, value) in places.iter_mut().zip(values) {
        *place = value;
    }
}
