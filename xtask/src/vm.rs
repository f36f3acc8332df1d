// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running a VM, and judging how it ended.
//!
//! Everything that leaves the guest comes through pipes that QEMU inherits: the console (for the
//! kernel's reports), the command's stdout and stderr, an archive of fetched files, and the verdict.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::accel::{self, Accel, Threads};
use crate::cli::Guest;
use crate::guest;
use crate::lab::Lab;
use crate::report;
use crate::run;
use crate::ui::shown;

/// See [`VmRequest::cpus`].
pub const DEFAULT_CPUS: u32 = 2;
/// See [`VmRequest::memory_mib`].
pub const DEFAULT_MEMORY_MIB: u32 = 1024;
/// The command did not end in time.
pub const TIMED_OUT: u8 = 124;
/// The lab itself failed.
pub const LAB_FAILED: u8 = 125;
/// The guest's kernel reported a defect.
pub const KERNEL_REPORT: u8 = 126;

/// A kernel that has reported a defect may never end: how long it gets to do so.
const GRACE_AFTER_REPORT: Duration = Duration::from_secs(60);

/// What the guest's first process writes to the kernel's log before it starts the command.
const STARTED: &str = "lab: the command starts";

/// See [`run_once_started`].
const BOOTS_AT_MOST: usize = 8;

/// The streams that QEMU writes, in the order of their file descriptor sets.
const STREAMS: [&str; 5] = ["console", "out", "err", "fetch", "verdict"];

/// What a user asks for.
pub struct VmRequest {
    /// A kernel of the catalogue.
    pub kernel: String,
    /// What the guest contains.
    pub guest: Guest,
    /// On how many threads they are emulated.
    pub threads: Threads,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory of the guest.
    pub memory_mib: u32,
    /// From the host into the guest.
    pub copies: Vec<(PathBuf, PathBuf)>,
    /// From the guest to the host, once the command has ended.
    pub fetches: Vec<(PathBuf, PathBuf)>,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// Words for the kernel's command line.
    pub append: String,
    /// Whether a kernel report is the command's own business.
    pub allow_report: bool,
    /// Empty for a shell.
    pub command: Vec<String>,
}

impl VmRequest {
    /// A request with the lab's defaults.
    pub fn new(kernel: &str, command: &[&str]) -> Self {
        Self {
            kernel: kernel.to_owned(),
            guest: Guest::Minimal,
            threads: Threads::OnePerCpu,
            cpus: DEFAULT_CPUS,
            memory_mib: DEFAULT_MEMORY_MIB,
            copies: Vec::new(),
            fetches: Vec::new(),
            timeout: None,
            append: String::new(),
            allow_report: false,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
}

/// A machine, ready to start.
pub struct Machine {
    /// How instructions are executed.
    pub accel: Accel,
    /// The kernel's image.
    pub image: PathBuf,
    /// What it boots into.
    pub initramfs: Vec<u8>,
    /// The full guest's disk.
    pub disk: Option<PathBuf>,
    /// On how many threads they are emulated.
    pub threads: Threads,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory of the guest.
    pub memory_mib: u32,
    /// Words for the kernel's command line.
    pub append: String,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// End the machine some time after a kernel report.
    pub stop_after_report: bool,
}

/// How a machine ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The command ended with this status.
    Exited(u8),
    /// It was still running when its time was over.
    TimedOut,
    /// The machine ended without a verdict.
    Died(String),
}

/// A machine's end, with what the kernel said about it.
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// The kernel's defect report.
    pub report: Option<String>,
    /// Everything the console printed.
    pub console: String,
    /// The archive of fetched files.
    pub fetched: Vec<u8>,
    /// Whether the guest got as far as its command.
    pub started: bool,
}

/// Runs a request to its end; the result is the process's exit status.
pub fn run(lab: &Lab, request: VmRequest) -> Result<u8> {
    let kernel = lab.kernel(&request.kernel)?;
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
    let end = run_once_started(lab, &machine)?;
    let log = keep_console(lab, &end.console)?;
    let fetched = unpack(&end.fetched, &request.fetches);
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
fn run_once_started(lab: &Lab, machine: &Machine) -> Result<End> {
    for _ in 1..BOOTS_AT_MOST {
        let end = machine.run(&mut std::io::stdout(), &mut std::io::stderr())?;
        if end.started || end.report.is_none() {
            return Ok(end);
        }
        lab.ui
            .note("the kernel reported a defect before the command started: booting again");
    }
    machine.run(&mut std::io::stdout(), &mut std::io::stderr())
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

impl Machine {
    /// QEMU without its devices for the lab.
    fn qemu(&self, initramfs: &Path) -> Command {
        let mut command = run::dying_with_us("qemu-system-x86_64");
        command
            .args([
                "-machine",
                "q35",
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
                "-nic",
                "none",
            ])
            .args(self.accel.arguments(self.threads))
            .args([
                "-smp",
                &self.cpus.to_string(),
                "-m",
                &format!("{}M", self.memory_mib),
            ])
            .arg("-kernel")
            .arg(&self.image)
            .arg("-initrd")
            .arg(initramfs)
            .args([
                "-append",
                &format!("console=ttyS0 loglevel=5 panic=-1 {}", self.append),
            ]);
        if let Some(disk) = &self.disk {
            let drive = format!(
                "if=none,id=disk,format=raw,readonly=on,file={}",
                disk.display()
            );
            command.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"]);
        }
        command
    }

    /// A root shell on this terminal.
    fn interact(&self) -> Result<()> {
        let initramfs = InitramfsFile::new(&self.initramfs)?;
        let mut command = self.qemu(&initramfs.path);
        command.args([
            "-chardev",
            "stdio,id=console,signal=off,mux=on",
            "-serial",
            "chardev:console",
        ]);
        command.args(["-mon", "chardev=console"]);
        if !run::passthrough(&mut command)? {
            bail!("QEMU failed");
        }
        Ok(())
    }

    /// Runs the machine to its end, copying the command's output as it comes.
    pub fn run(&self, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Result<End> {
        let initramfs = InitramfsFile::new(&self.initramfs)?;
        let mut command = self.qemu(&initramfs.path);
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        for (set, name) in STREAMS.iter().enumerate() {
            let (reader, writer) = std::io::pipe()?;
            let writer = OwnedFd::from(writer);
            rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty())?;
            command.args(["-add-fd", &format!("fd={},set={set}", writer.as_raw_fd())]);
            command.args([
                "-chardev",
                &format!("file,id={name},append=on,path=/dev/fdset/{set}"),
            ]);
            readers.push(reader);
            writers.push(writer);
        }
        command.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
        for name in &STREAMS[1..] {
            command.args([
                "-device",
                &format!("virtserialport,chardev={name},name={name}"),
            ]);
        }
        let child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start QEMU")?;
        drop(writers);
        let [console, stdout, stderr, fetch, verdict]: [_; 5] =
            readers.try_into().ok().context("a stream is missing")?;
        self.watch(
            child,
            Streams {
                console,
                stdout,
                stderr,
                fetch,
                verdict,
            },
            out,
            err,
        )
    }

    /// Reads all streams until QEMU ends, or ends it when its time is over.
    fn watch(
        &self,
        mut child: Child,
        streams: Streams,
        out: &mut (dyn Write + Send),
        err: &mut (dyn Write + Send),
    ) -> Result<End> {
        let (report_seen, reports) = mpsc::channel();
        let Streams {
            console,
            stdout,
            stderr,
            fetch,
            verdict,
        } = streams;
        let qemu_says = child.stderr.take();
        thread::scope(|scope| {
            let console = scope.spawn(move || read_console(console, &report_seen));
            scope.spawn(move || copy_live(stdout, out));
            scope.spawn(move || copy_live(stderr, err));
            let fetch = scope.spawn(move || read_all(fetch));
            let verdict = scope.spawn(move || read_all(verdict));
            let complaints = scope.spawn(move || qemu_says.map(read_all).unwrap_or_default());
            let timed_out = self.wait(&mut child, &reports)?;
            let status = child.wait()?;
            let (console, started) = joined(console)?;
            let verdict = Verdict::parse(&String::from_utf8_lossy(&joined(verdict)?));
            let report = report::extract(&console)
                .or_else(|| verdict.leaks.clone())
                .or(verdict.taint_report());
            let outcome = match verdict.exit {
                Some(status) => Outcome::Exited(status),
                None if timed_out => Outcome::TimedOut,
                None => Outcome::Died(match verdict.lab {
                    Some(why) => why,
                    None => format!(
                        "the machine ended without a verdict (QEMU: {status}) {}",
                        String::from_utf8_lossy(&joined(complaints)?).trim()
                    ),
                }),
            };
            Ok(End {
                outcome,
                report,
                console,
                fetched: joined(fetch)?,
                started,
            })
        })
    }

    /// Waits for QEMU's end; `true` when it had to be killed.
    fn wait(&self, child: &mut Child, reports: &mpsc::Receiver<Report>) -> Result<bool> {
        let started = Instant::now();
        let mut deadline = self.timeout.map(|timeout| started + timeout);
        loop {
            if child.try_wait()?.is_some() {
                return Ok(false);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                child.kill()?;
                return Ok(true);
            }
            match reports.recv_timeout(Duration::from_millis(20)) {
                Ok(Report::OfBoot) => child.kill()?,
                Ok(Report::WhileRunning) if self.stop_after_report => {
                    let latest = Instant::now() + GRACE_AFTER_REPORT;
                    deadline = Some(deadline.map_or(latest, |deadline| deadline.min(latest)));
                }
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(20)),
                _ => {}
            }
        }
    }
}

struct Streams {
    console: std::io::PipeReader,
    stdout: std::io::PipeReader,
    stderr: std::io::PipeReader,
    fetch: std::io::PipeReader,
    verdict: std::io::PipeReader,
}

/// The lines that the guest's first process leaves.
#[derive(Default)]
struct Verdict {
    exit: Option<u8>,
    taint: u64,
    leaks: Option<String>,
    lab: Option<String>,
}

impl Verdict {
    fn parse(text: &str) -> Self {
        let mut verdict = Self::default();
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("exit", status)) => verdict.exit = status.parse().ok(),
                Some(("taint", word)) => verdict.taint = word.parse().unwrap_or_default(),
                Some(("lab", why)) => verdict.lab = Some(why.to_owned()),
                Some(("leak", text)) => {
                    let leaks = verdict
                        .leaks
                        .get_or_insert_with(|| "kmemleak found a leak:".to_owned());
                    leaks.push('\n');
                    leaks.push_str(text);
                }
                _ => {}
            }
        }
        verdict
    }

    fn taint_report(&self) -> Option<String> {
        report::defects_of_taint(self.taint)
    }
}

/// The initramfs as a file for QEMU, gone when dropped.
struct InitramfsFile {
    path: PathBuf,
    _file: fs::File,
}

impl InitramfsFile {
    /// In memory, so that a killed run leaves nothing behind.
    fn new(bytes: &[u8]) -> Result<Self> {
        let fd = rustix::fs::memfd_create("initramfs", rustix::fs::MemfdFlags::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let mut file = fs::File::from(fd);
        file.write_all(bytes)?;
        Ok(Self { path, _file: file })
    }
}

/// When a kernel report began.
enum Report {
    /// Before the command started.
    OfBoot,
    /// Later.
    WhileRunning,
}

/// The console's text, and whether the command started; tells when a report begins.
fn read_console(console: impl Read, reports: &mpsc::Sender<Report>) -> (String, bool) {
    let (mut text, mut started) = (String::new(), false);
    for line in BufReader::new(console).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line)
            .trim_end_matches('\r')
            .to_owned();
        started |= line.ends_with(STARTED);
        if report::begins(&line) {
            let _ = reports.send(if started {
                Report::WhileRunning
            } else {
                Report::OfBoot
            });
        }
        text.push_str(&line);
        text.push('\n');
    }
    (text, started)
}

/// Copies bytes as they come. A closed stdout must not stop the guest.
fn copy_live(mut from: impl Read, to: &mut (dyn Write + Send)) {
    let mut buffer = [0; 16 * 1024];
    let mut open = true;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        open = open && to.write_all(bytes).and_then(|()| to.flush()).is_ok();
    }
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}

fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> Result<T> {
    handle
        .join()
        .ok()
        .context("a reader of the guest's output panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_the_boot_is_told_from_one_of_the_command() {
        let console =
            "[    0.1] BUG: early\n[    2.0] lab: the command starts\n[    3.0] BUG: late\n";
        let (sender, reports) = mpsc::channel();
        let (text, started) = read_console(console.as_bytes(), &sender);
        assert_eq!((text.as_str(), started), (console, true));
        let seen: Vec<_> = reports.try_iter().collect();
        assert!(matches!(seen[..], [Report::OfBoot, Report::WhileRunning]));
        assert!(include_str!("../guest/init").contains(STARTED));
    }

    #[test]
    fn a_verdict_is_read_whole() {
        let verdict = Verdict::parse(
            "started: yes\nleak: unreferenced object\nleak:   size 64\ntaint: 4096\nexit: 3\n",
        );
        assert_eq!(verdict.exit, Some(3));
        assert!(verdict.leaks.as_deref().unwrap().contains("size 64"));
        assert_eq!(verdict.taint_report(), None);
        assert!(Verdict::parse("taint: 512\n").taint_report().is_some());
        assert_eq!(
            Verdict::parse("lab: no disk\n").lab.as_deref(),
            Some("no disk")
        );
    }

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
