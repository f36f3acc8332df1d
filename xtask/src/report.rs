// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding a defect report in what a kernel printed on its console.

/// How a report begins, after the time stamp.
const BEGINNINGS: &[&str] = &[
    "BUG: ",
    "WARNING: ",
    "Oops: ",
    "kernel BUG at",
    "Kernel panic",
    "general protection fault",
    "INFO: task ",
    "INFO: rcu",
    "rcu: INFO: ",
    "INFO: trying to register non-static key",
    "INFO: lockdep",
    "watchdog: BUG",
    "UBSAN: ",
    "KASAN: ",
    "refcount_t: ",
    "list_add corruption",
    "list_del corruption",
    "DEBUG_LOCKS_WARN_ON",
    "ODEBUG: ",
    "page_table_check",
    // Not its complaint about a scan area: it then scans more than it has to.
    "kmemleak: Cannot allocate a kmemleak_object",
    "kmemleak: Cannot insert",
    "Unable to handle",
    "stack segment",
    "double fault",
    "workqueue lockup",
    "BUG kmalloc",
    "kernel tried to execute",
];

/// Bits of `/proc/sys/kernel/tainted` that only a defect sets: a bad page, an oops, a warning, a soft
/// lockup.
const DEFECT_TAINTS: u64 = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 14;

/// Context in front of a report, and the most that is repeated of it.
const LINES_BEFORE: usize = 4;
const LINES_AT_MOST: usize = 200;

/// Whether this console line begins a report.
pub fn begins(line: &str) -> bool {
    let text = without_stamp(line);
    BEGINNINGS
        .iter()
        .any(|beginning| text.starts_with(beginning))
}

/// What a taint word says that is a defect's, in words.
pub fn defects_of_taint(taint: u64) -> Option<String> {
    (taint & DEFECT_TAINTS != 0)
        .then(|| format!("the kernel is tainted by a defect: /proc/sys/kernel/tainted is {taint}"))
}

/// The part of the console's text that shows the first report.
pub fn extract(console: &str) -> Option<String> {
    let lines: Vec<_> = console.lines().collect();
    let first = lines.iter().position(|line| begins(line))?;
    let from = first.saturating_sub(LINES_BEFORE);
    let to = lines.len().min(first + LINES_AT_MOST);
    Some(lines.get(from..to)?.join("\n"))
}

/// Drops `[    1.234567]` and, where the kernel prints it, `[   T123]`.
fn without_stamp(line: &str) -> &str {
    let mut text = line.trim_start();
    while let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((inside, after))
                if inside
                    .trim_start()
                    .starts_with(|c: char| c.is_ascii_digit() || c == 'T' || c == 'C') =>
            {
                text = after.trim_start();
            }
            _ => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_from_chatter() {
        for line in [
            "[    5.123456] BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "[   12.000001][  T345] WARNING: possible circular locking dependency detected",
            "[    3.1] Oops: Oops: 0002 [#1] SMP NOPTI",
            "[    3.1] BUG: KASAN: slab-out-of-bounds in foo+0x1/0x2",
            "[   60.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[  120.0] INFO: task cat:123 blocked for more than 60 seconds.",
            "[    1.0] UBSAN: array-index-out-of-bounds in x.c:1:2",
        ] {
            assert!(begins(line), "{line}");
        }
        for line in [
            "[    0.9] mtrr: your CPUs had inconsistent fixed MTRR settings",
            "[    4.2] hello: loading out-of-tree module taints kernel.",
            "[    4.2] [ERROR]: No such process",
            "a program may print BUG: in the middle of a line",
            "",
        ] {
            assert!(!begins(line), "{line}");
        }
    }

    #[test]
    fn the_report_comes_with_its_context_and_its_trace() {
        let console = "one\ntwo\n[    1.0] BUG: here\n[    1.0] Call Trace:\nend\n";
        assert_eq!(extract(console).unwrap(), console.trim_end());
        assert_eq!(extract("all is well\n"), None);
    }

    #[test]
    fn our_own_taint_is_no_defect() {
        let out_of_tree_and_unsigned = 1 << 12 | 1 << 13;
        assert_eq!(defects_of_taint(out_of_tree_and_unsigned), None);
        assert!(defects_of_taint(out_of_tree_and_unsigned | 1 << 9).is_some());
    }
}
