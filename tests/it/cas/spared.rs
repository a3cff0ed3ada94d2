//! What a command must leave alone: other stores, run directories, objects in other spellings, and the only copy of an
//! object.

use std::fs;
use std::path::{Path, PathBuf};

use super::runs::cas_in;
use crate::support::files::tree;
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::source::location::Shape;

const MIGRATE: &str = "migrate --source old --target new";

/// Returns a file below the directory.
fn first_file(directory: &Path) -> PathBuf {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let path = paths.into_iter().find(|path| path.extension().is_none()).unwrap();
    if path.is_dir() { first_file(&path) } else { path }
}

#[test]
fn references_in_a_store_of_any_layout_are_not_rewritten() {
    let store = OldStore::with_objects(3);
    store.cas(MIGRATE).expect(0);
    for shape in [Shape::TwoLevels, Shape::OneLevel, Shape::SplitName, Shape::Flat] {
        let other = OldStore::new();
        other.object(Algorithm::Sha256, b"content", shape);
        let objects = other.root().join("objects");
        let before = tree(&other.root());
        let inside = first_file(&objects);
        for named in [other.root(), other.place().to_path_buf(), objects.clone(), inside] {
            let done = store.cas(&format!("rewrite-refs --map new.migration/key-map.tsv {} --yes", named.display()));
            let done = done.expect(2);
            assert!(done.stderr.contains("a content-addressed store"), "{shape:?}: {}", done.stderr);
        }
        assert_eq!(tree(&other.root()), before);
    }
}

#[test]
fn a_run_directory_is_no_place_for_a_source_or_a_target() {
    let store = OldStore::with_objects(3);
    store.cas(MIGRATE).expect(0);
    let places = [
        "migrate --source old --target new.migration/staging",
        "migrate --source old --target new.migration/more/v2",
        "migrate --source new.migration --target other",
        "migrate --source old --target new.migration/staging --dry-run",
    ];
    for arguments in places {
        let done = store.cas(arguments).expect(2);
        assert!(done.stderr.contains("is in the run directory"), "{arguments}: {}", done.stderr);
    }
    assert!(!store.place().join("new.migration/staging").exists());
}

#[test]
fn a_store_that_was_replaced_stays_when_its_run_is_not_known() {
    let store = OldStore::with_objects(3);
    store.cas(MIGRATE).expect(0);
    store.cas(&format!("{MIGRATE} --replace --restart --yes")).expect(0);
    let state = |name: &str| store.place().join("new.migration").join(name);
    let replaced = tree(&state("replaced"));
    assert!(!replaced.is_empty());
    fs::write(state("checkpoint.bin"), b"torn").unwrap();
    store.cas("clean new --yes");
    assert!(tree(&state("replaced")) == replaced, "the checkpoint is torn");
    for name in ["checkpoint.bin", "checkpoint.prev"] {
        _ = fs::remove_file(state(name));
    }
    store.cas("clean new --yes").expect(0);
    assert!(tree(&state("replaced")) == replaced, "the checkpoint is gone");
    store.cas(&format!("{MIGRATE} --merge")).expect(0);
    store.cas("clean new --yes").expect(0);
    assert!(tree(&state("replaced")) == replaced, "another run follows");
}

/// A clean-up that died half-way has renamed the store before it removed a file of it.
#[test]
fn what_a_clean_up_had_begun_to_remove_is_not_rolled_back_to() {
    let store = OldStore::with_objects(3);
    store.cas(MIGRATE).expect(0);
    store.cas(&format!("{MIGRATE} --replace --restart --yes")).expect(0);
    let state = |name: &str| store.place().join("new.migration").join(name);
    fs::rename(state("replaced"), state("retired")).unwrap();
    store.cas("rollback new --yes").expect(2);
    store.cas("verify new").expect(0);
    store.cas("clean new --yes").expect(0);
    assert!(!state("retired").exists());
}

#[test]
fn names_with_a_key_and_an_ending_a_dot_or_a_place_next_to_the_objects_are_refused() {
    type Rename = fn(&Path, &Path) -> PathBuf;
    let renames: [Rename; 4] = [
        |file, _| file.with_extension("blob"),
        |file, _| file.with_file_name(format!(".{}", file.file_name().unwrap().to_str().unwrap())),
        |file, root| root.join(file.file_name().unwrap()),
        |file, root| root.join("ab").join(file.file_name().unwrap()),
    ];
    for (number, rename) in renames.into_iter().enumerate() {
        let store = OldStore::with_objects(2);
        let hidden = OldStore::new();
        hidden.object(Algorithm::Sha256, &[number as u8 + 200; 50], Shape::TwoLevels);
        let file = first_file(&hidden.root().join("objects"));
        let inside = store.root().join("objects").join(file.strip_prefix(hidden.root().join("objects")).unwrap());
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::create_dir_all(store.root().join("ab")).unwrap();
        let target = rename(&inside, &store.root());
        fs::copy(&file, &target).unwrap();
        let done = store.cas(MIGRATE).expect(3);
        assert!(done.stdout.contains("it looks like an object"), "{}: {}", target.display(), done.stdout);
    }
}

#[test]
fn content_is_not_written_into_its_store() {
    let store = OldStore::with_objects(3);
    store.cas(MIGRATE).expect(0);
    let before = tree(&store.target());
    let object = first_file(&store.target().join("objects"));
    let key = object.file_name().unwrap().to_str().unwrap();
    for out in [object.to_str().unwrap(), "new/index.ndjson", "new/more"] {
        let done = store.cas(&format!("get new {key} --out {out}")).expect(2);
        assert!(done.stderr.contains("is in the store"), "{}", done.stderr);
    }
    assert_eq!(tree(&store.target()), before);
    store.cas(&format!("get new {key} --out content")).expect(0);
}

#[test]
fn state_that_was_emptied_or_cut_is_a_fault_of_the_store() {
    let store = OldStore::with_objects(6);
    store.cas(MIGRATE).expect(0);
    store.cas("verify new").expect(0);
    for name in ["key-map.tsv", "key-map.reverse", "plan.json", "report.json", "checkpoint.bin"] {
        let path = store.place().join("new.migration").join(name);
        let whole = fs::read(&path).unwrap();
        for kept in [0, whole.len() * 2 / 3] {
            fs::write(&path, &whole[..kept]).unwrap();
            let done = store.cas("verify new --json").expect(65).json();
            assert_eq!(done["errors"], 1, "{name}: {kept}");
            assert!(done["faults"][0]["path"].as_str().unwrap().contains("new.migration"), "{name}: {done}");
        }
        fs::write(&path, &whole).unwrap();
    }
    fs::write(store.paths().map(), &fs::read(store.paths().map()).unwrap()[..500]).unwrap();
    store.cas(MIGRATE).expect(65);
}

#[test]
fn a_rollback_takes_no_file_of_others_with_the_store() {
    let store = OldStore::with_objects(3);
    let anew = format!("{MIGRATE} --restart --yes");
    for (first, again) in [(MIGRATE, ""), (&*anew, " --replace --restart --yes")] {
        store.cas(first).expect(0);
        if !again.is_empty() {
            cas_in(store.place(), "generate --objects 2 --seed 9 --generation v0.5 other").expect(0);
            cas_in(store.place(), &format!("migrate --source other --target new{again}")).expect(0);
        }
        let notes = store.target().join("NOTES");
        fs::write(&notes, "mine").unwrap();
        let done = store.cas("rollback new --yes").expect(2);
        assert!(done.stderr.contains("it was changed afterwards"), "{}", done.stderr);
        assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
        fs::remove_file(&notes).unwrap();
        store.cas("rollback new --yes").expect(0);
    }
}

#[test]
#[ignore = "needs root"]
fn an_immutable_object_does_not_stop_a_repair_as_root() {
    let store = OldStore::with_objects(6);
    store.cas(MIGRATE).expect(0);
    let damaged: Vec<_> = tree(&store.target()).into_keys().filter(|path| path.starts_with("objects")).collect();
    let damaged: Vec<_> = damaged.into_iter().filter(|path| path.extension().is_none()).take(3).collect();
    let damaged: Vec<_> = damaged.into_iter().map(|path| store.target().join(path)).collect();
    damaged.iter().for_each(|path| fs::write(path, b"bad").unwrap());
    let set = |flag: &str| std::process::Command::new("chattr").arg(flag).arg(&damaged[1]).status().unwrap().success();
    assert!(set("+i"), "the file system has immutable files");
    let dry = store.cas("verify new --repair --from old --yes --dry-run --json");
    let done = store.cas("verify new --repair --from old --yes --json");
    assert!(set("-i"));
    let (dry, done) = (dry.expect(65).json(), done.expect(65).json());
    assert_eq!((&dry["restored"], &done["restored"]), (&2.into(), &2.into()));
    assert_eq!(dry["left_count"], done["left_count"]);
    assert_eq!(cas_in(store.place(), "verify new --json").expect(65).json()["objects_ok"], 5);
}

#[test]
#[ignore = "needs root"]
fn an_immutable_file_with_references_is_refused_by_the_dry_run_too_and_gets_no_backup_as_root() {
    let store = OldStore::with_objects(2);
    store.cas(MIGRATE).expect(0);
    let rows = fs::read_to_string(store.place().join("new.migration/key-map.tsv")).unwrap();
    let key = rows.lines().nth(1).unwrap().split('\t').next().unwrap();
    let refs = store.place().join("refs");
    fs::create_dir(&refs).unwrap();
    ["fixed.json", "free.json"].iter().for_each(|name| fs::write(refs.join(name), key).unwrap());
    let set = |flag: &str| {
        std::process::Command::new("chattr").arg(flag).arg(refs.join("fixed.json")).status().unwrap().success()
    };
    assert!(set("+i"), "the file system has immutable files");
    let dry = store.cas("rewrite-refs --map new.migration/key-map.tsv refs --yes --json --dry-run");
    let done = store.cas("rewrite-refs --map new.migration/key-map.tsv refs --yes --json");
    assert!(set("-i"));
    let (dry, done) = (dry.expect(3).json(), done.expect(3).json());
    assert_eq!(dry["files"], done["files"]);
    assert_eq!(fs::read_to_string(refs.join("fixed.json")).unwrap(), key);
    assert!(!refs.join("fixed.json.haul-backup").exists() && refs.join("free.json.haul-backup").exists());
}

#[test]
#[ignore = "needs root"]
fn an_immutable_object_does_not_stop_the_rollback_of_a_merge_as_root() {
    let store = OldStore::with_objects(6);
    let place = store.place();
    cas_in(place, "generate --objects 2 --seed 9 --generation v0.5 other").expect(0);
    cas_in(place, "migrate --source other --target new").expect(0);
    let before = tree(&store.target());
    store.cas("migrate --source old --target new --merge --restart --yes").expect(0);
    let is_new = |path: &PathBuf| path.extension().is_none() && !before.contains_key(path);
    let merged: Vec<_> = tree(&store.target()).into_keys().filter(is_new).collect();
    let fixed = store.target().join(&merged[1]);
    let set = |flag: &str| std::process::Command::new("chattr").arg(flag).arg(&fixed).status().unwrap().success();
    assert!(set("+i"), "the file system has immutable files");
    let done = store.cas("rollback new --yes");
    let left: Vec<_> = tree(&store.target()).into_keys().filter(is_new).collect();
    assert!(set("-i"));
    let done = done.expect(3);
    assert!(done.stdout.contains(&*merged[1].to_string_lossy()), "{}", done.stdout);
    assert_eq!(left, merged[1..2]);
    std::fs::remove_file(&fixed).unwrap();
    store.cas("rollback new --yes").expect(0);
    store.cas("verify new").expect(0);
}
