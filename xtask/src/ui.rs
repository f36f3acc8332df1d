// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress: what is being done, and for how long. All of it goes to stderr.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Steps shorter than this leave no trace.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// Where progress goes.
pub struct Ui {
    /// Show commands and their output instead of a spinner.
    pub verbose: bool,
    logs: PathBuf,
}

/// A step under way.
pub struct Step {
    bar: ProgressBar,
    what: String,
    /// The step's log file.
    pub log: PathBuf,
    /// See [`Ui::verbose`].
    pub verbose: bool,
}

impl Ui {
    /// Logs of steps are kept below `logs`.
    pub fn new(verbose: bool, logs: PathBuf) -> Self {
        Self { verbose, logs }
    }

    /// One line for the user.
    pub fn note(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Runs `work` and shows that it is going on: a spinner with the elapsed time on a terminal,
    /// a line when it has ended elsewhere.
    pub fn step<T>(&self, what: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let bar = if self.verbose {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        bar.set_style(
            ProgressStyle::with_template("{spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        if self.verbose || !std::io::stderr().is_terminal() {
            announce_after_a_second(&bar, what, self.verbose);
        }
        let step = Step {
            bar: bar.clone(),
            what: what.to_owned(),
            log: self.log_path(what),
            verbose: self.verbose,
        };
        let result = work(&step);
        bar.finish_and_clear();
        let took = started.elapsed();
        if took >= WORTH_A_LINE || self.verbose {
            let mark = if result.is_ok() { "✓" } else { "✗" };
            self.note(&format!("{mark} {what} ({:.1} s)", took.as_secs_f64()));
        }
        result
    }

    fn log_path(&self, what: &str) -> PathBuf {
        let name: String = what
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        self.logs.join(format!("{name}.log"))
    }
}

/// Without a terminal there is no spinner: say what has begun once it is known to take its time.
fn announce_after_a_second(bar: &ProgressBar, what: &str, at_once: bool) {
    let (bar, what) = (bar.clone(), what.to_owned());
    if at_once {
        eprintln!("… {what}");
        return;
    }
    std::thread::spawn(move || {
        std::thread::sleep(WORTH_A_LINE);
        if !bar.is_finished() {
            eprintln!("… {what}");
        }
    });
}

impl Step {
    /// Shows where the step stands.
    pub fn progress(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// For error messages.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The step's log, made ready for appending.
    pub fn open_log(&self) -> Result<std::fs::File> {
        if let Some(parent) = self.log.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)?)
    }

    /// Starts the log afresh.
    pub fn clear_log(&self) {
        let _ = std::fs::remove_file(&self.log);
    }
}

/// A path as a user may paste it.
pub fn shown(path: &Path) -> String {
    match std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned))
    {
        Some(relative) => relative.display().to_string(),
        None => path.display().to_string(),
    }
}
