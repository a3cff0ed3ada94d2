//! Sets that `make_tiers.py` builds, with the answers that it predicts.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use super::runner::{Database, upgrade, values};
use crate::upgrade::definition::Definition;

fn make_tiers(arguments: &[&str]) -> (bool, String) {
    let root =
        std::env::var_os("HAUL_CONFORMANCE").map_or_else(|| PathBuf::from("../shared/conformance"), PathBuf::from);
    let output =
        Command::new("python3").arg(root.join("cortex/make_tiers.py")).args(arguments).output().expect("python3");
    let text = String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
    (output.status.success(), text.into_owned())
}

fn check_set(options: &[&str], zone: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a text");
    let (is_built, text) = make_tiers(&[&["build", path], options].concat());
    assert!(is_built, "{options:?}: {text}");
    let definition = Definition::built_in(super::super::CORTEX).expect("the upgrade");
    // The checker takes each file of tier 1 for the primary file in turn.
    let files = names(directory.path());
    let values = values(&definition, zone, None);
    let set: Vec<_> = files
        .iter()
        .map(|name| {
            let connection = Connection::open(directory.path().join(name)).expect("a database");
            Database::new(connection, &definition, &name[..5], true, &values)
        })
        .collect();
    upgrade(&definition, &set);
    for database in &set {
        database.run(
            "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name, applied_at, checksum, success, error_message);
             INSERT INTO migrations (name, success) VALUES ('x', 1);",
        );
        for expectation in definition.expectations.iter().filter(|of| of.tier == database.member.tier) {
            let value: i64 = database.text(&expectation.sql).parse().expect("a number");
            let is_right =
                expectation.min.is_none_or(|min| value >= min) && expectation.max.is_none_or(|max| value <= max);
            assert!(is_right, "{options:?}: {}: {value}", expectation.name);
        }
    }
    drop(set);
    let (is_right, text) = make_tiers(&["check", path, "--after", "--primary", &files.join(",")]);
    assert!(is_right, "{options:?}: {text}");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a text"));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".db")).collect();
    names.sort();
    names
}

#[test]
#[ignore = "conformance: needs HAUL_CONFORMANCE and python3"]
fn every_shape_gives_the_predicted_rows() {
    for style in ["iso", "sql", "mixed"] {
        for (minutes, zone) in [("0", "UTC"), ("-300", "-05:00"), ("345", "+05:45")] {
            check_set(&["--timestamps", style, "--local-offset-minutes", minutes, "--orphans", "20"], zone);
        }
    }
    check_set(&["--fk-mismatch", "--stale-fts", "--index-collision", "--wal", "300", "--seed", "7"], "UTC");
    check_set(&["--no-scope", "--cache-bytes", "100000", "--conversations", "90", "--messages", "40"], "UTC");
}
