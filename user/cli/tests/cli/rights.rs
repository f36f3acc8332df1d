// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users who may not see everything.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{command, copy, hold_to_schema, Run, Sleeper};

const NOBODY: u32 = 65534;

/// The binary where anybody may run it; `None` for whoever cannot become somebody else.
fn anybodys(folder: &Path) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: cannot become another user");
        return None;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.join("pagelens");
    copy(env!("CARGO_BIN_EXE_pagelens"), &binary);
    let mut command = command(&binary);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    Some(command)
}

#[test]
fn a_user_sees_his_own_processes_and_how_many_others_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = anybodys(folder.path()) else {
        return;
    };
    let of_root = Sleeper::start("sleep");
    let output = command.args(["ps", "--by", "process", "--json"]).output();
    let run = Run::from(output.unwrap());
    assert_eq!(run.code, Some(1));
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    hold_to_schema("ps", &answer);
    let left_out = &answer["left_out"][0];
    assert_eq!(left_out["reason"], "not_allowed");
    assert!(left_out["pids"]
        .as_array()
        .unwrap()
        .contains(&of_root.pid().into()));
    let said = format!(
        "{} processes of other users left out: run with sudo",
        left_out["processes"]
    );
    assert!(run.stderr.contains(&said), "{} {said}", run.stderr);
    let names: Vec<_> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert!(names.iter().any(|name| *name == "pagelens"), "{names:?}");
    for row in answer["rows"].as_array().unwrap() {
        assert!(
            row["pss_bytes"].is_u64() && row["uss_bytes"].is_u64(),
            "{row}"
        );
    }
}

#[test]
fn nobody_is_left_out_of_figures_that_all_may_see() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = anybodys(folder.path()) else {
        return;
    };
    let of_root = Sleeper::start("sleep");
    let pid = of_root.pid().to_string();
    let output = command
        .args(["ps", &pid, "--columns", "name,present,swap"])
        .output();
    let run = Run::from(output.unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("sleep"), "{}", run.stdout);
}
