//! Stores that every generation wrote, migrated: accepted in full by a checker that no one here wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::conformance::{conformance, run_checker};
use crate::support::files::tree;
use crate::support::store_runs::{eager, with};
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::MigrateOptions;
use haul::cas::paths::TargetPaths;
use haul::cas::rollback::{RollbackRequest, rollback};
use haul::durable::RealDisk;
use haul::migration::Stage;
use haul::pipeline::{Control, Silent, StopToken};
use serde_json::Value;

const STORES: [&str; 6] =
    ["cas-v1-flat", "cas-sha256-sharded", "cas-blake2s", "cas-blake3-unprefixed", "cas-v2-noindex", "cas-v2"];

struct Migrated {
    directory: tempfile::TempDir,
    end: MigrationEnd,
}

impl Migrated {
    fn target(&self) -> PathBuf {
        self.directory.path().join("v2")
    }

    fn map(&self) -> PathBuf {
        self.directory.path().join("v2.migration/key-map.tsv")
    }
}

fn migrated(source: &Path, options: &MigrateOptions) -> Migrated {
    let directory = tempfile::tempdir().unwrap();
    let before = tree(source);
    let paths = TargetPaths::new(&directory.path().join("v2")).unwrap();
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let end = migrate(Arc::new(RealDisk), source, &paths, options, &control).unwrap();
    assert_eq!(tree(source), before, "the source is untouched");
    Migrated { directory, end }
}

/// Rows of the published map: for each column of old keys, the rows that a migration is to write.
fn expected_map(requiem: &Path, column: &str, algorithm: &str) -> String {
    let text = fs::read_to_string(requiem.join("expected-map.tsv")).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let at = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let (old, new, size) = (at(column), at("cas_blake3_v2"), at("size"));
    let mut rows: Vec<_> =
        lines.map(|row| format!("{}\t{algorithm}\t{}\t{}\n", row[old], row[new], row[size])).collect();
    rows.sort();
    format!("old_key\told_algorithm\tnew_key\tsize\n{}", rows.concat())
}

#[test]
#[ignore = "needs the conformance data"]
fn every_generation_becomes_a_store_with_the_published_map() {
    let requiem = conformance("requiem");
    let columns = [
        ("sha256_v1", "sha256"),
        ("sha256_v1", "sha256"),
        ("blake2s256_v0.5", "blake2s"),
        ("plain_blake3_v0.7", "blake3"),
        ("cas_blake3_v2", "cas"),
        ("cas_blake3_v2", "cas"),
    ];
    for (store, (column, algorithm)) in STORES.into_iter().zip(columns) {
        let migrated = migrated(&requiem.join(store), &MigrateOptions::default());
        assert_eq!((migrated.end.stage, migrated.end.counts.migrated), (Stage::Published, 14), "{store}");
        assert_eq!(fs::read_to_string(migrated.map()).unwrap(), expected_map(&requiem, column, algorithm), "{store}");
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn the_flat_and_the_sharded_store_give_the_same_target_and_map() {
    let requiem = conformance("requiem");
    let [flat, sharded] =
        ["cas-v1-flat", "cas-sha256-sharded"].map(|store| migrated(&requiem.join(store), &MigrateOptions::default()));
    assert_eq!(tree(&flat.target()), tree(&sharded.target()));
    assert_eq!(fs::read(flat.map()).unwrap(), fs::read(sharded.map()).unwrap());
}

#[test]
#[ignore = "needs the conformance data"]
fn a_v2_store_stays_what_it_is() {
    let requiem = conformance("requiem");
    let source = requiem.join("cas-v2");
    let migrated = migrated(&source, &MigrateOptions::default());
    let sorted_index = |mut files: BTreeMap<PathBuf, Vec<u8>>| {
        let index = files.get_mut(Path::new("index.ndjson")).expect("an index");
        let mut lines: Vec<_> = index.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        *index = lines.concat();
        files
    };
    assert_eq!(sorted_index(tree(&migrated.target())), sorted_index(tree(&source)));
}

#[test]
#[ignore = "needs the conformance data"]
fn the_blobs_of_the_reference_come_out_again() {
    let requiem = conformance("requiem");
    // The same library, level and form.
    let zstd = MigrateOptions { compress: "zstd".parse().unwrap(), ..Default::default() };
    let empty = "24ab6f1ac35b93ddd54d0911ce8f0b59e4a77cb93744066a238a49f844c4f5af";
    let store = migrated(&requiem.join("cas-v1-flat"), &zstd);
    let blob = fs::read(store.target().join("objects/24/ab").join(empty)).unwrap();
    assert_eq!(blob, b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00");
}

/// The objects of all generations in one tree.
fn all_generations() -> tempfile::TempDir {
    let requiem = conformance("requiem");
    let mixed = tempfile::tempdir().unwrap();
    for store in &STORES[1..] {
        for (path, bytes) in tree(&requiem.join(store).join("objects")) {
            let path = mixed.path().join("objects").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    mixed
}

#[test]
#[ignore = "needs the conformance data"]
fn a_tree_of_all_generations_gives_each_content_once_and_maps_every_key() {
    let mixed = all_generations();
    let store = migrated(mixed.path(), &MigrateOptions::default());
    let counts = store.end.counts;
    // Four algorithms, fourteen contents; the newest two stores share their keys.
    assert_eq!((counts.migrated, counts.duplicate), (14, 42));
    let rows = fs::read_to_string(store.map()).unwrap().lines().count() - 1;
    assert_eq!(rows, 56);
}

#[test]
#[ignore = "needs the conformance data"]
fn what_other_systems_wrote_is_proved_and_gone_back_to() {
    for name in ["cas-v2", "cas-blake2s", "cas-sha256-sharded"] {
        let migrated = migrated(&conformance("requiem").join(name), &eager());
        let paths = TargetPaths::new(&migrated.target()).unwrap();
        let end = with(|control| rollback(Arc::new(RealDisk), &paths, &eager(), &RollbackRequest::default(), control))
            .unwrap();
        assert_eq!((end.source_objects, migrated.target().exists()), (14, false), "{name}");
    }
}

mod python_blake3 {
    use super::*;

    /// What the independent checker says of a store that it accepts.
    fn check(arguments: &[&Path]) -> Value {
        let output = run_checker(&conformance("requiem").join("check_cas.py"), arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn flag(text: &'static str) -> &'static Path {
        Path::new(text)
    }

    fn check_in_full(requiem: &Path, store: &Migrated) {
        let (expected, inputs) = (requiem.join("expected-map.tsv"), requiem.join("inputs"));
        let (target, map) = (store.target(), store.map());
        let counts = check(&[
            &*target,
            flag("--expect"),
            &expected,
            flag("--exact"),
            flag("--inputs"),
            &inputs,
            flag("--map"),
            &map,
            flag("--strict"),
        ]);
        assert_eq!((&counts["ok"], &counts["map_rows"]), (&14.into(), &14.into()), "{counts}");
    }

    #[test]
    #[ignore = "needs the conformance data and python3 with blake3 and zstandard"]
    fn every_generation_becomes_a_store_that_the_checker_accepts_in_full() {
        let requiem = conformance("requiem");
        for store in STORES {
            check_in_full(&requiem, &migrated(&requiem.join(store), &MigrateOptions::default()));
        }
    }

    #[test]
    #[ignore = "needs the conformance data and python3 with blake3 and zstandard"]
    fn every_encoding_holds_the_same_contents() {
        let requiem = conformance("requiem");
        for compress in ["identity", "zstd", "zstd:19"] {
            let options = MigrateOptions { compress: compress.parse().unwrap(), ..Default::default() };
            for store in ["cas-blake2s", "cas-v1-flat"] {
                check_in_full(&requiem, &migrated(&requiem.join(store), &options));
            }
        }
    }

    #[test]
    #[ignore = "needs the conformance data and python3 with blake3 and zstandard"]
    fn a_tree_of_all_generations_is_accepted_with_its_map() {
        let (expected, mixed) = (conformance("requiem").join("expected-map.tsv"), all_generations());
        let store = migrated(mixed.path(), &MigrateOptions::default());
        let (target, map) = (store.target(), store.map());
        check(&[&*target, flag("--expect"), &expected, flag("--exact"), flag("--map"), &map, flag("--strict")]);
    }
}
