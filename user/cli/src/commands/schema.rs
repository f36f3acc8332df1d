// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forms of the answers in JSON, as the files in `schema/` have them.

use std::fs;
use std::path::Path;

use schemars::{schema_for, Schema};

use super::{diff, doctor, map, ps, shm, use_};

/// Set to write the files anew.
const UPDATE: &str = "PAGELENS_UPDATE";

fn holds(command: &str, schema: &Schema) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let file = folder.join(format!("{command}.json"));
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "{} is not what the types say: run the tests with {UPDATE}=1 and look at what changed",
        file.display()
    );
}

#[test]
fn the_files_have_what_the_types_say() {
    holds("ps", &schema_for!(ps::PsReport));
    holds("diff", &schema_for!(diff::DiffReport));
    holds("doctor", &schema_for!(doctor::DoctorReport));
    holds("map", &schema_for!(map::MapReport));
    holds("shm", &schema_for!(shm::ShmReport));
    holds("use", &schema_for!(use_::UseReport));
}

#[test]
fn versions_bear_the_commands_names() {
    for (command, schema) in [
        ("ps", ps::SCHEMA),
        ("diff", diff::SCHEMA),
        ("doctor", doctor::SCHEMA),
        ("map", map::SCHEMA),
        ("shm", shm::SCHEMA),
        ("use", use_::SCHEMA),
    ] {
        assert_eq!(schema, format!("pagelens.{command}/1"));
    }
}
