// SPDX-License-Identifier: MIT OR Apache-2.0
//! One machine: QEMU's arguments, and what comes out of the guest until it ends.
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

use crate::report;
use crate::request::Threads;
use crate::run;
use crate::verdict::Verdict;

/// A kernel that has reported a defect may never end: how long it gets to do so.
const GRACE_AFTER_REPORT: Duration = Duration::from_secs(60);

/// What the guest's first process writes to the kernel's log before it starts the command.
const STARTED: &str = "lab: the command starts";

/// How QEMU executes the guest's instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accel {
    /// The processor does.
    Kvm,
    /// QEMU translates them.
    Tcg,
}

impl Accel {
    /// QEMU's arguments.
    pub fn arguments(self, threads: Threads) -> &'static [&'static str] {
        match (self, threads) {
            (_, Threads::Counted) => &[
                "-accel",
                "tcg,thread=single",
                "-cpu",
                "max",
                "-icount",
                "shift=0,sleep=off",
            ],
            (Self::Kvm, _) => &["-accel", "kvm", "-cpu", "host"],
            (Self::Tcg, Threads::OnePerCpu) => &["-accel", "tcg,thread=multi", "-cpu", "max"],
            (Self::Tcg, Threads::One) => &["-accel", "tcg,thread=single", "-cpu", "max"],
        }
    }
}

/// The streams that QEMU writes, in the order of their file descriptor sets.
const STREAMS: [&str; 5] = ["console", "out", "err", "fetch", "verdict"];

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
    pub fn interact(&self) -> Result<()> {
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
}
