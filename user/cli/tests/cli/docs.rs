// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in the docs: each is run, and begins as the docs show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A line that is typed, and the first line of the answer.
struct Example {
    line: String,
    first: Option<String>,
}

/// The examples of a page: in blocks of `console`, what stands behind `$ `.
fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut is_inside = false;
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => is_inside = line == "```console",
            Some(typed) if is_inside => {
                let next = lines
                    .peek()
                    .filter(|next| !next.starts_with("$ ") && !next.starts_with("```"));
                found.push(Example {
                    line: typed.to_owned(),
                    first: next.map(|next| (*next).to_owned()),
                });
            }
            _ => {}
        }
    }
    found
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs the examples of a page one after the other, in a folder of their own.
fn run(page: &Path) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_BIN_EXE_pagelens")).parent().unwrap();
    let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap());
    let examples = examples(&fs::read_to_string(page).unwrap());
    for example in &examples {
        let mut shell = Command::new("sh");
        shell.args(["-c", &example.line.replace("sudo ", "")]);
        shell.current_dir(folder.path()).env("PATH", &path);
        let output = shell
            .env_remove("COLUMNS")
            .env("PAGELENS_SOURCE", "proc")
            .output()
            .unwrap();
        let code = output.status.code();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Partly, where somebody may not see all.
        assert!(
            matches!(code, Some(0 | 1)),
            "{}: {}: {stderr}",
            page.display(),
            example.line
        );
        let stdout = String::from_utf8(output.stdout).unwrap();
        if let Some(first) = &example.first {
            // Figures and names differ from machine to machine, the columns do not.
            let ours = stdout.lines().next().unwrap_or_default();
            assert_eq!(
                words(ours),
                words(first),
                "{}: {}",
                page.display(),
                example.line
            );
        }
    }
    examples.len()
}

#[test]
fn examples_are_as_the_docs_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> = fs::read_dir(root.join("docs/command"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(pages.len() >= 6, "{pages:?}");
    for page in &pages {
        assert!(run(page) > 0, "{} has no example", page.display());
    }
    pages.push(root.join("README.md"));
    run(pages.last().unwrap());
}
