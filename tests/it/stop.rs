//! A stop is looked for everywhere: with the environment variable, a test build counts what each thread does between two
//! looks, and panics where it is more than 8 MiB or 1,000 items.

use std::fs;
use std::path::Path;

use haul::cas::Algorithm;
use haul::cas::source::location::Shape;

use crate::support::haul::Done;
use crate::support::old_store::OldStore;
use crate::support::place::Place;

/// More than lies between two looks.
const LARGE_BYTES: usize = 9 << 20;
const OBJECTS: u64 = 1_200;
/// More files than that many objects may consist of.
const NAMES: u64 = 4_200;

/// Runs the command, which fails where a loop does not look.
#[track_caller]
fn run(place: &Place, arguments: &str, code: i32) {
    let words: Vec<_> = arguments.split(' ').collect();
    let mut command = place.command(&words);
    Done::of(command.args(["--progress", "none"]).env("HAUL_COUNT_WORK", "1").output().expect("haul runs"))
        .expect(code);
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn every_verb_of_a_space_looks_for_a_stop() {
    let place = Place::new();
    run(&place, "space generate data/default --nodes 3000 --seed 7", 0);
    run(&place, "space stats default", 0);
    run(&place, "space migrate default --dry-run", 0);
    run(&place, "space migrate default --verify full", 0);
    run(&place, "space verify default --full", 0);
    run(&place, "space export default --to exported", 0);
    run(&place, "space rollback default --yes", 0);
    run(&place, "space publish default", 0);
    run(&place, "space rollback default --yes", 0);
    run(&place, "space migrate default --restart --yes --no-publish", 0);
    run(&place, "space clean default --yes", 0);
}

#[test]
fn a_damaged_range_of_any_length_is_read_with_looks() {
    let place = Place::with_space(3);
    let mut log = fs::read(place.log()).unwrap();
    log.extend(noise(LARGE_BYTES, 1));
    log.extend(vec![0; LARGE_BYTES]);
    fs::write(place.log(), log).unwrap();
    run(&place, "space stats default", 0);
    run(&place, "space migrate default --dry-run --corruption skip", 3);
    run(&place, "space migrate default --corruption skip --verify full", 3);
    run(&place, "space rollback default --yes", 0);
}

/// Most of these names are no object's, so nothing is told of them while they are looked at.
#[test]
fn a_foreign_directory_of_any_size_is_searched_with_looks() {
    let place = Place::new();
    let store = OldStore::in_directory(tempfile::tempdir_in(place.path()).unwrap());
    store.object(Algorithm::Sha256, b"content", Shape::TwoLevels);
    let foreign = store.root().join("objects/foreign");
    fs::create_dir(&foreign).unwrap();
    (0..NAMES).for_each(|number| fs::write(foreign.join(number.to_string()), "").unwrap());
    run(&place, &format!("cas plan --source {} --target new", store.root().display()), 0);
}

/// The verbs of a tree, on more manifests than lie between two looks.
#[test]
fn every_verb_of_a_tree_looks_for_a_stop() {
    let place = Place::new();
    run(&place, &format!("manifest generate app --manifests {OBJECTS} --seed 1"), 0);
    run(&place, "manifest plan app", 0);
    run(&place, "manifest migrate app --dry-run", 0);
    run(&place, "manifest migrate app --durability none", 0);
    run(&place, "manifest verify app", 0);
    run(&place, "manifest verify app --sample 2000 --seed 1", 0);
    run(&place, "manifest validate app --as 1.0.0", 0);
    run(&place, "manifest reindex app --sqlite index.sqlite", 0);
    run(&place, "manifest reindex app --rows jsonl", 0);
    run(&place, "manifest rollback app --run last --yes --durability none", 0);
    run(&place, "demo --nodes 2000", 0);
    run(&place, "demo --nodes 2000", 0);
}

fn object_store(root: &Path, large: &[u8]) -> OldStore {
    let store = OldStore::in_directory(tempfile::tempdir_in(root).unwrap());
    store.object(Algorithm::Blake3, large, Shape::TwoLevels);
    for number in 0..OBJECTS {
        store.object(Algorithm::Sha256, &number.to_le_bytes(), Shape::TwoLevels);
    }
    store
}

#[test]
fn every_verb_of_an_object_store_looks_for_a_stop() {
    let place = Place::new();
    let large = noise(LARGE_BYTES, 2);
    let store = object_store(place.path(), &large);
    let old = store.root().display().to_string();
    fs::write(place.path().join("large"), noise(LARGE_BYTES, 3)).unwrap();
    run(&place, &format!("cas plan --source {old} --target new"), 0);
    run(&place, &format!("cas doctor --store {old}"), 0);
    run(&place, &format!("cas migrate --source {old} --target new --dry-run"), 0);
    // Without the waiting for a disk: what is synced is not what is looked at here.
    let migrate = format!("cas migrate --source {old} --durability none --target");
    run(&place, &format!("{migrate} new"), 0);
    run(&place, "cas verify new", 0);
    run(&place, "cas verify new --repair --yes", 0);
    run(&place, &format!("cas validate --source {old} --target new --map new.migration/key-map.tsv"), 0);
    run(&place, "cas rewrite-refs large --map new.migration/key-map.tsv --yes", 0);
    run(&place, "cas rollback new --yes", 0);
    run(&place, &format!("{migrate} new --restart --yes --compress zstd"), 0);
    run(&place, &format!("{migrate} new --replace --restart --yes"), 0);
    run(&place, "cas clean new --yes", 0);
    run(&place, "cas put merged large", 0);
    run(&place, &format!("{migrate} merged --merge"), 0);
    run(&place, "cas generate generated --objects 1500 --seed 1", 0);
}
