// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running the binary, processes to look at, and what its answers are held to.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The binary, asked of the machine by `/proc`, with nothing of the environment that matters.
pub fn pagelens() -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_pagelens")))
}

/// The same from another place.
pub fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for name in ["COLUMNS", "NO_COLOR", "PAGER", "TERM"] {
        command.env_remove(name);
    }
    command.env("PAGELENS_SOURCE", "proc").stdin(Stdio::null());
    command
}

/// What came of running it.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("what is not UTF-8 was written"),
            stderr: String::from_utf8(output.stderr).expect("what is not UTF-8 was written"),
        }
    }
}

/// Runs it with these words.
pub fn run<S: AsRef<OsStr>>(words: &[S]) -> Run {
    let output = pagelens().args(words).output().unwrap();
    Run::from(output)
}

/// Runs it with `--json`, and holds the answer to its schema.
pub fn json(words: &[&str]) -> Value {
    let run = run(&[words, &["--json"]].concat());
    let value: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| {
        panic!("{error}: {:?} {:?}", run.stdout, run.stderr);
    });
    hold_to_schema(words[0], &value);
    value
}

/// Fails if an answer has not the form that is promised.
pub fn hold_to_schema(command: &str, value: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{command}.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(value["schema"], format!("pagelens.{command}/1"));
}

/// A process that ends with this value.
pub struct Sleeper(pub Child);

impl Sleeper {
    /// One that runs this program.
    pub fn start(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        let child = command
            .arg("1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self(child.spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it, and waits until it stands still.
    pub fn stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        wait_until(|| self.state().starts_with('T'));
    }

    /// Waits until it sleeps: it runs the program then, and has loaded what it needs.
    pub fn settle(&self) {
        wait_until(|| self.state().starts_with('S') && self.is_itself());
    }

    fn state(&self) -> String {
        let stat = fs::read(format!("/proc/{}/stat", self.pid())).unwrap();
        let stat = String::from_utf8_lossy(&stat);
        stat.rsplit(") ").next().unwrap().to_owned()
    }

    fn is_itself(&self) -> bool {
        let link = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
        link(&self.pid().to_string()) != link("self")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Copies a program. A process of its own does: had this one it open for writing, a child that another
/// test starts just then would have it, too, and it could not be executed.
pub fn copy(from: &str, to: &Path) {
    let done = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "{from}");
}

/// A program with files that nobody else maps: how often a page is mapped does not change then as others,
/// and pagelens itself, come and go.
pub struct Alone(tempfile::TempDir);

impl Alone {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        for line in maps.lines() {
            let path = line.split_whitespace().nth(5).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            if name.starts_with("libc.so") || name.starts_with("ld-linux") {
                copy(path, &folder.path().join(name));
            }
        }
        copy("/bin/sleep", &folder.path().join("sleep"));
        Self(folder)
    }

    pub fn start(&self) -> Sleeper {
        let place = self.0.path();
        let mut command = Command::new(place.join("ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(place)
            .arg(place.join("sleep"));
        Sleeper(command.arg("1000").env("LC_ALL", "C").spawn().unwrap())
    }
}

/// Waits, but not without end.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("a process did not come to rest");
}

/// The rows of an answer.
pub fn rows(answer: &Value) -> &Vec<Value> {
    answer["rows"].as_array().unwrap()
}

/// The row of a process.
pub fn row_of(answer: &Value, pid: u32) -> &Value {
    let mut rows = rows(answer).iter();
    let row = rows.find(|row| row["pids"].as_array().unwrap().contains(&pid.into()));
    row.unwrap_or_else(|| panic!("no row of process {pid}: {answer:#}"))
}
