// SPDX-License-Identifier: MIT OR Apache-2.0
//! The document's table.

use anyhow::{ensure, Context, Result};

use super::{Loaded, PAGE};
use crate::support::{shell, shell_output};

/// What `memuse-runner CASE` measured.
struct Growth {
    stack: u64,
    kernel: u64,
    heap: u64,
    /// How much deeper the calls went, in bytes.
    depth: u64,
}

fn growth(case: &str) -> Result<Growth> {
    let line = shell_output(&format!("memuse-runner {case}"))?;
    let numbers = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()?;
    let [stack, kernel, heap, stack_after, kernel_after, heap_after, depth] = numbers[..] else {
        anyhow::bail!("`{line}`");
    };
    ensure!(stack > 0 && kernel > 0 && heap > 0, "`{line}`");
    let grown = |after: u64, before| after.checked_sub(before).context("it shrank");
    Ok(Growth {
        stack: grown(stack_after, stack)?,
        kernel: grown(kernel_after, kernel)?,
        heap: grown(heap_after, heap)?,
        depth,
    })
}

#[test]
fn heap_and_stack_grow_as_the_document_says() -> Result<()> {
    let _loaded = Loaded::new()?;
    for (case, heap_pages) in [("nothing", 0), ("active", 5), ("passive", 1)] {
        let growth = growth(case)?;
        assert_eq!(growth.heap, heap_pages * PAGE, "{case}");
        assert_eq!((growth.stack, growth.kernel), (0, 0), "{case}");
    }
    let growth = growth("stack")?;
    assert_eq!((growth.heap, growth.kernel), (0, 0));
    // Pages are whole, and main's own were there.
    ensure!(growth.depth > 20_000 * 16, "{} bytes deep", growth.depth);
    let difference = growth.stack.abs_diff(growth.depth);
    ensure!(
        difference <= 3 * PAGE,
        "{} for {}",
        growth.stack,
        growth.depth
    );
    Ok(())
}

#[test]
fn the_table_has_the_documents_rows() -> Result<()> {
    let _loaded = Loaded::new()?;
    let table = shell_output("memuse-runner")?;
    let lines: Vec<&str> = table.lines().collect();
    ensure!(lines.len() == 5, "{table}");
    for (line, title) in lines[1..].iter().zip([
        "Do nothing",
        "Increase heap (active)",
        "Increase heap (passive)",
        "Increase stack",
    ]) {
        let numbers = line.strip_prefix(title).context("the row's title")?;
        ensure!(numbers.split_whitespace().count() == 3, "{line}");
    }
    Ok(())
}

#[test]
fn the_call_by_hand_says_the_same_and_names_its_errors() -> Result<()> {
    let loaded = Loaded::new()?;
    let all = loaded.call.bytes(1, pagelens::Kind::All)?;
    assert_eq!(shell_output("memuse-asm 1 0")?.trim(), all.to_string());
    let failed = shell("memuse-asm 1 11")?;
    ensure!(!failed.status.success());
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    ensure!(text.contains("Invalid argument"), "{text}");
    Ok(())
}
