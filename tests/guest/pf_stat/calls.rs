// SPDX-License-Identifier: MIT OR Apache-2.0
//! The calls' arguments and errors, and who may call.

use std::arch::asm;
use std::ffi::{c_char, c_long, CStr};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use pagelens::pf_stat;
use workloads::map::Map;
use workloads::process::rest;
use workloads::{KernelLog, Module};

use super::{errno, errors_in, ledger, start_cow, step, tracking, COW};
use crate::support::shell_output;

const SET_PARAM: i64 = 385;
pub(super) const GET_INFO: i64 = 386;
const CLEANUP: i64 = 387;

extern "C" {
    // `pf_stat.c`: the calls as the C header has them.
    fn pf_set_param_through_header(name: *const c_char) -> c_long;
    fn pf_print_through_header(name: *const c_char, to: *mut c_char, room: usize) -> c_long;
    fn pf_cleanup_through_header() -> c_long;
}

/// A call with raw arguments: 0, or the errno.
pub(super) fn raw(number: i64, arguments: [usize; 3]) -> i32 {
    let [a, b, c] = arguments;
    // SAFETY: The callers pass nothing, or memory that they own and do not look at meanwhile.
    match unsafe { libc::syscall(number, a, b, c) } {
        0 => 0,
        _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(-1),
    }
}

#[test]
fn each_error_has_its_number_and_its_line() -> Result<()> {
    const NO_NAME: &str = "no process name was given";
    const LONG_NAME: &str = "a process name has at most 15 characters";
    const UNREADABLE: &str = "the process name cannot be read";
    const UNWRITABLE: &str = "the structure cannot be written";
    let name = COW.as_ptr() as usize;
    let long = [b'x'; 64];
    let long = long.as_ptr() as usize;
    let empty = c"".as_ptr() as usize;
    let unused = c"unused".as_ptr() as usize;
    let nothing = Map::anonymous(1, false)?;
    let nothing_address = nothing.address();
    nothing.unmap()?;
    let kernel = usize::MAX - 4095;
    let room = vec![0_u8; 4096];
    let room = room.as_ptr() as usize;
    let cases = [
        (SET_PARAM, [0, 3, 0], libc::EINVAL, NO_NAME),
        (SET_PARAM, [name, 0, 0], libc::EINVAL, NO_NAME),
        (SET_PARAM, [empty, 1, 0], libc::EINVAL, NO_NAME),
        (SET_PARAM, [long, 16, 0], libc::EINVAL, LONG_NAME),
        (SET_PARAM, [long, usize::MAX, 0], libc::EINVAL, LONG_NAME),
        (SET_PARAM, [nothing_address, 3, 0], libc::EFAULT, UNREADABLE),
        (SET_PARAM, [kernel, 3, 0], libc::EFAULT, UNREADABLE),
        (GET_INFO, [0, 3, room], libc::EINVAL, NO_NAME),
        (GET_INFO, [name, 0, room], libc::EINVAL, NO_NAME),
        (
            GET_INFO,
            [name, 3, 0],
            libc::EINVAL,
            "no structure was given",
        ),
        (GET_INFO, [long, 16, room], libc::EINVAL, LONG_NAME),
        (
            GET_INFO,
            [nothing_address, 3, room],
            libc::EFAULT,
            UNREADABLE,
        ),
        (
            GET_INFO,
            [name, 3, nothing_address],
            libc::EFAULT,
            UNWRITABLE,
        ),
        (GET_INFO, [name, 3, kernel], libc::EFAULT, UNWRITABLE),
        (
            GET_INFO,
            [name, 2, room],
            libc::ESRCH,
            "this process name is not tracked",
        ),
        (
            GET_INFO,
            [unused, 6, room],
            libc::ESRCH,
            "no process was executed under this name since it is tracked",
        ),
    ];
    // Ten in five seconds are logged, of each time that the module is loaded.
    for cases in cases.chunks(10) {
        let _module = tracking(COW)?;
        pf_stat::set_param(b"unused")?;
        let _cow = start_cow()?;
        let mut log = KernelLog::from_now()?;
        for &(number, arguments, errno, reason) in cases {
            assert_eq!(raw(number, arguments), errno, "{number} {arguments:x?}");
            let call = ["pf_set_param", "pf_get_info"][usize::from(number == GET_INFO)];
            let line = format!("{call}: {reason} (-{errno})");
            assert_eq!(errors_in(&mut log)?, [line], "{number} {arguments:x?}");
        }
    }
    Ok(())
}

#[test]
fn who_may_not_monitor_is_refused_and_logged() -> Result<()> {
    use rustix::thread::{capabilities, set_capabilities, CapabilitySet};
    let _module = tracking(COW)?;
    let _cow = start_cow()?;
    let mut log = KernelLog::from_now()?;
    // Capabilities are those of a thread, and this one ends.
    let caller = std::thread::spawn(|| -> Result<_> {
        let mut sets = capabilities(None)?;
        let monitoring = CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
        sets.effective.remove(monitoring);
        set_capabilities(None, sets)?;
        Ok([SET_PARAM, GET_INFO, CLEANUP].map(|number| raw(number, [0; 3])))
    });
    let answers = caller.join().ok().context("the thread panicked")??;
    assert_eq!(answers, [libc::EPERM; 3]);
    let lines = ["pf_set_param", "pf_get_info", "pf_cleanup"]
        .map(|call| format!("{call}: CAP_PERFMON is needed (-1)"));
    assert_eq!(errors_in(&mut log)?, lines);
    assert_eq!(ledger(COW)?.generation, 1, "still tracked");
    Ok(())
}

#[test]
fn success_says_nothing_in_the_log() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    let mut log = KernelLog::from_now()?;
    pf_stat::set_param(COW.as_bytes())?;
    let mut cow = start_cow()?;
    step(&mut cow, "child-writes 100")?;
    assert!(pf_stat::get_info(COW.as_bytes())?.total >= 100);
    assert!(ledger(COW)?.faults >= 100);
    drop(cow);
    pf_stat::cleanup()?;
    let mut messages = log.messages()?;
    messages.retain(|(_, text)| text.contains("pf_") || text.contains("INFO940"));
    assert_eq!(messages, []);
    Ok(())
}

#[test]
fn a_c_program_reads_what_the_library_reads() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    // SAFETY: The function reads a name, which ends with a NUL.
    assert_eq!(unsafe { pf_set_param_through_header(c"cow".as_ptr()) }, 0);
    let mut cow = start_cow()?;
    let done = step(&mut cow, "child-writes 100")?;
    // It copies pages of its own until it waits, and both look at its counts.
    rest(cow.pid())?;
    let mut room = [0_u8; 32 << 10];
    // SAFETY: As above; and it writes text to `room`, no more than fits.
    let printed =
        unsafe { pf_print_through_header(c"cow".as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    assert_eq!(printed, 0);
    let text = CStr::from_bytes_until_nul(&room)?.to_str()?;
    let line = format!(
        "{:#x} - {:#x} (size: 0x64000): 100 cow faults",
        done.start, done.end
    );
    assert!(text.contains(&line), "{text}");
    assert_eq!(text, shell_output("pf-test -o get_info -p cow")?);
    // SAFETY: The call takes no argument.
    assert_eq!(unsafe { pf_cleanup_through_header() }, 0);
    // SAFETY: As above.
    let refused =
        unsafe { pf_print_through_header(c"cow".as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    let error = std::io::Error::last_os_error();
    assert_eq!((refused, error.raw_os_error()), (-1, Some(libc::ESRCH)));
    Ok(())
}

#[test]
fn a_name_may_carry_its_nul() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    assert_eq!(raw(SET_PARAM, [c"cow".as_ptr() as usize, 4, 0]), 0);
    assert_eq!(ledger(COW)?.generation, 0);
    Ok(())
}

#[test]
fn cleaning_up_nothing_succeeds() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    pf_stat::cleanup()?;
    pf_stat::cleanup()?;
    Ok(())
}

#[test]
fn without_the_module_there_is_no_such_call() -> Result<()> {
    for number in [SET_PARAM, GET_INFO, CLEANUP, 388] {
        assert_eq!(raw(number, [0; 3]), libc::ENOSYS);
    }
    let module = Module::load("pf_stat", &[])?;
    assert_eq!(raw(388, [0; 3]), libc::ENOSYS, "not one of ours");
    module.unload()?;
    assert_eq!(errno(pf_stat::cleanup()), libc::ENOSYS);
    Ok(())
}

#[test]
fn callers_of_another_abi_are_left_alone() -> Result<()> {
    let _module = tracking(COW)?;
    let by_interrupt: i32;
    // SAFETY: The 32-bit call 387 takes no argument; without it the kernel only returns a number.
    unsafe {
        asm!("int 0x80", inlateout("eax") CLEANUP as i32 => by_interrupt);
    }
    assert_eq!(by_interrupt, -libc::ENOSYS);
    assert_eq!(raw(0x4000_0000 | CLEANUP, [0; 3]), libc::ENOSYS, "x32");
    assert_eq!(ledger(COW)?.generation, 0, "still tracked");
    Ok(())
}

#[test]
fn only_those_who_may_monitor_may_call() -> Result<()> {
    let _module = tracking(COW)?;
    let mut nobody = Command::new("pf-test");
    let output = nobody
        .args(["-o", "cleanup"])
        .uid(65534)
        .gid(65534)
        .output()?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("os error 1)"), "{said}");
    let mut nobody = Command::new("cat");
    let output = nobody.arg("/proc/pf_stat").uid(65534).gid(65534).output()?;
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(ledger(COW)?.generation, 0, "still tracked");
    Ok(())
}

#[test]
fn random_arguments_do_no_harm() -> Result<()> {
    let _module = tracking(COW)?;
    let mut cow = start_cow()?;
    let rounds = if crate::support::is_long() {
        100_000
    } else {
        10_000
    };
    let names = [c"cow".as_ptr() as usize, c"a".as_ptr() as usize];
    let mut room = Map::anonymous(2, false)?;
    room.touch_by_writing();
    let mut wall = Map::anonymous(1, false)?;
    wall.protect(rustix::mm::MprotectFlags::empty())?;
    let lengths = [0, 1, 3, 15, 16, 17, 4096, usize::MAX, 1 << 63];
    let mut random = workloads::random()?;
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..rounds {
        let mut pick = |from: &[usize]| match random.u32(..8) {
            0 => random.usize(..) | 1 << 63,
            _ => from[random.usize(..from.len())],
        };
        let name = pick(&[names[0], names[1], 0, wall.address(), room.address(), 1]);
        let length = pick(&lengths);
        let end = room.address() + 2 * 4096;
        let to = pick(&[
            room.address(),
            room.address() + 3,
            0,
            end - 100,
            wall.address(),
            1,
        ]);
        // Hooking and unhooking take the most time by far.
        let number = if round % 500 == 0 {
            CLEANUP
        } else {
            [SET_PARAM, GET_INFO][round % 2]
        };
        *seen.entry(raw(number, [name, length, to])).or_insert(0) += 1;
        if round % 1000 == 0 {
            cow.ask("zero 10")?;
        }
    }
    for expected in [0, libc::EINVAL, libc::EFAULT, libc::ESRCH] {
        assert!(seen.contains_key(&expected), "{seen:?}");
    }
    let known = [0, libc::EINVAL, libc::EFAULT, libc::ESRCH, libc::ENOMEM];
    assert!(seen.keys().all(|errno| known.contains(errno)), "{seen:?}");
    Ok(())
}
