//! Finding nothing is not success: sources without objects, objects in spellings that no generation has, and
//! replacements that would lose most of a store.

use std::fs;
use std::path::Path;

use super::runs::cas_in;
use crate::support::nodes::tree;
use crate::support::old_objects::object_path;
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::format::digest::key_of;
use haul::cas::source::location::Shape;

const MIGRATE: &str = "migrate --source old --target new";

/// The same store a directory further down: `old/cas/objects`.
fn one_level_too_high() -> OldStore {
    let store = OldStore::with_objects(5);
    fs::create_dir(store.root().join("cas")).unwrap();
    fs::rename(store.root().join("objects"), store.root().join("cas/objects")).unwrap();
    store
}

#[test]
fn every_verb_refuses_a_source_that_is_a_level_too_high_and_names_the_store() {
    let store = one_level_too_high();
    for arguments in [
        "plan --source old --target new",
        "estimate --source old --target new",
        "migrate --source old --target new --dry-run",
        "migrate --source old --target new --strict",
        MIGRATE,
    ] {
        let done = store.cas(arguments).expect(65);
        assert!(done.stderr.contains("no object was found"), "{arguments}: {}", done.stderr);
        assert!(done.next().contains("old/cas"), "{arguments}: {}", done.stderr);
        assert!(!store.target().exists(), "{arguments}");
    }
    let done = store.cas("doctor --store old").expect(65);
    assert!(done.stdout.contains("old/cas looks like a store"), "{}", done.stdout);
    store.cas("migrate --source old/cas --target new").expect(0);
}

#[test]
fn an_empty_source_is_migrated_only_if_that_is_asked_for() {
    let store = OldStore::with_objects(0);
    let done = store.cas(MIGRATE).expect(65);
    assert!(done.next().contains("--allow-empty"), "{}", done.stderr);
    store.cas("doctor --store old").expect(65);
    store.cas("plan --source old --target new --allow-empty").expect(0);
    store.cas(&format!("{MIGRATE} --allow-empty --dry-run")).expect(0);
    store.cas(&format!("{MIGRATE} --allow-empty")).expect(0);
    assert!(store.target().is_dir());
}

#[test]
fn a_store_of_objects_that_are_all_refused_is_not_published_as_an_empty_one() {
    let store = OldStore::with_objects(0);
    store.stored(Algorithm::Sha256, b"whole", b"torn", Shape::TwoLevels);
    store.cas(&format!("{MIGRATE} --dry-run")).expect(65);
    let done = store.cas(MIGRATE).expect(65);
    assert!(done.next().contains("none of the objects"), "{}", done.stderr);
    assert!(!store.target().exists());
    store.cas(&format!("{MIGRATE} --allow-empty")).expect(3);
}

/// Puts a v2 store with `objects` objects at the target.
fn live(store: &OldStore, objects: u8) {
    let other = OldStore::new();
    (100..100 + objects).for_each(|n| _ = other.object(Algorithm::Sha256, &[n; 100], Shape::TwoLevels));
    let source = other.root();
    cas_in(store.place(), &format!("migrate --source {} --target new", source.display())).expect(0);
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
}

#[test]
fn a_live_store_never_gives_way_to_an_empty_one() {
    for store in [OldStore::with_objects(0), one_level_too_high()] {
        live(&store, 8);
        let before = tree(&store.target());
        for arguments in ["--replace --dry-run", "--replace"] {
            store.cas(&format!("{MIGRATE} {arguments}")).expect(65);
            assert_eq!(tree(&store.target()), before, "{arguments}");
        }
    }
}

#[test]
fn a_replacement_that_drops_too_much_says_the_numbers_and_changes_nothing() {
    let store = OldStore::with_objects(9);
    live(&store, 12);
    let before = tree(&store.target());
    for arguments in ["--replace --max-drop 24 --dry-run", "--replace --max-drop 24"] {
        let done = store.cas(&format!("{MIGRATE} {arguments}")).expect(65);
        for number in [" 9 objects", "has 12", "25.0 %", "24 %"] {
            assert!(done.stderr.contains(number), "{number}: {}", done.stderr);
        }
        assert_eq!(tree(&store.target()), before, "{arguments}");
    }
    store.cas(&format!("{MIGRATE} --replace --max-drop 25 --dry-run")).expect(0);
    store.cas(&format!("{MIGRATE} --replace --max-drop 25")).expect(0);
    assert_ne!(tree(&store.target()), before);
    store.cas(&format!("{MIGRATE} --max-drop 25")).expect(2);
}

/// Every way in which copies and file systems change the names of objects, each with the path of one object.
fn respelt() -> Vec<String> {
    let key = |n: u8| key_of(Algorithm::Sha256, &[n; 100]).to_string();
    let (a, b, c, d, e, f) = (key(10), key(11), key(12), key(13), key(14), key(15));
    vec![
        // A file system without case, a tenant, a level more, another separator, a level deep below something else.
        a.to_uppercase(),
        format!("{}/{}/{}", b[..2].to_uppercase(), b[2..4].to_uppercase(), b.to_uppercase()),
        format!("t1/{}/{}/{c}", &c[..2], &c[2..4]),
        format!("{}/{}/{}/{d}", &d[..2], &d[2..4], &d[4..6]),
        format!("sha256:{e}"),
        format!("backup/2026/old/{}/{}", &f[..2], &f[2..]),
    ]
}

#[test]
fn what_looks_like_an_object_in_any_spelling_is_refused_by_name() {
    let store = OldStore::with_objects(5);
    for (n, path) in (10_u8..).zip(respelt()) {
        store.file(&format!("objects/{path}"), &[n; 100]);
    }
    // These are not objects whatever one thinks of their names.
    store.file("objects/README", b"x").file("objects/t1/notes", b"x").file("objects/.tmp_1", b"x");
    store.cas(&format!("{MIGRATE} --dry-run")).expect(3);
    let done = store.cas(&format!("{MIGRATE} --json")).expect(3);
    let document = done.json();
    assert_eq!(document["counts"]["migrated"], 5);
    assert_eq!(document["counts"]["refused_unidentified"], respelt().len());
    let report = fs::read_to_string(store.paths().run_directory().report_path()).unwrap();
    for path in respelt() {
        assert!(report.contains(&format!("old/objects/{path}")), "{path}: {report}");
    }
    store.cas("doctor --store old").expect(65);
    store.cas("rollback new --yes").expect(0);
}

#[test]
fn a_misspelt_object_cannot_be_lost_by_a_strict_run() {
    let store = OldStore::with_objects(1);
    let path = object_path(Algorithm::Sha256, &[7; 100], Shape::TwoLevels);
    let (above, name) = path.rsplit_once('/').unwrap();
    store.file(&format!("{above}/{}", name.to_uppercase()), &[7; 100]);
    store.cas(&format!("{MIGRATE} --strict")).expect(65);
    assert!(!Path::new(&store.target()).exists());
}
