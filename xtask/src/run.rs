// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running other programs: their output into the step's log, the end of it into the error.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::ui::{Step, shown};

/// How much of a failed command's output the error repeats.
const TAIL_LINES: usize = 25;

/// A command line as a person would type it; embedded scripts are left out.
pub fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = |word: &OsStr| match word.as_encoded_bytes().contains(&b'\n') {
        true => "'…'".to_owned(),
        false => quoted(word),
    };
    words.map(shown).collect::<Vec<_>>().join(" ")
}

/// A word in single quotes, where a shell needs them.
pub fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Makes the program die with us, so that a killed run leaves nothing behind.
///
/// The flag is set by `setpriv` (util-linux) because setting it here would need `unsafe`.
pub fn dying_with_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// The cargo that runs the lab.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs the command to its end and fails unless it exits with 0.
pub fn run(step: &Step, command: &mut Command) -> Result<()> {
    let line = line_of(command);
    if step.verbose {
        eprintln!("+ {line}");
    }
    let mut log = step.open_log()?;
    writeln!(log, "+ {line}")?;
    let (reader, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    // Our copies of the pipe's write end live in `command`: let them go, or the pipe never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tail = VecDeque::with_capacity(TAIL_LINES);
    for chunk in BufReader::new(reader).split(b'\n') {
        let text = String::from_utf8_lossy(&chunk?).trim_end().to_owned();
        writeln!(log, "{text}")?;
        if step.verbose {
            eprintln!("  {text}");
        }
        step.progress(text.rsplit('\r').next().unwrap_or_default());
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
    }
    let status = child.wait()?;
    if !status.success() {
        let tail: Vec<_> = tail.into_iter().collect();
        bail!(
            "'{}' failed ({status}): {line}\n{}\n(whole log: {})",
            step.what(),
            tail.join("\n"),
            shown(&step.log)
        );
    }
    Ok(())
}

/// Runs the command and returns what it printed on stdout; its stderr goes into the error.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {line}"))?;
    if !out.status.success() {
        bail!(
            "{line} failed ({}): {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs the command on our own stdout and stderr; the result is its exit status.
pub fn passthrough(command: &mut Command) -> Result<bool> {
    let line = line_of(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start {line}"))?;
    Ok(status.success())
}

/// Runs the command and writes its stdout to `out` as it comes; the result is its exit status.
pub fn copied(command: &mut Command, out: &mut impl Write) -> Result<bool> {
    let line = line_of(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    std::io::copy(&mut stdout, out)?;
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_so_that_a_shell_reads_them_back() {
        for word in ["plain", "two words", "it's", "", "a\"b$c", "*"] {
            let line = format!("printf %s {}", quoted(OsStr::new(word)));
            let back = output(Command::new("sh").args(["-c", &line])).unwrap();
            assert_eq!(back, word);
        }
    }
}
