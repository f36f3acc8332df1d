// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever else watches the function behind our calls may come and go before, with and after us, in
//! any order: we answer as long as we are loaded, and what they see is right.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use anyhow::{ensure, Context, Result};
use pagelens::Memuse;
use workloads::module::{insert, remove};
use workloads::{KernelLog, SysSetting};

use super::errno;
use crate::runner::skip;
use crate::support::{is_long, OneCpu, KPROBES_ENABLED};

const FUNCTION: &str = "__x64_sys_ni_syscall";
/// A number of the same gap that nobody serves.
const NOBODYS: u32 = 400;
const GET_INFO: u32 = 386;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    /// A kprobe event at the function's entry.
    Entry,
    /// A kprobe event where our own probe is.
    Inner,
    /// An fprobe event.
    Fprobe,
    /// The function tracer.
    Tracer,
    Memuse,
    PfStat,
}

use Owner::{Entry, Fprobe, Inner, Memuse as OurMemuse, PfStat, Tracer};

fn tracefs(file: &str) -> String {
    format!("/sys/kernel/tracing/{file}")
}

fn append(file: &str, line: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).open(tracefs(file))?;
    file.write_all(line.as_bytes())
        .with_context(|| line.to_owned())
}

fn write(file: &str, text: &str) -> Result<()> {
    fs::write(tracefs(file), text).with_context(|| format!("{text} to {file}"))
}

impl Owner {
    /// The event of an owner that is one: its definition, its group, and its name.
    fn event(self, inner: &str) -> Option<(String, &'static str, &'static str)> {
        match self {
            Entry => Some((format!("p:entry {FUNCTION}"), "kprobes", "entry")),
            Inner => Some((format!("p:inner {FUNCTION}{inner}"), "kprobes", "inner")),
            Fprobe => Some((format!("f:fprobe {FUNCTION}"), "fprobes", "fprobe")),
            Tracer | OurMemuse | PfStat => None,
        }
    }

    fn come(self, inner: &str) -> Result<()> {
        match self {
            OurMemuse => insert("memuse", "").context("memuse")?,
            PfStat => insert("pf_stat", "").context("pf_stat")?,
            Tracer => write("set_ftrace_filter", FUNCTION)?,
            Entry | Inner | Fprobe => {
                let (definition, ..) = self.event(inner).context("an event")?;
                append("dynamic_events", &definition)?;
            }
        }
        Ok(())
    }

    fn arm(self, on: bool) -> Result<()> {
        match self {
            OurMemuse | PfStat => Ok(()),
            Tracer => write("current_tracer", if on { "function" } else { "nop" }),
            Entry | Inner | Fprobe => {
                let (_, group, name) = self.event("").context("an event")?;
                let file = format!("events/{group}/{name}/enable");
                write(&file, if on { "1" } else { "0" })
            }
        }
    }

    fn go(self) -> Result<()> {
        match self {
            OurMemuse => remove("memuse").context("memuse")?,
            PfStat => remove("pf_stat").context("pf_stat")?,
            Tracer => write("set_ftrace_filter", "")?,
            Entry | Inner | Fprobe => {
                let (_, group, name) = self.event("").context("an event")?;
                append("dynamic_events", &format!("-:{group}/{name}"))?;
            }
        }
        Ok(())
    }

    /// How often a kprobe event was hit.
    fn hits(self) -> Result<u64> {
        let (_, _, name) = self.event("").context("an event")?;
        let profile = fs::read_to_string(tracefs("kprobe_profile"))?;
        let mut lines = profile.lines().map(str::split_whitespace);
        let hits = lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()));
        Ok(hits.flatten().context("no such event")?.parse()?)
    }
}

/// What a call of a number without arguments says.
fn call(number: u32) -> i32 {
    // SAFETY: None of the calls takes a null pointer for memory.
    match unsafe { libc::syscall(number.into(), 0, 0, 0) } {
        -1 => std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
        _ => 0,
    }
}

/// Each of ours answers if it is there, and else nobody; armed events see all calls.
fn check(there: &[Owner], armed: &[Owner]) -> Result<()> {
    let answer = |owner, is| {
        if there.contains(&owner) {
            is
        } else {
            libc::ENOSYS
        }
    };
    ensure!(errno(Memuse::default().raw(0, 0)) == answer(OurMemuse, libc::ESRCH));
    ensure!(call(GET_INFO) == answer(PfStat, libc::EINVAL));
    for owner in [Entry, Inner] {
        let before = owner.hits().unwrap_or(0);
        ensure!(call(NOBODYS) == libc::ENOSYS);
        let expected = before + u64::from(armed.contains(&owner));
        ensure!(owner.hits().unwrap_or(0) == expected, "{owner:?} hits");
    }
    Ok(())
}

/// How far into the function our probe is, as `+OFFSET`.
fn inner() -> Result<String> {
    OurMemuse.come("")?;
    let list = fs::read_to_string("/sys/kernel/debug/kprobes/list")?;
    OurMemuse.go()?;
    let ours = list.lines().find(|line| line.contains("sys_ni_syscall+"));
    let (_, offset) = ours
        .and_then(|line| line.split_once('+'))
        .context(list.clone())?;
    let offset = offset.split_whitespace().next().context("no offset")?;
    Ok(format!("+{offset}"))
}

/// Owners come in one order and go in another; strangers are armed as they come, or when all are
/// there.
fn come_and_go(inner: &str, come: &[Owner], go: &[Owner], is_armed_late: bool) -> Result<()> {
    let (mut there, mut armed) = (Vec::new(), Vec::new());
    for &owner in come {
        owner.come(inner)?;
        there.push(owner);
        if !is_armed_late {
            owner.arm(true)?;
            armed.push(owner);
        }
        check(&there, &armed)?;
    }
    if is_armed_late {
        for &owner in come {
            owner.arm(true)?;
            armed.push(owner);
            check(&there, &armed)?;
        }
        for &owner in go.iter().rev() {
            owner.arm(false)?;
            armed.retain(|&other| other != owner);
            check(&there, &armed)?;
        }
    }
    for &owner in go {
        owner.arm(false)?;
        armed.retain(|&other| other != owner);
        owner.go()?;
        there.retain(|&other| other != owner);
        check(&there, &armed)?;
    }
    let left = fs::read_to_string("/sys/kernel/debug/kprobes/list")?;
    ensure!(!left.contains("ni_syscall"), "{left}");
    Ok(())
}

/// All orders of `count` of the owners.
fn orders(owners: &[Owner], count: usize) -> Vec<Vec<Owner>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orders(owners, count - 1) {
        for &owner in owners {
            if !shorter.contains(&owner) {
                all.push([&shorter[..], &[owner]].concat());
            }
        }
    }
    all
}

/// With `--long` every order in which up to three of the owners can come, and every one in which
/// they can go. Else every order of three: first in, first out, and last in, first out, of which one
/// is armed late.
fn any_order(owners: &[Owner]) -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    let inner = inner()?;
    let fewest = if is_long() { 1 } else { 3 };
    let come = (fewest..=3).flat_map(|count| orders(owners, count));
    for (number, come) in come.enumerate() {
        let go = match is_long() {
            true => orders(&come, come.len()),
            false => vec![come.clone(), come.iter().rev().copied().collect()],
        };
        for (turn, go) in go.iter().enumerate() {
            for is_armed_late in [false, true] {
                if is_long() || is_armed_late == ((number + turn) % 2 == 0) {
                    come_and_go(&inner, &come, go, is_armed_late).with_context(|| {
                        format!("{come:?} come, {go:?} go, late: {is_armed_late}")
                    })?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn we_and_kprobe_events_come_and_go_in_any_order() -> Result<()> {
    any_order(&[Entry, Inner, OurMemuse, PfStat])
}

#[test]
fn we_and_other_tracers_come_and_go_in_any_order() -> Result<()> {
    let readme = fs::read_to_string(tracefs("README"))?;
    let tracers = fs::read_to_string(tracefs("available_tracers"))?;
    if !readme.contains("f[:[") || !tracers.contains("function") {
        return skip(
            "this kernel has no fprobe events or no function tracer",
            &["debug"],
        );
    }
    any_order(&[Fprobe, Tracer, OurMemuse])
}

#[test]
fn of_two_with_the_same_number_the_last_one_serves_it() -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    insert("memuse", &format!("nr={GET_INFO}"))?;
    assert_eq!(call(GET_INFO), libc::ESRCH);
    PfStat.come("")?;
    assert_eq!(call(GET_INFO), libc::EINVAL);
    PfStat.go()?;
    assert_eq!(call(GET_INFO), libc::ESRCH);
    OurMemuse.go()
}

#[test]
fn with_kprobes_switched_off_loading_is_refused_and_the_log_says_why() -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    for module in ["memuse", "pf_stat"] {
        let mut log = KernelLog::from_now()?;
        let off = SysSetting::set(KPROBES_ENABLED, "0")?;
        let refused = insert(module, "")
            .err()
            .and_then(|error| error.raw_os_error());
        if refused.is_none() {
            remove(module)?;
        }
        drop(off);
        assert_eq!(refused, Some(libc::EOPNOTSUPP), "{module}");
        let messages = log.messages()?;
        let why = format!("{module}: \"{FUNCTION}\": kprobes are switched off");
        let said = |(level, text): &(u8, String)| *level == 3 && text.contains(&why);
        assert!(messages.iter().any(said), "{messages:?}");
        insert(module, "")?;
        remove(module)?;
    }
    Ok(())
}

#[test]
fn switching_kprobes_off_stops_the_calls_until_they_are_on_again() -> Result<()> {
    let _one_cpu = OneCpu::enter()?;
    OurMemuse.come("")?;
    {
        let _off = SysSetting::set(KPROBES_ENABLED, "0")?;
        check(&[], &[])?;
    }
    check(&[OurMemuse], &[])?;
    let _off = SysSetting::set(KPROBES_ENABLED, "0")?;
    OurMemuse.go()?;
    drop(_off);
    check(&[], &[])
}
