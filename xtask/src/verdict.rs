// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest's first process says at its end.

use crate::report;

/// The lines that the guest's first process leaves.
#[derive(Default)]
pub struct Verdict {
    /// The command's exit status.
    pub exit: Option<u8>,
    taint: u64,
    /// What kmemleak found.
    pub leaks: Option<String>,
    /// What the lab's own part could not do.
    pub lab: Option<String>,
}

impl Verdict {
    /// Reads the lines; others are ignored.
    pub fn parse(text: &str) -> Self {
        let mut verdict = Self::default();
        let mut tells_taint = true;
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("exit", status)) => verdict.exit = status.parse().ok(),
                Some(("taint", word)) => match word.trim().parse() {
                    Ok(taint) => verdict.taint = taint,
                    Err(_) => tells_taint = false,
                },
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
        if !tells_taint {
            verdict.exit = None;
            verdict.lab = Some("the guest's kernel does not say whether it is tainted".to_owned());
        }
        verdict
    }

    /// The defect that the kernel's taint word tells of.
    pub fn taint_report(&self) -> Option<String> {
        report::defects_of_taint(self.taint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_whole() {
        let verdict = Verdict::parse(
            "started: yes\nleak: unreferenced object\nleak:   size 64\ntaint: 4096\nexit: 3\n",
        );
        assert_eq!(verdict.exit, Some(3));
        assert!(verdict.leaks.as_deref().unwrap().contains("size 64"));
        assert_eq!(verdict.taint_report(), None);
        assert!(Verdict::parse("taint: 512\n").taint_report().is_some());
        let silent = Verdict::parse("taint: \nexit: 0\n");
        assert!(silent.exit.is_none() && silent.lab.is_some());
        assert_eq!(
            Verdict::parse("lab: no disk\n").lab.as_deref(),
            Some("no disk")
        );
    }
}
