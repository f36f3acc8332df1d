// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a scene speaks: explanations, commands with their output, checks.

use std::io::IsTerminal;
use std::process::Command;

use anyhow::{ensure, Context, Result};

/// Prints to standard output, in colour if that is a terminal and `NO_COLOR` is not set.
pub struct Narrator {
    has_colour: bool,
}

impl Narrator {
    pub fn new() -> Self {
        let has_colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { has_colour }
    }

    /// Begins a scene.
    pub fn title(&self, name: &str) {
        println!(
            "\n{}\n",
            self.paint(
                "1",
                &format!("━━ {name} {}", "━".repeat(70 - name.len().min(60)))
            )
        );
    }

    /// Explains.
    pub fn say(&self, text: &str) {
        for line in text.lines() {
            println!("{}", line.trim());
        }
        println!();
    }

    /// Runs a shell command, shows it with what it prints, and returns that.
    pub fn run(&self, command: &str) -> Result<String> {
        println!("  {} {}", self.paint("36", "#"), self.paint("36", command));
        let output = Command::new("sh")
            .args(["-c", command])
            .output()
            .context("running sh")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines() {
            println!("  {line}");
        }
        println!();
        ensure!(
            output.status.success(),
            "`{command}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(text)
    }

    /// Shows a line of what was found.
    pub fn show(&self, line: &str) {
        println!("  {line}");
    }

    /// States something that was checked, or ends the tour if it is not so.
    pub fn check(&self, what: &str, is_so: bool) -> Result<()> {
        ensure!(is_so, "not so: {what}");
        println!("  {} {what}\n", self.paint("32", "✓"));
        Ok(())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.has_colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}
