// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's promises, kept by real VMs: exit statuses, streams, files in and out.
//!
//! Ignored by a plain `cargo test` because each boots a machine; `cargo xtask test` runs them and
//! says on which kernel.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn kernel() -> String {
    std::env::var("PAGELENS_TEST_KERNEL").unwrap_or_else(|_| "stock".to_owned())
}

fn vm(options: &[&str], command: &[&str]) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask
        .args(["vm", "--kernel", &kernel()])
        .args(options)
        .arg("--")
        .args(command);
    xtask.output().expect("xtask did not start")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("killed by a signal")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("pagelens-lab-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
#[ignore = "boots a VM"]
fn status_and_streams_of_the_command_are_ours() {
    let output = vm(
        &[],
        &[
            "sh",
            "-c",
            "echo to stdout; echo to stderr >&2; echo again > /dev/stderr; exit 42",
        ],
    );
    assert_eq!(status(&output), 42, "{}", stderr(&output));
    assert_eq!(stdout(&output), "to stdout\n");
    assert!(
        stderr(&output).ends_with("to stderr\nagain\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
#[ignore = "boots a VM"]
fn arguments_reach_the_guest_as_they_are() {
    let output = vm(&[], &["printf", "<%s>", "two words", "it's", "$HOME", "*"]);
    assert_eq!(stdout(&output), "<two words><it's><$HOME><*>");
}

#[test]
#[ignore = "boots a VM"]
fn a_guest_is_complete() {
    let check = "set -e; test -d /proc/self; test -d /sys/kernel/mm; test -d /sys/kernel/tracing/events; \
        test -e /sys/kernel/debug/kprobes/list; ip addr show lo | grep -q 'inet 127.0.0.1'; \
        test $(nproc) = 2; test -e /modules/hello.ko; grep -q '[0-9]' /proc/meminfo";
    let output = vm(&[], &["sh", "-c", check]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
}

#[test]
#[ignore = "boots a VM"]
fn hello_greets_and_says_goodbye() {
    let script = "modprobe hello && rmmod hello && dmesg | grep -i -E 'hello|goodbye'";
    let output = vm(&[], &["sh", "-c", script]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("Hello, world!"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("Goodbye, world."),
        "{}",
        stdout(&output)
    );
}

#[test]
#[ignore = "boots a VM"]
fn a_command_that_takes_too_long_is_124() {
    let output = vm(&["--timeout", "40"], &["sleep", "1000"]);
    assert_eq!(status(&output), 124, "{}", stderr(&output));
}

#[test]
#[ignore = "boots a VM"]
fn files_go_in_and_come_out() {
    let dir = scratch("files");
    std::fs::create_dir(dir.join("in")).unwrap();
    std::fs::write(dir.join("in/number"), "41\n").unwrap();
    let copy = format!("{}:/tmp/in", dir.join("in").display());
    let fetch = format!("/tmp/out:{}", dir.join("out").display());
    let script =
        "mkdir -p /tmp/out/deep; echo $(($(cat /tmp/in/number) + 1)) > /tmp/out/deep/number";
    let output = vm(&["--copy", &copy, "--fetch", &fetch], &["sh", "-c", script]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(
        std::fs::read_to_string(dir.join("out/deep/number")).unwrap(),
        "42\n"
    );
    let missing = vm(&["--fetch", "/tmp/none:/tmp/none"], &["true"]);
    assert_eq!(status(&missing), 125);
    assert!(
        stderr(&missing).contains("the guest has no /tmp/none"),
        "{}",
        stderr(&missing)
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
#[ignore = "boots a VM"]
fn a_lab_that_cannot_start_is_125() {
    let output = vm(&["--copy", "/nonexistent/file:/x"], &["true"]);
    assert_eq!(status(&output), 125);
    assert!(
        stderr(&output).contains("/nonexistent/file"),
        "{}",
        stderr(&output)
    );
}

#[test]
#[ignore = "boots a VM"]
fn an_oops_is_126_whatever_the_command_says() {
    let script = "insmod /modules/null_deref.ko; exit 0";
    let output = vm(&[], &["sh", "-c", script]);
    assert_eq!(status(&output), 126, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("NULL pointer dereference"), "{said}");
    let allowed = vm(&["--allow-taint-report"], &["sh", "-c", script]);
    assert_eq!(status(&allowed), 0, "{}", stderr(&allowed));
}

#[test]
#[ignore = "boots a VM"]
fn a_leak_is_126_where_the_kernel_can_tell() {
    let output = vm(&[], &["insmod", "/modules/leak.ko"]);
    if kernel() == "debug" {
        assert_eq!(status(&output), 126, "{}", stderr(&output));
        assert!(
            stderr(&output).contains("unreferenced object"),
            "{}",
            stderr(&output)
        );
    } else {
        assert_eq!(
            status(&output),
            0,
            "only the debug kernel looks for leaks: {}",
            stderr(&output)
        );
    }
}

/// A column of comma-separated values, of which each line has as many as the head.
fn column(csv: &str, name: &str) -> Vec<u64> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().expect("no head");
    let at = head.iter().position(|column| *column == name);
    let at = at.unwrap_or_else(|| panic!("no {name} in {head:?}"));
    lines
        .map(|line| {
            assert_eq!(line.len(), head.len(), "{line:?}");
            line[at].parse().unwrap()
        })
        .collect()
}

#[test]
#[ignore = "boots a VM"]
fn the_experiments_leave_numbers_and_plots() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let dir = target.join("experiments");
    // Those of another time must not pass for these.
    let _ = std::fs::remove_dir_all(&dir);
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["demo", "--kernel", &kernel(), "--scene", "experiments"])
        .output()
        .expect("xtask did not start");
    assert_eq!(status(&output), 0, "{}{}", stdout(&output), stderr(&output));
    let read = |file: String| std::fs::read(dir.join(&file)).expect(&file);
    let text = |file: String| String::from_utf8(read(file)).unwrap();
    // What is done, and what must be seen to change with it.
    for (name, rows, shown) in [
        ("heap", 17, "heap"),
        ("stack", 41, "stack"),
        ("steps", 11, "rss"),
    ] {
        let csv = text(format!("{name}.csv"));
        for column_name in ["answer", shown] {
            let values = column(&csv, column_name);
            assert_eq!(values.len(), rows, "{name}: {csv}");
            let is_flat = values.iter().all(|value| *value == values[0]);
            assert!(!is_flat, "{column_name} of {name}: {csv}");
        }
        let svg = text(format!("{name}.svg"));
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        // Each row is a point or a bar at least.
        let drawn = svg.matches("<circle ").count() + svg.matches("<rect ").count();
        assert!(drawn > rows, "{drawn} marks of {name}");
        assert!(read(format!("{name}.png")).starts_with(b"\x89PNG\r\n"));
    }
    assert_eq!(text("index.html".to_owned()).matches("<svg ").count(), 3);
}

#[test]
#[ignore = "boots a VM"]
fn the_full_guest_has_its_tools() {
    let script = "set -e; for tool in redis-server redis-cli python3 bpftrace smem ps lscpu strace modprobe prometheus; \
        do command -v $tool; done; grep -q trixie /etc/os-release; modprobe hello; rmmod hello; echo written > /root/x";
    let output = vm(&["--guest", "full"], &["sh", "-c", script]);
    assert_eq!(status(&output), 0, "{}{}", stdout(&output), stderr(&output));
}

#[test]
#[ignore = "boots a VM"]
fn a_hook_that_cannot_be_removed_keeps_its_module() {
    let script = "set -e; modprobe pf_stat; pf-test -o set_param -p fork; \
        insmod /modules/no_unhook.ko; pf-test -o cleanup; rmmod no_unhook; \
        if rmmod pf_stat; then exit 1; fi; for i in 1 2 3; do fork; done; \
        pf-test -o set_param -p fork; fork; pf-test -o get_info -p fork; \
        dmesg | grep 'pf_stat: .* stays loaded'";
    let output = vm(&["--one-thread"], &["sh", "-c", script]);
    assert_eq!(status(&output), 0, "{}{}", stdout(&output), stderr(&output));
}
