//! `--link`: what may be linked is linked, and the rest is copied and counted.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;

use crate::support::haul::Done;
use crate::support::nobody::{Nobody, give_away};
use crate::support::old_store::OldStore;
use haul::cas::options::{Linking, MigrateOptions};
use haul::durable::SimulatedDisk;
use haul::migration::exit;
use serde_json::{Value, json};

const MIGRATE: &str = "migrate --source old --target new --link";

fn blobs(done: &Done) -> Value {
    done.json()["blobs"].clone()
}

#[test]
fn every_blob_is_linked_where_nothing_stands_in_the_way() {
    let store = OldStore::with_objects(5);
    for arguments in ["--dry-run --json", "--json"] {
        let done = store.cas(&format!("{MIGRATE} {arguments}")).expect(0);
        assert_eq!(blobs(&done), json!({ "linked": 5, "cloned": 0, "copied": 0 }), "{arguments}");
    }
    let report = fs::read_to_string(store.paths().run_directory().report_path()).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["details"]["blobs"], json!({ "linked": 5, "cloned": 0, "copied": 0 }), "{report}");
    let again = store.cas(&format!("{MIGRATE} --json")).expect(0);
    assert_eq!(blobs(&again)["linked"], 5, "the counts are kept with the run");
}

#[test]
fn the_value_of_the_option_may_be_given_in_both_ways() {
    for option in ["auto", "always"] {
        for separator in ["=", " "] {
            let store = OldStore::with_objects(2);
            let done = store.cas(&format!("{MIGRATE}{separator}{option} --json")).expect(0);
            assert_eq!(blobs(&done)["linked"], 2, "{option}");
        }
    }
}

/// A disk that has no link to files of another: the simulated one.
#[test]
fn what_cannot_be_linked_is_copied_unless_links_are_insisted_on() {
    let store = OldStore::with_objects(5);
    let disk = SimulatedDisk::with_directories(&[store.place()]);
    let always = MigrateOptions { link: Linking::Always, ..MigrateOptions::default() };
    let error = store.migrate_on(Arc::new(disk.clone()), &always).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.next_step().unwrap()),
        (exit::USAGE, "use --link, which copies what cannot be linked".into())
    );
    let auto = MigrateOptions { link: Linking::Auto, ..MigrateOptions::default() };
    let end = store.migrate_on(Arc::new(disk.clone()), &auto).unwrap();
    assert_eq!((end.counts.migrated, end.details.blobs.linked, end.details.blobs.copied), (5, 0, 5));
    let copied = SimulatedDisk::with_directories(&[store.place()]);
    store.migrate_on(Arc::new(copied.clone()), &MigrateOptions::default()).unwrap();
    let target = |disk: &SimulatedDisk| {
        disk.snapshot().into_iter().filter(|(path, _)| path.starts_with(store.target())).collect::<Vec<_>>()
    };
    assert_eq!(target(&disk), target(&copied), "the same store as without links");
}

#[test]
#[ignore = "needs root"]
fn an_immutable_file_is_copied_as_root() {
    let store = OldStore::with_objects(4);
    let name = fs::read_dir(store.root().join("objects")).unwrap().next().unwrap().unwrap().path();
    let file = walk_to_file(&name);
    let set = |flag: &str| Command::new("chattr").arg(flag).arg(&file).status().unwrap().success();
    assert!(set("+i"), "the file system has immutable files");
    let dry = store.cas(&format!("{MIGRATE} --dry-run --json"));
    let done = store.cas(&format!("{MIGRATE} --json"));
    let always = store.cas("migrate --source old --target other --link=always");
    assert!(set("-i"));
    let expected = json!({ "linked": 3, "cloned": 0, "copied": 1 });
    assert_eq!((blobs(&dry.expect(0)), blobs(&done.expect(0))), (expected.clone(), expected));
    assert!(always.expect(2).stderr.contains("Operation not permitted"));
}

fn walk_to_file(path: &std::path::Path) -> std::path::PathBuf {
    if path.is_file() {
        return path.to_path_buf();
    }
    walk_to_file(&fs::read_dir(path).unwrap().next().unwrap().unwrap().path())
}

#[test]
#[ignore = "needs root"]
fn files_of_others_are_copied_by_another_user_as_root() {
    assert_eq!(fs::read_to_string("/proc/sys/fs/protected_hardlinks").unwrap().trim(), "1");
    let store = OldStore::with_objects(3);
    let run = tempfile::tempdir().unwrap();
    let nobody = Nobody::at(run.path());
    give_away(store.place());
    for (arguments, linked) in [("--dry-run", 0), ("", 0)] {
        let mut command = nobody.haul();
        command.arg("cas").args(MIGRATE.split(' ')).args(arguments.split_whitespace());
        let done = Done::of(command.args(["--json"]).current_dir(store.place()).output().unwrap()).expect(0);
        assert_eq!(blobs(&done)["linked"], linked, "{arguments}");
        assert_eq!(blobs(&done)["copied"], 3, "{arguments}");
    }
    let names = |number: u8| {
        let path = store.root().join(crate::support::old_objects::object_path(
            haul::cas::Algorithm::Sha256,
            &[number; 100],
            haul::cas::source::location::Shape::TwoLevels,
        ));
        fs::metadata(path).unwrap().nlink()
    };
    assert_eq!((0..3).map(names).collect::<Vec<_>>(), [1, 1, 1]);
}
