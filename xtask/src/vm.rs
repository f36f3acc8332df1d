// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running a VM, and judging how it ended.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::accel;
use crate::guest;
use crate::kernel;
use crate::lab::Lab;
use crate::machine::{End, Machine, Outcome};
use crate::request::{Guest, VmRequest};
use crate::ui::shown;

/// The command did not end in time.
pub const TIMED_OUT: u8 = 124;
/// The lab itself failed.
pub const LAB_FAILED: u8 = 125;
/// The guest's kernel reported a defect.
pub const KERNEL_REPORT: u8 = 126;

/// How much of a command is repeated when it did not end in time.
const WORDS_SHOWN: usize = 8;

/// See [`run_once_started`].
const BOOTS_AT_MOST: usize = 8;

/// Runs a request to its end; the result is the process's exit status.
pub fn run(lab: &Lab, request: VmRequest) -> Result<u8> {
    run_into(lab, request, &mut std::io::stdout())
}

/// The same with the command's stdout in `out`.
pub fn run_into(lab: &Lab, request: VmRequest, out: &mut (dyn Write + Send)) -> Result<u8> {
    let kernel = kernel::named(lab, &request.kernel)?;
    let initramfs = guest::pack(lab, &kernel, &request)?;
    let disk = match request.guest {
        Guest::Minimal => None,
        Guest::Full => Some(guest::full_image(lab)?),
    };
    let machine = Machine {
        accel: accel::detect(lab, &kernel)?,
        image: kernel.image(),
        initramfs,
        disk,
        threads: request.threads,
        cpus: request.cpus,
        memory_mib: request.memory_mib,
        append: format!("{} {}", kernel.append, request.append),
        timeout: request.timeout,
        stop_after_report: !request.allow_report,
    };
    if request.command.is_empty() {
        return machine.interact().map(|()| 0);
    }
    let end = run_once_started(lab, &machine, out)?;
    let log = keep_console(lab, &end.console)?;
    let fetched = unpack(&end.fetched, &request.fetches);
    if end.outcome == Outcome::TimedOut {
        let seconds = request.timeout.unwrap_or_default().as_secs();
        let words = request.command.iter().take(WORDS_SHOWN);
        let words: Vec<_> = words.map(String::as_str).collect();
        eprintln!("waited {seconds} s for the end of: {}", words.join(" "));
    }
    let status = judge(&end, request.allow_report, &log)?;
    if status == 0 {
        fetched?;
    }
    Ok(status)
}

/// Runs the machine; boots again when its kernel reported a defect before the command started.
///
/// An emulated processor may execute a breakpoint that another one has just patched away, which a
/// real one never does: a kernel that patches itself while it boots then dies of an `int3`. And an
/// interrupt that comes in the first milliseconds makes KASAN complain. Both were seen about once
/// in thirty boots of a busy host. Nothing of ours has run by then, so that no report is lost.
fn run_once_started(lab: &Lab, machine: &Machine, out: &mut (dyn Write + Send)) -> Result<End> {
    for _ in 1..BOOTS_AT_MOST {
        let end = machine.run(out, &mut std::io::stderr())?;
        if end.started || end.report.is_none() {
            return Ok(end);
        }
        lab.ui
            .note("the kernel reported a defect before the command started: booting again");
    }
    machine.run(out, &mut std::io::stderr())
}

/// The exit status, with the reasons on stderr.
fn judge(end: &End, allow_report: bool, log: &Path) -> Result<u8> {
    if let Some(report) = end.report.as_ref().filter(|_| !allow_report) {
        eprintln!(
            "{report}\nthe guest's kernel reported a defect (console: {})",
            shown(log)
        );
        return Ok(KERNEL_REPORT);
    }
    match &end.outcome {
        Outcome::Exited(status) => Ok(*status),
        Outcome::TimedOut => {
            eprintln!("timed out (console: {})", shown(log));
            Ok(TIMED_OUT)
        }
        Outcome::Died(why) => {
            let lines: Vec<_> = end.console.lines().collect();
            let tail = lines
                .get(lines.len().saturating_sub(20)..)
                .unwrap_or_default()
                .join("\n");
            bail!(
                "{why}; the console's end:\n{tail}\n(console: {})",
                shown(log)
            )
        }
    }
}

/// Keeps the last console of each process that ran a machine.
fn keep_console(lab: &Lab, console: &str) -> Result<PathBuf> {
    let dir = lab.target.join("lab/consoles");
    fs::create_dir_all(&dir)?;
    let log = dir.join(format!("{}.log", std::process::id()));
    fs::write(&log, console)?;
    Ok(log)
}

/// Puts fetched files where the user wants them.
fn unpack(archive: &[u8], fetches: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (from, to) in fetches {
        let below = from.strip_prefix("/").unwrap_or(from);
        let mut found = false;
        let mut tar = tar::Archive::new(archive);
        for entry in tar.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let Ok(rest) = path.strip_prefix(below) else {
                continue;
            };
            found = true;
            let target = if rest.as_os_str().is_empty() {
                to.clone()
            } else {
                to.join(rest)
            };
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            entry
                .unpack(&target)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
        if !found {
            bail!("--fetch: the guest has no {}", from.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(outcome: Outcome, report: Option<&str>) -> End {
        End {
            outcome,
            report: report.map(str::to_owned),
            console: String::new(),
            fetched: Vec::new(),
            started: true,
        }
    }

    #[test]
    fn a_kernel_report_outranks_whatever_the_command_said() {
        let log = Path::new("log");
        assert_eq!(
            judge(&end(Outcome::Exited(0), Some("BUG: x")), false, log).unwrap(),
            KERNEL_REPORT
        );
        assert_eq!(
            judge(&end(Outcome::TimedOut, Some("BUG: x")), false, log).unwrap(),
            KERNEL_REPORT
        );
        assert_eq!(
            judge(&end(Outcome::Exited(7), Some("BUG: x")), true, log).unwrap(),
            7
        );
        assert_eq!(
            judge(&end(Outcome::TimedOut, None), false, log).unwrap(),
            TIMED_OUT
        );
        assert!(judge(&end(Outcome::Died("x".into()), None), false, log).is_err());
    }

    #[test]
    fn fetched_files_land_where_they_are_wanted() {
        let dir = std::env::temp_dir().join(format!("pagelens-fetch-{}", std::process::id()));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, "tmp/out/plot.svg", &b"ok"[..])
            .unwrap();
        let archive = builder.into_inner().unwrap();
        unpack(&archive, &[("/tmp/out".into(), dir.clone())]).unwrap();
        assert_eq!(fs::read_to_string(dir.join("plot.svg")).unwrap(), "ok");
        let missing = unpack(&archive, &[("/tmp/none".into(), dir.clone())]).unwrap_err();
        assert!(missing.to_string().contains("the guest has no /tmp/none"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
