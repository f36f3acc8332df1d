// SPDX-License-Identifier: MIT OR Apache-2.0
//! The call's arguments, errors, number, and its three ways in.

use std::process::Command;

use anyhow::{ensure, Result};
use pagelens::{Kind, Memuse};
use workloads::process::rest;
use workloads::{KernelLog, Module, Workload};

use super::{errno, numbers_in, Loaded};
use crate::elf32;
use crate::support::wait_until;

extern "C" {
    /// `memuse.c`: the call as the C header has it.
    fn memuse_through_header(pid: libc::pid_t, kind: libc::c_int) -> libc::c_long;
}

#[test]
fn who_is_not_there_is_esrch_and_what_is_no_kind_is_einval() -> Result<()> {
    let loaded = Loaded::new()?;
    for pid in [0, -1, i32::MIN, i32::MAX] {
        for kind in [0, 2, 10, 11] {
            assert_eq!(
                errno(loaded.call.raw(pid, kind)),
                libc::ESRCH,
                "{pid} {kind}"
            );
        }
    }
    for kind in [-1, 11, 442, i32::MIN, i32::MAX] {
        assert_eq!(errno(loaded.call.raw(1, kind)), libc::EINVAL, "{kind}");
    }
    Ok(())
}

#[test]
fn a_process_that_has_ended_is_esrch_though_nobody_waited_for_it() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut child = Command::new("true").spawn()?;
    let pid = child.id();
    wait_until("the child has ended", || {
        Ok(workloads::process::state(pid)? == 'Z')
    })?;
    for kind in Kind::EACH {
        assert_eq!(
            errno(loaded.call.raw(pid as i32, kind.number())),
            libc::ESRCH
        );
    }
    child.wait()?;
    assert_eq!(errno(loaded.call.raw(pid as i32, 0)), libc::ESRCH);
    Ok(())
}

#[test]
fn a_thread_stands_for_its_process() -> Result<()> {
    let loaded = Loaded::new()?;
    let holder = Workload::start("holder", &["rw:bb:100", "threads:1"])?;
    holder.stop()?;
    let pid = holder.pid();
    let mut others = 0;
    for thread in numbers_in(&format!("/proc/{pid}/task"))? {
        let thread = thread as u32;
        others += u32::from(thread != pid);
        for kind in Kind::EACH {
            assert_eq!(
                loaded.call.bytes(thread, kind)?,
                loaded.call.bytes(pid, kind)?
            );
        }
    }
    assert_eq!(others, 1);
    Ok(())
}

#[test]
fn c_and_assembly_and_the_library_say_the_same() -> Result<()> {
    let loaded = Loaded::new()?;
    let holder = Workload::start("holder", &["rw:bb:100"])?;
    holder.stop()?;
    let pid = holder.pid() as i32;
    for kind in Kind::EACH {
        let bytes = loaded.call.raw(pid, kind.number())? as i64;
        // SAFETY: The call takes numbers only.
        let through_c = unsafe { memuse_through_header(pid, kind.number()) };
        assert_eq!(through_c, bytes, "{kind:?}");
        let by_hand = workloads::memuse::memuse(abi::memuse::NR, pid, kind.number());
        assert_eq!(by_hand, bytes, "{kind:?}");
    }
    // SAFETY: As above.
    assert_eq!(unsafe { memuse_through_header(pid, 11) }, -1);
    assert_eq!(
        std::io::Error::last_os_error().raw_os_error(),
        Some(libc::EINVAL)
    );
    let by_hand = workloads::memuse::memuse(abi::memuse::NR, pid, 11);
    assert_eq!(by_hand, -i64::from(libc::EINVAL));
    Ok(())
}

#[test]
fn callers_of_the_32_bit_abi_are_not_served() -> Result<()> {
    const GETPPID: u32 = 64;
    let number = u32::try_from(abi::memuse::NR)?;
    let loaded = Loaded::new()?;
    let own = std::process::id();
    // That it can call at all.
    let parent = elf32::negated_result(GETPPID, [0, 0])?;
    assert_eq!(parent as u32, own.wrapping_neg() & 0xFF);
    for kind in [abi::memuse::ALL, abi::memuse::KERNEL_STACK, 11] {
        let answer = elf32::negated_result(number, [own, kind as u32])?;
        assert_eq!(answer, libc::ENOSYS, "{kind}");
    }
    assert!(loaded.call.bytes(own, Kind::All)? > 0);
    Ok(())
}

#[test]
fn a_32_bit_program_has_figures_like_any_other() -> Result<()> {
    let loaded = Loaded::new()?;
    let program = elf32::start()?;
    loaded.check(program.pid())?;
    assert!(loaded.call.bytes(program.pid(), Kind::File)? > 0);
    Ok(())
}

#[test]
fn numbers_are_those_of_the_callers_pid_namespace() -> Result<()> {
    let loaded = Loaded::new()?;
    let mut within = Command::new("unshare");
    within.args(["-p", "-f", "holder", "rw:bb:1234"]);
    let unshare = Workload::start_command(within)?;
    let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
    let outside: u32 = std::fs::read_to_string(children)?.trim().parse()?;
    rest(outside)?;
    let ask = |pid: u32, kind: Kind| -> Result<_> {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &outside.to_string(), "-p", "memuse-asm"]);
        Ok(inside
            .args([pid.to_string(), kind.number().to_string()])
            .output()?)
    };
    for kind in Kind::EACH {
        let answer = String::from_utf8(ask(1, kind)?.stdout)?;
        let same = loaded.call.bytes(outside, kind)?;
        assert_eq!(answer.trim(), same.to_string(), "{kind:?}");
    }
    ensure!(loaded.pages(outside, Kind::Anonymous)? >= 1234);
    // Who is outside has no number there, and there the number from outside is nobody's.
    for stranger in [outside, std::process::id()] {
        let answer = ask(stranger, Kind::All)?;
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        ensure!(said.contains("No such process"), "{stranger}: {said}");
    }
    Ok(())
}

#[test]
fn callers_of_the_x32_abi_are_not_served() -> Result<()> {
    const X32: u64 = 0x4000_0000;
    let _loaded = Loaded::new()?;
    assert!(workloads::memuse::memuse(abi::memuse::NR, 1, 0) > 0);
    let result = workloads::memuse::memuse(X32 | abi::memuse::NR, 1, 0);
    assert_eq!(result, -i64::from(libc::ENOSYS));
    Ok(())
}

#[test]
fn without_the_module_there_is_no_call() -> Result<()> {
    drop(Loaded::new()?);
    assert_eq!(errno(Memuse::new().raw(1, 0)), libc::ENOSYS);
    let error = Memuse::new()
        .bytes(1, Kind::All)
        .err()
        .map(|error| error.to_string());
    ensure!(
        error
            .as_ref()
            .is_some_and(|text| text.contains("is the module loaded?")),
        "{error:?}"
    );
    Ok(())
}

#[test]
fn a_free_number_is_taken_and_found_by_the_library() -> Result<()> {
    for number in ["337", "385", "423"] {
        let _module = Module::load("memuse", &[&format!("nr={number}")])?;
        ensure!(Memuse::new().bytes(1, Kind::All)? > 0);
        let by_default = workloads::memuse::memuse(abi::memuse::NR, 1, 0);
        assert_eq!(by_default, -i64::from(libc::ENOSYS));
    }
    Ok(())
}

#[test]
fn other_numbers_are_refused_and_the_free_ones_named() -> Result<()> {
    let mut log = KernelLog::from_now()?;
    // 442 is the document's: mount_setattr today. 336 is uprobe.
    for number in [
        "442",
        "0",
        "334",
        "336",
        "424",
        "4294967684",
        "18446744073709551615",
    ] {
        let refused = Module::load("memuse", &[&format!("nr={number}")]);
        ensure!(refused.is_err(), "{number} was taken");
        let messages = log.messages()?;
        let expected = format!("nr={number} is");
        ensure!(
            messages.iter().any(|(level, text)| *level == 3
                && text.contains(&expected)
                && text.contains("one of nr=337 to 423")),
            "{messages:?}"
        );
    }
    Ok(())
}
