//! Key maps and references on the command line.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::haul::Done;
use crate::support::place::Place;
use haul::cas::format::digest::key_of;
use haul::cas::map::{MapRow, MapWriter, map_of_store};
use haul::cas::{Algorithm, Key};
use haul::durable::RealDisk;
use haul::pipeline::StopToken;
use serde_json::json;

fn row(content: &str, algorithm: Algorithm) -> MapRow {
    let key = |algorithm| key_of(algorithm, content.as_bytes());
    MapRow {
        old_key: key(algorithm),
        old_algorithm: algorithm,
        new_key: key(Algorithm::Cas),
        size: content.len() as u64,
    }
}

/// Returns a place with the map of a store `store`: `hello` by SHA-256, `cas:hello` by BLAKE3, `hello` by `cas`.
fn place() -> Place {
    let place = Place::new();
    let path = map_of_store(&place.path().join("store")).expect("a name");
    let scratch = place.path().join("scratch");
    fs::create_dir(place.path().join("store.migration")).expect("made");
    let mut writer = MapWriter::new(Arc::new(RealDisk), &scratch, 1 << 20).expect("a writer");
    for row in [
        row("hello", Algorithm::Sha256),
        row("cas:hello", Algorithm::Blake3),
        row("hello", Algorithm::Cas),
        row("world", Algorithm::Sha256),
    ] {
        writer.push(row).expect("room");
    }
    writer.finish(&path, &StopToken::new()).expect("a map").expect("no stop");
    fs::remove_dir(scratch).expect("it is empty");
    place
}

fn run(place: &Place, arguments: &str) -> Done {
    let words: Vec<_> = std::iter::once("cas").chain(arguments.split_whitespace()).collect();
    place.run(&words)
}

fn hello(algorithm: Algorithm) -> Key {
    key_of(algorithm, b"hello")
}

/// Only the earlier map has the old keys of the first store.
#[test]
fn the_map_of_an_earlier_migration_into_the_same_store_is_kept_and_searched() {
    let place = Place::new();
    for (seed, source) in ["first", "second"].into_iter().enumerate() {
        run(&place, &format!("generate {source} --objects 20 --generation v0.5 --seed {seed}")).expect(0);
    }
    run(&place, "migrate --source first --target v2").expect(0);
    let state = place.path().join("v2.migration");
    let first = fs::read_to_string(state.join("key-map.tsv")).unwrap();
    let other = run(&place, "migrate --source second --target v2 --merge --yes").expect(2);
    assert!(other.stderr.contains("--restart"), "{}", other.stderr);
    run(&place, "migrate --source second --target v2 --merge --restart --yes").expect(0);
    run(&place, "clean v2 --yes").expect(0);
    let old_key = first.lines().nth(1).unwrap().split('\t').find(|field| field.len() == 64).unwrap();
    let found = run(&place, &format!("map find {old_key} --target v2 --json")).expect(0).json();
    let map = found["map"].as_str().unwrap();
    assert!(map.starts_with("v2.migration/key-map-") && map.ends_with(".tsv"), "{map}");
    assert_eq!(fs::read_to_string(place.path().join(map)).unwrap(), first);
    run(&place, &format!("map check --map {map}")).expect(0);
    let kept = run(&place, "status v2 --json").expect(0).json()["kept"].to_string();
    assert!(kept.contains(map), "{kept}");
    run(&place, &format!("map find {} --target v2", "0".repeat(64))).expect(1);
}

#[test]
fn a_key_is_found_in_both_directions() {
    let place = place();
    let found = run(&place, &format!("map find {} --target store", hello(Algorithm::Cas))).expect(0);
    insta::assert_snapshot!(found.texts());
    let document =
        run(&place, &format!("map find {} --target store/ --json", hello(Algorithm::Sha256))).expect(0).json();
    let row = json!({
        "old_key": hello(Algorithm::Sha256),
        "old_algorithm": "sha256",
        "new_key": hello(Algorithm::Cas),
        "size": 5,
    });
    let expected = json!({
        "map": "store.migration/key-map.tsv",
        "key": hello(Algorithm::Sha256),
        "as_old": [row],
        "as_new": [],
    });
    assert_eq!(document, expected);
    let map = "--map store.migration/key-map.tsv";
    let only_new = run(&place, &format!("map find {} --new {map} --json", hello(Algorithm::Cas))).expect(0).json();
    assert_eq!((only_new["as_new"].as_array().expect("rows").len(), only_new.get("as_old")), (2, None));
    run(&place, &format!("map find {} --old {map}", hello(Algorithm::Sha256))).expect(0);
    for direction in ["--new", "--new --json"] {
        let done = run(&place, &format!("map find {} {direction} {map}", hello(Algorithm::Sha256))).expect(1);
        assert!(
            done.stderr.contains("no row of store.migration/key-map.tsv has the new key 2cf24dba"),
            "{}",
            done.stderr
        );
    }
    let done = run(&place, &format!("map find {} {map}", "0".repeat(64))).expect(1);
    assert!(done.stderr.contains("has the key 0000"), "{}", done.stderr);
    for usage in [
        format!("map find {}", hello(Algorithm::Cas)),
        format!("map find {} {map} --target store", hello(Algorithm::Cas)),
        format!("map find {} {map} --old --new", hello(Algorithm::Cas)),
        format!("map find {} --target ..", hello(Algorithm::Cas)),
        "map".to_owned(),
    ] {
        assert_eq!(run(&place, &usage).expect(2).stdout, "", "{usage}");
    }
    run(&place, &format!("map find {} --target other", hello(Algorithm::Cas))).expect(2);
}

#[test]
fn a_map_is_exported_and_checked() {
    let place = place();
    let path = place.path().join("store.migration/key-map.tsv");
    let tsv = fs::read_to_string(&path).expect("a map");
    assert_eq!(run(&place, "map export --target store").expect(0).stdout, tsv);
    let lines = run(&place, "map export --target store --jsonl").expect(0).stdout;
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(run(&place, "map export --target store --json").expect(0).json(), json!(lines));
    assert_eq!((lines.len(), &lines[3]["size"]), (4, &json!(5)));
    run(&place, "map export --target store --json --jsonl").expect(2);

    let checked = run(&place, "map check --target store").expect(0);
    insta::assert_snapshot!(checked.texts());
    fs::remove_file(path.with_extension("reverse")).expect("removed");
    let document = run(&place, "map check --target store --json").expect(0).json();
    assert_eq!((&document["rows"], &document["has_reverse"]), (&json!(4), &json!(false)));
    let index = run(&place, "map index --target store --progress none").expect(0);
    assert_eq!(index.stdout, "store.migration/key-map.reverse: 4 entries, one for each row\n");
    assert_eq!(run(&place, "map check --target store --json").expect(0).json()["has_reverse"], true);

    fs::write(&path, tsv.replacen("\tsha256\t", "\tsha1\t", 1)).expect("written");
    let done = run(&place, "map check --target store --json").expect(65);
    assert_eq!(done.json()["error"]["exit_code"], 65);
    assert!(done.stderr.contains("key-map.tsv: line 2: the algorithm is not one of"), "{}", done.stderr);
}

fn put(place: &Place, name: &str, text: &str) {
    let path = place.path().join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

#[test]
fn references_are_rewritten_and_restored() {
    let place = place();
    let world = row("world", Algorithm::Sha256);
    let old = format!("{{\"a\": \"sha256:{0}\", \"b\": \"{0}\"}}\n", world.old_key);
    let new = format!("{{\"a\": \"blake3:{0}\", \"b\": \"{0}\"}}\n", world.new_key);
    put(&place, "data/refs.json", &old);
    put(&place, "data/other.txt", &format!("sha256:{}\n", "0".repeat(64)));
    let file = place.path().join("data/refs.json");
    let command = "rewrite-refs --map store.migration/key-map.tsv data --progress none";

    let planned = run(&place, &format!("{command} --dry-run")).expect(0);
    insta::assert_snapshot!("planned", planned.texts());
    assert_eq!(text(&file), old);
    let done = run(&place, command).expect(2);
    assert!(done.stderr.contains("next: add --yes"), "{}", done.stderr);
    assert_eq!(text(&file), old);

    let done = run(&place, &format!("{command} --yes --strict --report report.jsonl")).expect(3);
    insta::assert_snapshot!("rewritten", done.texts());
    assert_eq!((text(&file), text(&place.path().join("data/refs.json.haul-backup"))), (new.clone(), old.clone()));
    let report = text(&place.path().join("report.jsonl"));
    let finding: serde_json::Value = serde_json::from_str(report.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&finding["file"], &finding["reason"]), (&json!("data/other.txt"), &json!("not in the map")));
    run(&place, &format!("{command} --yes --report report.jsonl")).expect(2);

    let document = run(&place, &format!("{command} --yes --reverse --json")).expect(0).json();
    assert_eq!((&document["direction"], &document["dry_run"]), (&json!("reverse"), &json!(false)));
    assert_eq!((&document["files"]["changed"], &document["references"]["replaced"]), (&json!(1), &json!(2)));
    assert_eq!((&document["findings_left_out"], &document["exit_code"]), (&json!(0), &json!(0)));
    assert_eq!((text(&file), text(&place.path().join("data/refs.json.haul-backup-reverse"))), (old, new));
}

#[test]
fn ambiguous_references_are_left_and_reported() {
    let place = place();
    let ambiguous = hello(Algorithm::Cas);
    put(&place, "refs.txt", &format!("{ambiguous}\n"));
    let command = "rewrite-refs --map store.migration/key-map.tsv refs.txt --yes --progress none";
    let done = run(&place, command).expect(3);
    assert!(done.stdout.contains(&format!("refs.txt at 0: {ambiguous}: ambiguous")), "{}", done.stdout);
    let document = run(&place, &format!("{command} --algorithm blake3 --backup-suffix .old --json")).expect(0).json();
    assert_eq!(document["references"]["replaced"], 1);
    assert_eq!(text(&place.path().join("refs.txt.old")), format!("{ambiguous}\n"));
    for usage in ["--algorithm md5", "--backup-suffix a/b"] {
        run(&place, &format!("{command} {usage}")).expect(2);
    }
    fs::remove_file(place.path().join("store.migration/key-map.reverse")).expect("removed");
    let done = run(&place, command).expect(2);
    assert!(
        done.stderr.contains("next: make one: haul cas map index --map store.migration/key-map.tsv"),
        "{}",
        done.stderr
    );
}
