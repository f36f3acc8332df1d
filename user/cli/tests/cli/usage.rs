// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions that are wrong in themselves, and those without an answer.

use crate::support::{pagelens, run};

#[test]
fn wrong_usage_is_2_and_says_what_there_is() {
    for (words, said) in [
        (&["ps", "--columns", "nothing"][..], "there are pss, uss"),
        (&["ps", "--sort", "nothing"], "there are pss, uss"),
        (&["ps", "--user", "no such user"], "getent passwd"),
        (&["ps", "--regex", "("], "unclosed group"),
        (&["ps", "--json", "--csv"], "cannot be used with"),
        (&["ps", "--watch", "0"], "from 0.1 on"),
        (&["ps", "x"], "invalid digit"),
        (&["nothing"], "unrecognized subcommand"),
        (&["capture"], "--output"),
        (&["use", "1", "nothing"], "possible values: all, heap"),
        (&["map", "1", "--vma", "x"], "invalid digit"),
        (&["shm", "create", "12Q"], "not a size such as"),
        (&["shm", "create", "18446744073709551615G"], "too much"),
    ] {
        let run = run(words);
        assert_eq!(run.code, Some(2), "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{words:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{words:?}");
    }
}

#[test]
fn what_cannot_be_answered_is_1_and_one_line() {
    for (words, said) in [
        (
            &["ps", "4294967295"][..],
            "1 process named that do not exist (4294967295)",
        ),
        (&["ps", "--source", "/nowhere"], "/nowhere"),
        (
            &["ps", "--source", "/etc/passwd"],
            "cannot be read as a capture",
        ),
        (
            &["diff", "/nowhere"],
            "/nowhere: No such file or directory (os error 2)",
        ),
        (
            &["use", "4294967295"],
            "cannot read smaps of process 4294967295",
        ),
        (&["map", "4294967295"], "that do not exist"),
        (
            &["capture", "-o", "/nowhere/file"],
            "cannot write /nowhere/file",
        ),
    ] {
        let run = run(words);
        assert_eq!(run.code, Some(1), "{words:?}: {}", run.stderr);
        let lines: Vec<_> = run.stderr.lines().collect();
        assert!(
            !run.stderr.contains("(os error 2): "),
            "said twice: {}",
            run.stderr
        );
        assert!(
            lines.last().is_some_and(|line| line.contains(said)),
            "{words:?}: {}",
            run.stderr
        );
        assert!(
            lines.iter().all(|line| line.starts_with("pagelens: ")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn without_the_module_its_source_says_so() {
    if std::path::Path::new("/dev/pagelens").exists() {
        return;
    }
    let output = pagelens()
        .args(["ps", "--source", "kernel"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("/dev/pagelens") && stderr.contains("is the module loaded"),
        "{stderr}"
    );
}

#[test]
fn manual_and_completions_have_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let made = run(&["man", folder.path().to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let bash = run(&["completions", "bash"]).stdout;
    for command in ["ps", "use", "map", "shm", "capture", "diff", "doctor"] {
        let page = folder.path().join(format!("pagelens-{command}.1"));
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&format!("pagelens {command}")), "{page}");
        assert!(
            bash.contains(&format!("pagelens__subcmd__{command}")),
            "no {command}"
        );
    }
    assert!(folder.path().join("pagelens.1").exists());
}

#[test]
fn every_command_has_an_example() {
    let help = run(&["help"]).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let mut count = 0;
    for line in commands.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            let page = run(&[name, "--help"]).stdout;
            assert!(
                page.contains("Examples:") && page.contains(&format!("pagelens {name}")),
                "{page}"
            );
            count += 1;
        }
    }
    assert!(count >= 4);
}
