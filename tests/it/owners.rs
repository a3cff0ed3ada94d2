//! `--chown` in all stores: what a migration creates belongs to whom it is given, and what it replaces to whom it did.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use crate::support::haul::Done;
use crate::support::manifest::Root;
use crate::support::nobody::{Nobody, entries, give_away, of_others};
use crate::support::place::Place;

const OWNER: (u32, u32) = (12_345, 23_456);
/// Who owns a file that is replaced.
const ITS_OWN: (u32, u32) = (34_567, 34_568);

/// What is in a space besides the log, and does not belong to the owner.
fn of_others_in(space: &Path) -> Vec<PathBuf> {
    let is_of_source = |path: &PathBuf| path == space || path.starts_with(space.join("wal"));
    of_others(space, OWNER).into_iter().filter(|path| !is_of_source(path)).collect()
}

#[test]
#[ignore = "needs root"]
fn a_store_of_a_space_belongs_to_whom_it_is_given_as_root() {
    let place = Place::with_space(20);
    place.space_run("migrate default --chown 12345:23456 --no-publish").expect(0);
    assert_eq!(of_others_in(&place.space()), Vec::<PathBuf>::new());
    place.space_run("publish default").expect(0);
    assert!(place.space().join("CURRENT").exists());
    assert_eq!(of_others_in(&place.space()), Vec::<PathBuf>::new(), "what is published later");
    place.run(&["space", "generate", "data/second", "--nodes", "20", "--seed", "7"]).expect(0);
    place.space_run("migrate --all --chown 12345:23456").expect(0);
    for space in ["data/default", "data/second"] {
        assert_eq!(of_others_in(&place.path().join(space)), Vec::<PathBuf>::new());
    }
}

#[test]
#[ignore = "needs root"]
fn the_state_of_a_tree_is_given_away_and_a_file_with_its_backup_keeps_its_owner_as_root() {
    let root = Root::empty();
    let path = root.put("job", "run");
    chown(&path, Some(ITS_OWN.0), Some(ITS_OWN.1)).unwrap();
    root.migrate(&["--chown", "12345:23456"]).expect(0);
    assert_eq!(of_others(&root.path().join("migration"), OWNER), Vec::<PathBuf>::new());
    let files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "the manifest and its backup: {files:?}");
    files.iter().for_each(|file| assert_eq!(of_others(file, ITS_OWN), Vec::<PathBuf>::new()));
}

#[test]
fn an_owner_that_this_user_may_not_set_is_refused_before_anything_is_made() {
    let (place, run) = (Place::with_space(3), tempfile::tempdir().unwrap());
    let root = place.path().join("app");
    place.run(&["manifest", "generate", "app", "--manifests", "2", "--seed", "5"]).expect(0);
    entries(place.path()).iter().for_each(|path| give_away(path));
    let nobody = Nobody::at(run.path());
    let before = entries(place.path());
    for arguments in
        ["space migrate --space data/default", "space migrate --all --data-dir data", "manifest migrate app"]
    {
        for more in ["--chown 0:0", "--chown 0:0 --dry-run"] {
            let mut command = nobody.haul();
            command.args(arguments.split(' ')).args(more.split(' ')).args(["--progress", "none"]);
            let done = Done::of(command.current_dir(place.path()).output().unwrap()).expect(2);
            let said = done.texts();
            assert!(said.contains("may not give files to user 0, group 0"), "{arguments} {more}: {said}");
            assert!(said.contains("leave out --chown"), "{arguments} {more}: {said}");
        }
    }
    assert_eq!(entries(place.path()), before);
    assert!(root.exists());
}
