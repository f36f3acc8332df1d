// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module asks the kernel for what stands in its file `imports`, and for nothing else.
//!
//! Rust's own symbols have names that change with the compiler, and are left out; so are those that
//! each compiled function needs.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::modules;

/// Fails if what a module imports is not what its file says.
pub fn check(lab: &Lab, kernel: &Kernel) -> Result<()> {
    let nm = ["nm", "--undefined-only", "--format=just-symbols"];
    let imports = modules::inspect(lab, kernel, &nm)?;
    lab.ui.step("Comparing what the modules import", |step| {
        step.clear_log();
        let mut wrong = Vec::new();
        for (module, found) in &imports {
            let list = module.with_file_name("imports");
            let expected = fs::read_to_string(lab.repo.join(&list))
                .with_context(|| format!("cannot read {}", list.display()))?;
            for difference in differences(found, &expected) {
                wrong.push(format!("{}: {difference}", list.display()));
            }
        }
        ensure!(
            wrong.is_empty(),
            "a module imports something else than its file says:\n{}",
            wrong.join("\n")
        );
        Ok(())
    })
}

/// What is in one list only.
fn differences(found: &str, expected: &str) -> Vec<String> {
    let found: BTreeSet<&str> = found.lines().filter(|name| is_asked_for(name)).collect();
    let expected: BTreeSet<&str> = expected
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let new = found
        .difference(&expected)
        .map(|name| format!("+ {name} is imported"));
    let gone = expected
        .difference(&found)
        .map(|name| format!("- {name} is not imported any more"));
    new.chain(gone).collect()
}

/// Whether somebody wrote code that needs it.
fn is_asked_for(name: &str) -> bool {
    let is_rusts = name.starts_with("_R") || name.starts_with("rust_helper_");
    let is_compilers = ["__x86_", "__fentry__", "__stack_chk", "__SCT__"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    !is_rusts && !is_compilers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_what_is_new_and_what_is_gone_differ() {
        let found = "_printk\n__fentry__\n_RNvCs\nregister_kprobe\n";
        assert_eq!(
            differences(found, "# The log.\n_printk\nkfree\n"),
            [
                "+ register_kprobe is imported",
                "- kfree is not imported any more"
            ]
        );
        assert!(differences(found, "_printk\nregister_kprobe\n").is_empty());
    }
}
