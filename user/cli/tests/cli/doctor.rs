// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pagelens doctor`.

use crate::support::{json, rows, run};

#[test]
fn it_says_which_source_is_used_and_what_mends_the_rest() {
    let answer = json(&["doctor"]);
    let row = |check: &str| {
        let mut rows = rows(&answer).iter();
        rows.find(|row| row["check"] == check)
            .unwrap_or_else(|| panic!("{answer:#}"))
    };
    assert_eq!(row("source")["state"], "good");
    assert!(row("source")["found"]
        .as_str()
        .unwrap()
        .starts_with("proc: "));
    for missing in rows(&answer).iter().filter(|row| row["state"] == "missing") {
        assert!(missing["remedy"].is_string(), "{missing}");
    }
    let is_loaded = std::path::Path::new("/sys/module/pagelens").exists();
    let state = if is_loaded { "good" } else { "missing" };
    assert_eq!(row("module pagelens")["state"], state);
    let text = run(&["doctor"]);
    assert_eq!(text.code, Some(0));
    assert!(text.stdout.contains("What mends it:"), "{}", text.stdout);
}
