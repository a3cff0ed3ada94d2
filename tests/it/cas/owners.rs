//! Who owns what is written into a store, and who may write to it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::runs::cas_in;
use crate::support::haul::Done;
use crate::support::nobody::{Nobody, entries, give_away, of_others};
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::paths::TargetPaths;
use haul::cas::source::location::Shape;
use haul::durable::RealDisk;
use haul::migration::{DIRECTORY_LOCK, DirectoryLocks};

const OWNER: (u32, u32) = (12_345, 23_456);

fn give(path: &Path, (user, group): (u32, u32)) {
    entries(path).iter().for_each(|path| chown(path, Some(user), Some(group)).unwrap());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// An old store, and a store `new` of an application: writable by its group, with three objects of another source.
fn application() -> OldStore {
    let store = OldStore::with_objects(5);
    let other = OldStore::new();
    (10..13).for_each(|n| _ = other.object(Algorithm::Sha256, &[n; 50], Shape::TwoLevels));
    cas_in(store.place(), &format!("migrate --source {} --target new", other.root().display())).expect(0);
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
    give(&store.target(), OWNER);
    fs::set_permissions(store.target().join("objects"), fs::Permissions::from_mode(0o2775)).unwrap();
    fs::set_permissions(store.target().join("index.ndjson"), fs::Permissions::from_mode(0o664)).unwrap();
    store
}

#[test]
#[ignore = "needs root"]
fn what_is_added_to_a_store_belongs_to_its_owner_as_root() {
    for placement in ["--merge", "--replace"] {
        let store = application();
        store.cas(&format!("migrate --source old --target new {placement}")).expect(0);
        assert_eq!(of_others(&store.target(), OWNER), Vec::<PathBuf>::new(), "{placement}");
        assert_eq!(of_others(store.paths().run_directory().path(), OWNER), Vec::<PathBuf>::new(), "{placement}");
        assert_eq!(mode(&store.target().join("index.ndjson")), 0o664, "{placement}");
        assert_eq!(mode(&store.target().join("objects")), 0o2775, "{placement}");
        store.cas("rollback new --yes").expect(0);
        assert_eq!(of_others(&store.target(), OWNER), Vec::<PathBuf>::new(), "rollback of {placement}");
        fs::write(store.place().join("file"), "content").unwrap();
        store.cas("put new file").expect(0);
        assert_eq!(of_others(&store.target(), OWNER), Vec::<PathBuf>::new(), "put");
        fs::remove_file(store.target().join("index.ndjson")).unwrap();
        store.cas("verify new --repair --yes").expect(0);
        assert_eq!(of_others(&store.target(), OWNER), Vec::<PathBuf>::new(), "repair");
    }
}

#[test]
#[ignore = "needs root"]
fn a_new_store_belongs_to_whom_it_is_given_as_root() {
    let store = OldStore::with_objects(5);
    store.cas("migrate --source old --target new --chown 12345:23456").expect(0);
    assert_eq!(of_others(&store.target(), OWNER), Vec::<PathBuf>::new());
    assert_eq!(of_others(store.paths().run_directory().path(), OWNER), Vec::<PathBuf>::new());
    let merged = application();
    merged.cas("migrate --source old --target new --merge --chown :777").expect(0);
    let groups =
        entries(&merged.target().join("objects")).len() - of_others(&merged.target().join("objects"), OWNER).len();
    assert!(groups >= 7, "what was there keeps its owner");
}

#[test]
fn an_owner_that_cannot_be_kept_is_told_before_the_run() {
    let store = OldStore::with_objects(3);
    let run = tempfile::tempdir().unwrap();
    let nobody = Nobody::at(run.path());
    entries(store.place()).iter().for_each(|path| give_away(path));
    let haul = |arguments: &str| {
        let mut command = nobody.haul();
        command.arg("cas").args(arguments.split(' ')).args(["--progress", "none"]).current_dir(store.place());
        Done::of(command.output().unwrap())
    };
    for dry in ["--dry-run ", ""] {
        let done = haul(&format!("migrate --source old --target new {dry}--chown 0:0")).expect(2);
        assert!(done.stderr.contains("may not give files to user 0, group 0"), "{}", done.stderr);
    }
    assert!(!store.target().exists() && !store.paths().run_directory().path().exists());
    let unknown = haul("migrate --source old --target new --chown no-such-user").expect(2);
    assert!(unknown.stderr.contains("give its number"), "{}", unknown.stderr);
}

#[test]
#[ignore = "needs root"]
fn a_merge_notes_an_owner_that_it_may_not_set_as_root() {
    let store = application();
    let run = tempfile::tempdir().unwrap();
    let nobody = Nobody::at(run.path());
    give_away(store.place());
    entries(&store.root()).iter().for_each(|path| give_away(path));
    entries(&store.target()).iter().filter(|path| path.is_dir()).for_each(|path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    });
    for dry in ["--dry-run", "--progress=none"] {
        let mut command = nobody.haul();
        command.args(["cas", "migrate", "--source", "old", "--target", "new", "--merge", dry]);
        let done = Done::of(command.current_dir(store.place()).output().unwrap()).expect(0);
        assert!(done.stdout.contains("may not set user 12345, group 23456"), "{dry}: {}", done.texts());
    }
}

/// A store of an application in a directory that belongs to somebody else.
fn closed_in() -> (OldStore, PathBuf) {
    let store = OldStore::with_objects(3);
    fs::create_dir(store.place().join("var")).unwrap();
    store.cas("migrate --source old --target var/store").expect(0);
    fs::remove_dir_all(store.place().join("var/store.migration")).unwrap();
    let inside = store.place().join("var/store");
    entries(&inside).iter().for_each(|path| give_away(path));
    fs::set_permissions(store.place(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(store.place().join("var"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::write(store.place().join("file"), "content").unwrap();
    (store, inside)
}

#[test]
fn who_may_write_to_a_store_only_puts_and_locks_it_from_inside() {
    let (store, inside) = closed_in();
    let run = tempfile::tempdir().unwrap();
    let nobody = Nobody::at(run.path());
    let put = || {
        let mut command = nobody.haul();
        command.args(["cas", "put", "var/store", "file", "--wait", "0", "--progress", "none"]);
        Done::of(command.current_dir(store.place()).output().unwrap())
    };
    put().expect(0);
    put().expect(0);
    let names = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!((names(&inside), names(&store.place().join("var"))), (2, 1), "nothing is left of the lock");
    fs::set_permissions(store.place().join("var"), fs::Permissions::from_mode(0o755)).unwrap();
    let held = DirectoryLocks::take(&RealDisk, &[inside.canonicalize().unwrap()]).unwrap();
    for arguments in ["migrate --source old --target var/store --merge", "put var/store file --wait 0"] {
        let done = cas_in(store.place(), arguments).expect(75);
        assert!(done.stderr.contains("another run is active: pid "), "{arguments}: {}", done.stderr);
    }
    assert!(inside.join(DIRECTORY_LOCK).exists());
    drop(held);
    let directory = TargetPaths::new(&inside).unwrap().run_directory();
    let held = directory.create_and_lock(&RealDisk).unwrap();
    fs::set_permissions(directory.lock_path(), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(store.place().join("var"), fs::Permissions::from_mode(0o555)).unwrap();
    put().expect(75);
    drop(held);
    fs::set_permissions(store.place().join("var"), fs::Permissions::from_mode(0o755)).unwrap();
    cas_in(store.place(), "verify var/store").expect(0);
}
