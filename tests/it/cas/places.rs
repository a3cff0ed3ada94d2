//! Where source and target may be: links and mounts lead to the same directories as other paths.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::runs::cas_in;
use crate::support::nodes::tree;
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::source::location::Shape;

/// The objects are on a larger disk, and `old/objects` is a link to them.
fn linked() -> OldStore {
    let store = OldStore::with_objects(5);
    fs::create_dir(store.place().join("disk")).unwrap();
    fs::rename(store.root().join("objects"), store.place().join("disk/objects")).unwrap();
    symlink("../disk/objects", store.root().join("objects")).unwrap();
    store
}

#[test]
fn nothing_is_written_below_what_the_objects_of_a_source_lead_to() {
    let store = linked();
    let before = tree(store.place());
    symlink("disk/objects", store.place().join("alias")).unwrap();
    let with_alias = tree(store.place());
    for target in ["disk/objects/new", "alias/new", "disk/objects", "disk"] {
        for arguments in ["plan", "migrate --dry-run", "migrate", "migrate --replace", "migrate --merge"] {
            let (verb, options) = arguments.split_once(' ').unwrap_or((arguments, ""));
            let done = store.cas(&format!("{verb} --source old --target {target} {options}")).expect(2);
            assert!(done.stderr.contains("inside each other"), "{arguments} {target}: {}", done.stderr);
            assert_eq!(tree(store.place()), with_alias, "{arguments} {target}");
        }
    }
    assert_ne!(before, with_alias);
    store.cas("migrate --source old --target disk/new").expect(0);
}

/// The objects of the target lead to those of the source.
#[test]
fn objects_are_not_merged_into_those_of_their_source() {
    let store = OldStore::with_objects(5);
    store.cas("migrate --source old --target new").expect(0);
    fs::remove_dir_all(store.target().join("objects")).unwrap();
    symlink("../old/objects", store.target().join("objects")).unwrap();
    let done = store.cas("migrate --source old --target new --merge --restart --yes").expect(2);
    assert!(done.stderr.contains("inside each other"), "{}", done.stderr);
}

#[test]
fn a_merge_into_objects_on_another_file_system_is_refused_before_anything_is_staged() {
    let store = OldStore::with_objects(5);
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let other = OldStore::new();
    other.object(Algorithm::Sha256, b"there already", Shape::TwoLevels);
    cas_in(store.place(), &format!("migrate --source {} --target new", other.root().display())).expect(0);
    let moved = elsewhere.path().join("objects");
    let status = Command::new("cp").arg("-a").arg(store.target().join("objects")).arg(&moved).status().unwrap();
    assert!(status.success());
    fs::remove_dir_all(store.target().join("objects")).unwrap();
    symlink(&moved, store.target().join("objects")).unwrap();
    for arguments in ["--merge --restart --yes --dry-run", "--merge --restart --yes"] {
        let done = store.cas(&format!("migrate --source old --target new {arguments}")).expect(2);
        assert!(done.stderr.contains("EXDEV") && !done.next().is_empty(), "{arguments}: {}", done.stderr);
        assert!(!store.paths().staging().exists(), "{arguments}");
    }
}

#[test]
fn a_run_directory_of_someone_else_is_left_alone() {
    let store = OldStore::with_objects(2);
    let theirs = store.paths().staging().join("thesis.txt");
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, b"the only copy").unwrap();
    for arguments in ["--dry-run", "", "--restart --yes"] {
        let done = store.cas(&format!("migrate --source old --target new {arguments}")).expect(2);
        let is_said = ["none of them is haul's", "nothing shows that haul made it"];
        assert!(is_said.iter().any(|text| done.stderr.contains(text)), "{arguments}: {}", done.stderr);
    }
    assert_eq!(fs::read(&theirs).unwrap(), b"the only copy");
}

#[test]
#[ignore = "needs a RAM disk at /dev/shm"]
fn a_run_directory_on_a_ram_disk_is_said_before_the_work() {
    let store = OldStore::with_objects(2);
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    symlink(elsewhere.path(), store.paths().run_directory().path()).unwrap();
    for verb in ["plan", "estimate", "migrate --dry-run", "migrate", "migrate --replace"] {
        let (verb, options) = verb.split_once(' ').unwrap_or((verb, ""));
        let done = store.cas(&format!("{verb} --source old --target new {options}")).expect(2);
        let is_said = ["cannot be renamed to it (EXDEV)", "new.migration: it is a link"];
        assert!(is_said.iter().any(|text| done.stderr.contains(text)), "{verb}: {}", done.stderr);
        assert!(!done.next().is_empty());
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}
