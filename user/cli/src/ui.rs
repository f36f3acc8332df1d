// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one way out: what is answered goes to stdout, through a pager if it is long, and the rest to stderr.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use pagelens::processes::harmless;

use crate::args::{Color, OutputArgs};

/// From when on it is worth while to say that something takes its time.
const SLOW: Duration = Duration::from_secs(1);

/// Where output goes, and how it may look there.
pub struct Ui {
    /// What is to be written at the end, so that its length is known.
    text: Vec<u8>,
    /// What is to be said then, so that it does not stand above the answer.
    notes: Vec<String>,
    is_terminal: bool,
    has_color: bool,
    wants_pager: bool,
    width: Option<usize>,
}

impl Ui {
    /// What the arguments and the environment say.
    pub fn new(args: &OutputArgs) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_color = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_dumb && !is_set("NO_COLOR"),
        };
        Self {
            text: Vec::new(),
            notes: Vec::new(),
            is_terminal,
            has_color,
            wants_pager: is_terminal && !is_dumb && !args.no_pager,
            width: width(is_terminal),
        }
    }

    /// Columns of the terminal; `None` if there is no limit.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Whether a terminal shows the answer.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether colours may be used.
    pub fn has_color(&self) -> bool {
        self.has_color
    }

    /// Writes a piece of the answer. Names in it must have been made harmless.
    pub fn write(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Writes a line of the answer.
    pub fn line(&mut self, line: &str) {
        self.write(line.as_bytes());
        self.write(b"\n");
    }

    /// Says something that is no part of the answer, behind it.
    pub fn note(&mut self, text: &str) {
        self.notes.push(harmless(text));
    }

    fn say_notes(&mut self) {
        for note in self.notes.drain(..) {
            // Where nobody can read it, there is nobody to tell.
            let _ = writeln!(io::stderr(), "pagelens: {note}");
        }
    }

    /// Does something; if it takes long, shows that somebody is at it.
    pub fn during<T>(&self, what: &'static str, work: impl FnOnce() -> T) -> T {
        if !io::stderr().is_terminal() {
            return work();
        }
        let (done, is_done) = mpsc::channel::<()>();
        let shown = thread::Builder::new().spawn(move || {
            if is_done.recv_timeout(SLOW) == Err(RecvTimeoutError::Timeout) {
                let bar = ProgressBar::new_spinner().with_message(what);
                bar.enable_steady_tick(SLOW / 10);
                let _ = is_done.recv();
                bar.finish_and_clear();
            }
        });
        let result = work();
        drop(done);
        if let Ok(shown) = shown {
            let _ = shown.join();
        }
        result
    }

    /// Shows the first answer of several at once, in place of the one before it.
    pub fn renew(&mut self) -> Result<()> {
        self.wants_pager = false;
        let text = std::mem::take(&mut self.text);
        if self.is_terminal {
            self.text.extend_from_slice(b"\x1b[H\x1b[2J");
        }
        self.text.extend_from_slice(&text);
        self.flush()
    }

    /// Writes what there is so far.
    pub fn flush(&mut self) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&std::mem::take(&mut self.text))?;
        stdout.flush()?;
        self.say_notes();
        Ok(())
    }

    /// Writes all that is left.
    pub fn finish(&mut self) -> Result<()> {
        let lines = self.text.iter().filter(|&&byte| byte == b'\n').count();
        if self.wants_pager && height().is_some_and(|height| lines >= height) {
            if let Some(pager) = start_pager() {
                page(pager, &std::mem::take(&mut self.text))?;
            }
        }
        self.flush()
    }
}

/// `COLUMNS`, or what the terminal says.
fn width(is_terminal: bool) -> Option<usize> {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|text| text.parse::<usize>().ok());
    let size = || rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let seen = || {
        is_terminal
            .then(size)
            .flatten()
            .map(|size| usize::from(size.ws_col))
    };
    told.or_else(seen).filter(|&width| width > 0)
}

fn height() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_row)).filter(|&rows| rows > 0)
}

/// `$PAGER`, or less. None if it is empty, or cannot be started.
fn start_pager() -> Option<Child> {
    let told = std::env::var("PAGER");
    let line = told.as_deref().unwrap_or("less -FIRX");
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next()?);
    command.args(words).stdin(Stdio::piped()).spawn().ok()
}

/// Hands over to the pager until it ends. Until then, Ctrl-C is for the pager.
fn page(mut pager: Child, text: &[u8]) -> Result<()> {
    let ignored = Arc::new(AtomicBool::new(false));
    let kept = signal_hook::flag::register(signal_hook::consts::SIGINT, ignored)?;
    if let Some(mut stdin) = pager.stdin.take() {
        // Whoever leaves the pager early has seen enough.
        let _ = stdin.write_all(text);
    }
    pager.wait()?;
    signal_hook::low_level::unregister(kept);
    Ok(())
}
