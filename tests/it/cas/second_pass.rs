//! A second migration of a source into the store that the first one has made: only what is new is read.

use std::fs;

use crate::support::files::tree;
use crate::support::haul::Done;
use crate::support::old_objects::{object_path, zstd};
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::source::location::Shape;

const AGAIN: &str = "migrate --source old --target new --merge --restart --yes --json";
const SHAPES: [Shape; 4] = [Shape::TwoLevels, Shape::OneLevel, Shape::SplitName, Shape::Flat];

fn algorithm(number: u8) -> Algorithm {
    Algorithm::ALL[usize::from(number % 4)]
}

/// Objects of every generation and layout, plain and encoded, migrated to `new`.
fn migrated() -> OldStore {
    let store = OldStore::new();
    for number in 0..16 {
        let (content, shape) = (vec![number; 500], SHAPES[usize::from(number / 4)]);
        store.object(algorithm(number), &content, shape);
    }
    store.stored(Algorithm::Sha256, &[7; 9_000], &zstd(&[7; 9_000]), Shape::TwoLevels);
    store.cas("migrate --source old --target new").expect(0);
    store
}

/// Puts other bytes of the same length into a file of the source. Whoever reads it notices.
fn scramble(store: &OldStore, number: u8) {
    let path = object_path(algorithm(number), &vec![number; 500], SHAPES[usize::from(number / 4)]);
    fs::write(store.root().join(path), [0xEE; 500]).unwrap();
}

/// Objects that were not read again, that were migrated, that the store had, and that were refused.
fn numbers(done: &Done) -> [u64; 4] {
    let json = done.json();
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let counts = &json["counts"];
    [&json["not_read_again"], &counts["migrated"], &counts["duplicate_in_target"], &counts["refused_unidentified"]]
        .map(number)
}

#[test]
fn only_what_is_new_is_read() {
    let store = migrated();
    store.object(Algorithm::Sha256, b"new", Shape::TwoLevels);
    // Nobody notices, because nobody reads it: the store has what it was.
    scramble(&store, 3);
    let before = tree(&store.target());
    for arguments in ["--dry-run", ""] {
        let done = store.cas(&format!("{AGAIN} {arguments}")).expect(0);
        assert_eq!(numbers(&done), [17, 1, 17, 0], "{arguments}");
    }
    let after = tree(&store.target());
    assert!(before.iter().all(|(path, bytes)| path.ends_with("index.ndjson") || after.get(path) == Some(bytes)));
    let report = fs::read_to_string(store.paths().run_directory().report_path()).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["details"]["not_read_again"], 17);
    let map = fs::read_to_string(store.paths().map()).unwrap();
    assert_eq!(map.lines().count(), 1 + 18, "the map of the second run has every object");
    store.cas("verify new").expect(0);
    let said = store.cas(&AGAIN.replace(" --json", "")).expect(0);
    let line = said.stdout.lines().find(|line| line.starts_with("not read again"));
    assert!(line.is_some_and(|line| line.ends_with(" 18")), "{}", said.stdout);
}

#[test]
fn everything_is_read_on_request_and_for_another_source() {
    let store = migrated();
    scramble(&store, 3);
    let full = store.cas(&format!("{AGAIN} --verify full")).expect(3);
    assert_eq!(numbers(&full), [0, 0, 16, 1]);
    let store = migrated();
    scramble(&store, 3);
    fs::rename(store.root(), store.place().join("elsewhere")).unwrap();
    fs::create_dir(store.root()).unwrap();
    let other = store.cas(&AGAIN.replace("--source old", "--source elsewhere")).expect(3);
    assert_eq!(numbers(&other), [0, 0, 16, 1]);
}

#[test]
fn what_does_not_fit_is_read() {
    let store = migrated();
    let path = |number: u8| object_path(algorithm(number), &vec![number; 500], SHAPES[usize::from(number / 4)]);
    fs::write(store.root().join(path(0)), "of another length").unwrap();
    let new = |number: u8| {
        let key = haul::cas::format::digest::key_of(Algorithm::Cas, &vec![number; 500]);
        haul::cas::paths::blob_path(&store.target(), key)
    };
    fs::write(new(1), "cut").unwrap();
    let cut = store.cas(AGAIN).expect(65);
    assert!(cut.stderr.contains("has") && !cut.next().is_empty(), "{}", cut.stderr);
    fs::write(new(1), [1; 500]).unwrap();
    let done = store.cas(AGAIN).expect(3);
    assert_eq!(numbers(&done), [16, 0, 16, 1]);
}

#[test]
fn a_second_pass_that_waited_goes_on_and_is_rolled_back() {
    let store = migrated();
    let first = tree(&store.target());
    store.object(Algorithm::Sha256, b"new", Shape::TwoLevels);
    let waiting = store.cas(&format!("{AGAIN} --no-publish")).expect(0);
    assert_eq!(numbers(&waiting), [17, 1, 17, 0]);
    let done = store.cas("migrate --source old --target new --merge --json").expect(0);
    assert_eq!(numbers(&done), [17, 1, 17, 0], "the count is kept with the run");
    store.cas("rollback new --yes").expect(0);
    assert!(tree(&store.target()) == first, "what the first run had made is there");
    store.cas(&format!("{AGAIN} --verify full")).expect(0);
}
