//! Difficult conditions of an object store: a source in use, nested paths, full and foreign disks, unreadable files and
//! entries that are not files. Each gives a clear answer, leaves the source unchanged and allows a later run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::haul::{Done, HAUL};
use crate::support::nobody::Nobody;
use crate::support::nodes::{Node, tree};
use crate::support::old_objects::object_path;
use crate::support::old_store::OldStore;
use crate::support::scene::Scene;
use crate::support::seen::seen;
use crate::support::v2_store::V2Store;
use haul::cas::Algorithm;
use haul::cas::format::digest::key_of;
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::{MigrateOptions, Placement};
use haul::cas::paths::{blob_path, sidecar_path};
use haul::cas::source::location::Shape;
use haul::durable::RealDisk;
use haul::migration::{Durability, Error, OutcomeCounts, RunOptions, Stage, exit};
use haul::pipeline::{Control, Event, Observer, Phase, StopToken};
use parking_lot::Mutex;
use serde_json::Value;

/// Objects of several generations.
fn store() -> OldStore {
    let store = OldStore::new();
    for number in 0..20_u8 {
        let algorithm = Algorithm::ALL[usize::from(number % 4)];
        store.object(algorithm, &[number; 3_000], Shape::TwoLevels);
        store.sidecar(algorithm, &[number; 3_000], Shape::TwoLevels, 7);
    }
    store
}

/// The path of one of its objects.
fn object(store: &OldStore, number: u8) -> PathBuf {
    let algorithm = Algorithm::ALL[usize::from(number % 4)];
    store.root().join(object_path(algorithm, &[number; 3_000], Shape::TwoLevels))
}

fn haul() -> Command {
    let mut command = Command::new(HAUL);
    command.stdin(Stdio::null()).env("NO_COLOR", "1").arg("cas");
    command
}

fn run(mut command: Command) -> Done {
    Done::of(command.output().expect("haul runs"))
}

/// `haul cas …` in the directory that holds both stores; the source stays as it was.
#[track_caller]
fn run_in(store: &OldStore, arguments: &str) -> Done {
    let before = store.seen();
    let mut command = haul();
    command.args(arguments.split_whitespace()).current_dir(store.place());
    let done = run(command);
    assert!(store.seen() == before, "the source is untouched: {arguments}");
    done
}

const MIGRATE: &str = "migrate --source old --target new";

/// Each refusal in the report of the last run: file and reason.
fn refusals(store: &OldStore) -> Vec<(String, String)> {
    let report = fs::read(store.paths().run_directory().report_path()).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("a JSON report");
    let findings = report["findings"].as_array().expect("findings").iter();
    let text = |finding: &Value, field: &str| finding[field].as_str().expect("text").to_owned();
    let refused = findings.filter(|finding| finding["severity"] == "refused");
    let mut found: Vec<_> = refused.map(|finding| (text(finding, "file"), text(finding, "reason"))).collect();
    found.sort();
    found
}

// A source that is in use.

/// Does something once, at the beginning of a phase.
struct At<'a> {
    /// The phase whose start it is, or else the first batch that is written.
    phase: Option<Phase>,
    act: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl<'a> At<'a> {
    fn new(phase: Phase, act: impl FnOnce() + Send + 'a) -> Self {
        Self { phase: Some(phase), act: Mutex::new(Some(Box::new(act))) }
    }

    fn first_batch(act: impl FnOnce() + Send + 'a) -> Self {
        Self { phase: None, act: Mutex::new(Some(Box::new(act))) }
    }
}

impl Observer for At<'_> {
    fn observe(&self, event: &Event) {
        let is_now = match event {
            Event::PhaseStarted { phase, .. } => self.phase == Some(*phase),
            Event::BatchWritten { .. } | Event::Progressed { .. } => self.phase.is_none(),
            _ => false,
        };
        if is_now && let Some(act) = self.act.lock().take() {
            act();
        }
    }
}

fn migrate_observed(
    store: &OldStore,
    options: &MigrateOptions,
    observer: &dyn Observer,
) -> Result<MigrationEnd, Error> {
    let stop = StopToken::new();
    migrate(std::sync::Arc::new(RealDisk), &store.root(), &store.paths(), options, &Control { stop: &stop, observer })
}

/// A link in the place of a blob that is yet to be written is no duplicate of the object.
#[test]
fn what_is_in_the_place_of_a_staged_object_is_not_published() {
    let run = RunOptions {
        batch_records: 1,
        memory_budget_bytes: 1,
        parallel_workers: std::num::NonZeroUsize::MIN,
        ..MigrateOptions::default().run
    };
    let options = MigrateOptions { run, ..MigrateOptions::default() };
    for is_linked in [true, false] {
        let store = store();
        let last = (0..20).max_by_key(|number| object(&store, *number)).unwrap();
        let key = key_of(Algorithm::Cas, &[last; 3_000]);
        let blob = blob_path(&store.paths().staging(), key);
        let observer = At::first_batch(|| {
            fs::create_dir_all(blob.parent().unwrap()).unwrap();
            if is_linked { symlink("/nowhere", &blob) } else { fs::write(&blob, b"foreign") }.unwrap();
        });
        let error = migrate_observed(&store, &options, &observer).unwrap_err();
        assert!(error.to_string().contains("has not put there"), "{error}");
        assert!(!store.paths().target().exists() && fs::symlink_metadata(&blob).is_ok(), "{is_linked}");
        fs::remove_file(&blob).unwrap();
        let again = At::first_batch(|| ());
        assert_eq!(migrate_observed(&store, &options, &again).unwrap().stage, Stage::Published);
        assert!(blob_path(store.paths().target(), key).is_file());
    }
}

#[test]
fn names_that_come_or_go_during_a_run_end_it_unpublished() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("replaced", |path| {
            fs::write(path.with_extension("other"), [9; 3_000]).unwrap();
            fs::rename(path.with_extension("other"), path).unwrap();
        }),
        ("appeared", |path| fs::write(path.with_file_name("a".repeat(64)), b"late").unwrap()),
        ("sidecar removed", |path| fs::remove_file(path.with_extension("meta")).unwrap()),
    ];
    for (what, change) in changes {
        let store = store();
        let observer = At::new(Phase::Run, || change(&object(&store, 7)));
        let error = migrate_observed(&store, &MigrateOptions::default(), &observer).expect_err(what);
        assert!(matches!(error, Error::SourceChanged { .. }), "{what}: {error}");
        assert_eq!(error.exit_code(), exit::BAD_DATA);
        assert!(error.to_string().contains("were added or removed"), "{what}: {error}");
        assert!(error.next_step().unwrap().contains("--restart"));
        assert!(!store.paths().target().exists(), "{what}: nothing is published");
        let refused = i32::from(["replaced", "appeared"].contains(&what)) * 3;
        if what == "appeared" {
            // The path now has another source.
            let again = run_in(&store, MIGRATE).expect(2);
            assert!(again.stderr.contains("another plan"), "{what}: {}", again.stderr);
            run_in(&store, &format!("{MIGRATE} --restart --yes")).expect(refused);
        } else {
            // An object was counted as changed, so everything is read again.
            run_in(&store, MIGRATE).expect(refused);
        }
        run_in(&store, "verify new").expect(0);
    }
}

#[test]
fn an_object_that_is_written_to_during_a_run_is_refused_and_merged_in_later() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("rewritten", |path| fs::write(path, [9; 3_000]).unwrap()),
        ("longer", |path| fs::File::options().append(true).open(path).unwrap().write_all(b"more").unwrap()),
        ("truncated", |path| fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap()),
    ];
    for (what, change) in changes {
        let store = store();
        let path = object(&store, 7);
        let observer = At::new(Phase::Run, || change(&path));
        let end = migrate_observed(&store, &MigrateOptions::default(), &observer).expect(what);
        assert_eq!((end.stage, end.counts.migrated, end.counts.refused_changed), (Stage::Published, 19, 1), "{what}");
        let [(file, _)] = &refusals(&store)[..] else { panic!("{what}: one refusal") };
        assert!(file.ends_with(path.file_name().unwrap().to_str().unwrap()), "{what}: {file}");
        run_in(&store, "verify new").expect(0);
        fs::write(&path, [7; 3_000]).unwrap();
        run_in(&store, &format!("{MIGRATE} --merge --restart --yes")).expect(0);
        run_in(&store, "verify new").expect(0);
        let blob = blob_path(&store.target(), key_of(Algorithm::Cas, &[7; 3_000]));
        assert_eq!(fs::read(blob).unwrap(), [7; 3_000], "{what}");
    }
}

/// A new modification time does not change the content: it still has the digest in its name.
#[test]
fn an_object_that_is_only_touched_during_a_run_is_migrated() {
    let store = store();
    let touch = || {
        let file = fs::File::options().write(true).open(object(&store, 7)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    let observer = At::new(Phase::Run, touch);
    let end = migrate_observed(&store, &MigrateOptions::default(), &observer).unwrap();
    assert_eq!((end.stage, end.counts.migrated, end.counts.refused()), (Stage::Published, 20, 0));
    run_in(&store, "verify new").expect(0);
}

// Paths of the source and the target.

#[test]
fn nested_paths_are_refused_before_anything_is_changed() {
    let store = store();
    let place = store.place();
    fs::create_dir(place.join("links")).unwrap();
    symlink("old", place.join("link")).unwrap();
    symlink("../old/objects", place.join("links/inner")).unwrap();
    symlink("../old", place.join("links/state.migration")).unwrap();
    let before = seen(place);
    for (source, target) in [
        ("old", "old"),
        ("old", "./old/"),
        ("old", "old/new"),
        ("old", "old/objects"),
        ("old", "old/not/there/yet"),
        ("old/objects", "old"),
        ("old", "links/../old"),
        ("old", "links/../old/new"),
        ("links/../old", "old/new"),
        ("old", "link"),
        ("old", "link/new"),
        ("link", "old/new"),
        ("old", "links/inner"),
        ("old", "links/inner/new"),
        ("links/inner", "old"),
    ] {
        for verb in ["migrate", "migrate --dry-run", "plan", "estimate"] {
            let mut command = haul();
            command.args(verb.split(' ')).args(["--source", source, "--target", target]).current_dir(place);
            let done = run(command).expect(2);
            assert!(done.stderr.contains("are inside each other"), "{verb} {source} {target}: {}", done.stderr);
            assert!(done.stderr.contains("next: give a target next to the source"), "{}", done.stderr);
            assert!(seen(place) == before, "{verb} {source} {target}");
        }
    }
    // The run directory next to the target is a link into the source.
    for verb in ["migrate", "migrate --dry-run", "plan", "estimate"] {
        let mut command = haul();
        command.args(verb.split(' ')).args(["--source", "old", "--target", "links/state"]).current_dir(place);
        let done = run(command).expect(2);
        let is_refused = ["are inside each other", "it is a link"].iter().any(|text| done.stderr.contains(text));
        assert!(is_refused && done.stderr.contains("next:"), "{verb}: {}", done.stderr);
        assert!(seen(place) == before, "{verb}");
    }
}

/// The state of a run to `x` is in `x.migration`, so no store of that name can be its source.
#[test]
fn a_source_at_the_path_of_its_run_directory_is_refused() {
    let store = store();
    let place = store.place();
    fs::rename(store.root(), place.join("x.migration")).unwrap();
    let before = seen(place);
    for source in ["x.migration", "x.migration/objects"] {
        let mut command = haul();
        command.args(["migrate", "--source", source, "--target", "x"]).current_dir(place);
        let done = run(command).expect(2);
        assert!(done.stderr.contains("are inside each other"), "{}", done.stderr);
        assert!(seen(place) == before);
    }
}

#[test]
#[ignore = "needs a RAM disk at /dev/shm"]
fn a_target_on_a_ram_disk_takes_copies_and_no_links() {
    let store = store();
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let is_other = elsewhere.path().metadata().unwrap().dev() != store.place().metadata().unwrap().dev();
    assert!(is_other, "/dev/shm is no file system of its own");
    let target = elsewhere.path().join("new");
    let migrate = format!("migrate --source old --target {}", target.display());
    for dry in ["--dry-run ", ""] {
        let linked = run_in(&store, &format!("{migrate} {dry}--link always")).expect(2);
        assert!(linked.stderr.contains("source and target are on different file systems"), "{}", linked.stderr);
        assert!(linked.stderr.contains("next: use --link, which copies what cannot be linked"), "{}", linked.stderr);
        assert!(!target.exists());
    }
    for dry in ["--dry-run ", ""] {
        let copied = run_in(&store, &format!("{migrate} {dry}--link --json")).expect(0);
        assert_eq!((&copied.json()["blobs"]["linked"], &copied.json()["blobs"]["copied"]), (&0.into(), &20.into()));
    }
    run_in(&store, &format!("verify {}", target.display())).expect(0);
    let validate = format!("validate --source old --target {0} --map {0}.migration/key-map.tsv", target.display());
    run_in(&store, &validate).expect(0);
}

#[test]
fn linked_objects_are_the_files_of_the_source() {
    let store = store();
    let old = object(&store, 5);
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    run_in(&store, &format!("{MIGRATE} --link")).expect(0);
    let new = blob_path(&store.target(), key_of(Algorithm::Cas, &[5; 3_000]));
    let (of_old, of_new) = (fs::metadata(&old).unwrap(), fs::metadata(&new).unwrap());
    assert_eq!((of_old.ino(), of_old.nlink(), of_old.mode()), (of_new.ino(), 2, of_new.mode()));
    assert_eq!(of_old.mode() & 0o777, 0o640, "permissions are those of the source");
    let sidecar = fs::metadata(sidecar_path(&store.target(), key_of(Algorithm::Cas, &[5; 3_000]))).unwrap();
    assert_eq!(sidecar.nlink(), 1, "only blobs are shared");
    run_in(&store, "verify new").expect(0);
    // If the old store is written in place, as v0.5 did, the new one changes too. The verification detects it.
    fs::File::options().write(true).open(&old).unwrap().write_all(b"!").unwrap();
    assert_eq!(fs::read(&new).unwrap()[0], b'!');
    let done = run_in(&store, "verify new").expect(65);
    assert!(done.texts().contains("wrong-content"), "{}", done.texts());
    // An object that is replaced by a rename, as later versions do, does not change the new store.
    fs::write(old.with_extension("tmp"), [5; 3_000]).unwrap();
    fs::rename(old.with_extension("tmp"), &old).unwrap();
    assert_eq!(fs::read(&new).unwrap()[0], b'!');
}

// A disk that is full.

#[test]
fn a_full_disk_ends_the_run_which_continues_once_there_is_space() {
    for placement in [Placement::New, Placement::Merge, Placement::Replace] {
        let scene = Scene::new(placement, Durability::Group);
        for phase in [Phase::Scan, Phase::Run, Phase::Seal, Phase::Publish] {
            let disk = scene.disk();
            let used = || disk.snapshot().values().map(|bytes| bytes.len() as u64).sum::<u64>();
            let observer = At::new(phase, || disk.set_capacity(used() + 10));
            let what = || format!("{placement}, full at {phase:?}");
            let error = scene.run_with(&disk, &scene.options, &observer).expect_err("a full disk");
            assert_eq!(error.exit_code(), exit::TEMPORARY, "{error}: {}", what());
            assert!(error.next_step().unwrap().contains("free space"), "{error}: {}", what());
            scene.check_source();
            disk.set_capacity(1 << 30);
            scene.recover(&disk, &what);
        }
    }
}

#[test]
fn a_disk_of_any_size_is_full_or_enough() {
    let scene = Scene::new(Placement::New, Durability::Group);
    let whole: u64 = {
        let disk = scene.disk();
        scene.run(&disk).unwrap();
        disk.snapshot().values().map(|bytes| bytes.len() as u64).sum()
    };
    let mut full = 0;
    for percent in (5..=100).step_by(5) {
        let disk = scene.disk();
        disk.set_capacity(whole * percent / 100);
        let what = || format!("{percent} % of what is needed");
        if let Err(error) = scene.run(&disk) {
            assert_eq!(error.exit_code(), exit::TEMPORARY, "{error}: {}", what());
            full += 1;
        }
        disk.set_capacity(1 << 30);
        scene.recover(&disk, &what);
    }
    scene.check_source();
    assert!(full > 10, "full in {full} of 20 cases");
}

// Unreadable files, and entries that are not files.

/// `haul cas` as a user without access.
fn as_nobody(place: &Path) -> Command {
    let mut command = Nobody::at(place).haul();
    command.arg("cas").current_dir(place);
    command
}

#[test]
fn a_directory_that_may_not_be_read_is_refused_and_the_rest_migrated() {
    let store = store();
    let denied = object(&store, 3).parent().unwrap().parent().unwrap().to_path_buf();
    let objects =
        u64::try_from(tree(&denied).values().filter(|node| matches!(node, Node::File { .. })).count()).unwrap() / 2;
    assert!(objects > 0);
    let mut command = as_nobody(store.place());
    fs::set_permissions(&denied, fs::Permissions::from_mode(0o000)).unwrap();
    command.args(["migrate", "--source", "old", "--target", "new", "--json", "--progress", "none"]);
    let done = run(command).expect(3);
    fs::set_permissions(&denied, fs::Permissions::from_mode(0o755)).unwrap();
    let counts = &done.json()["counts"];
    assert_eq!((&counts["migrated"], &counts["refused_unreadable"]), (&Value::from(20 - objects), &Value::from(1)));
    let [(file, _)] = &refusals(&store)[..] else { panic!("one refusal") };
    assert!(denied.ends_with(Path::new(file).file_name().unwrap()), "{file}");
    run_in(&store, "verify new").expect(0);
    // A run with access adds the missing objects.
    let done = run_in(&store, &format!("{MIGRATE} --merge --restart --yes --json")).expect(0);
    let counts = &done.json()["counts"];
    assert_eq!(
        (&counts["migrated"], &counts["duplicate_in_target"]),
        (&Value::from(objects), &Value::from(20 - objects))
    );
    run_in(&store, "verify new").expect(0);
}

#[test]
fn a_read_only_target_is_a_clear_error() {
    let store = store();
    let mut command = as_nobody(store.place());
    fs::create_dir(store.place().join("shut")).unwrap();
    fs::set_permissions(store.place().join("shut"), fs::Permissions::from_mode(0o555)).unwrap();
    command.args(["migrate", "--source", "old", "--target", "shut/new"]).current_dir(store.place());
    let done = run(command).expect(1);
    assert!(done.stderr.contains("shut") && done.stderr.contains("next: "), "{}", done.stderr);
    assert_eq!(fs::read_dir(store.place().join("shut")).unwrap().count(), 0);
}

/// An entry of each kind that is not a file, and objects that do not match their names, each with its refusal.
fn spoil(store: &OldStore) -> Vec<(String, &'static str)> {
    let directory = store.root().join("objects/ab/cd");
    fs::create_dir_all(&directory).unwrap();
    let named = |digit: &str| directory.join(format!("abcd{}", digit.repeat(60)));
    let made = Command::new("mkfifo").arg(named("1")).status().expect("mkfifo");
    assert!(made.success());
    // The path of a socket is short.
    let listener_path = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(listener_path.path().join("s")).unwrap();
    fs::rename(listener_path.path().join("s"), named("2")).unwrap();
    symlink(object(store, 1), named("3")).unwrap();
    symlink("nowhere", named("4")).unwrap();
    fs::create_dir(named("5")).unwrap();
    fs::write(named("6"), b"not what its name says").unwrap();
    fs::write(named("7"), b"").unwrap();
    let expected = [
        ("1", "a pipe, socket or device with an object's name"),
        ("2", "a pipe, socket or device with an object's name"),
        ("3", "a symbolic link with an object's name"),
        ("4", "a symbolic link with an object's name"),
        ("5", "a directory with an object's name"),
        ("6", "none of the digests of its 22 bytes is its name"),
        ("7", "none of the digests of its 0 bytes is its name"),
    ];
    expected.map(|(digit, why)| (format!("ab/cd/abcd{}", digit.repeat(60)), why)).into()
}

#[test]
fn entries_that_are_not_files_are_refused_and_not_opened() {
    let store = store();
    let expected = spoil(&store);
    let done = run_in(&store, &format!("{MIGRATE} --json --progress none")).expect(3);
    let document = done.json();
    assert_eq!(document["exit_code"], 3);
    let counts = &document["counts"];
    for (name, count) in [("migrated", 20), ("refused_not_a_file", 5), ("refused_unidentified", 2)] {
        assert_eq!(counts[name], count, "{name}");
    }
    assert!(document["report"].as_str().unwrap().ends_with("report.json"));
    let found = refusals(&store);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((file, reason), (name, why)) in found.iter().zip(&expected) {
        assert!(file == name && reason.starts_with(why), "{file}: {reason}");
    }
    run_in(&store, "verify new").expect(0);
}

#[test]
fn a_strict_run_with_refusals_publishes_nothing_and_a_later_run_without_strict_does() {
    let store = store();
    let expected = spoil(&store);
    let strict = run_in(&store, &format!("{MIGRATE} --strict")).expect(65);
    assert!(strict.stderr.contains("7 findings") && strict.stderr.contains("leave out --strict"), "{}", strict.stderr);
    assert!(!store.paths().target().exists(), "nothing is published");
    assert_eq!(refusals(&store).len(), expected.len(), "the report names each");
    run_in(&store, MIGRATE).expect(3);
    run_in(&store, "verify new").expect(0);
}

#[test]
fn names_that_are_not_utf8_are_migrated() {
    let store = store();
    let not_text = |prefix: &str| OsString::from_vec([prefix.as_bytes(), b"-\xff\xfe"].concat());
    fs::write(store.root().join("objects").join(not_text("file")), b"foreign").unwrap();
    let key = key_of(Algorithm::Sha256, b"another").to_string();
    store.object(Algorithm::Sha256, b"another", Shape::TwoLevels);
    let shard = store.root().join("objects").join(&key[..2]).join(&key[2..4]);
    fs::write(shard.join(OsStr::from_bytes(&[b"\xff", key.as_bytes()].concat()[..64])), b"foreign").unwrap();
    fs::create_dir(store.root().join("objects").join(OsStr::from_bytes(b"\xff\xfe"))).unwrap();
    let (source, target) = (store.place().join(not_text("old")), store.place().join(not_text("new")));
    fs::rename(store.root(), &source).unwrap();
    let before = seen(&source);
    let mut command = haul();
    command.args(["migrate", "--json", "--progress", "none", "--source"]).arg(&source).arg("--target").arg(&target);
    let document = run(command).expect(0).json();
    let counts = &document["counts"];
    assert_eq!((&counts["migrated"], &counts["skipped_foreign"]), (&Value::from(21), &Value::from(3)));
    let report = document["report"].as_str().expect("text").to_owned();
    assert!(report.ends_with("report.json"));
    assert_eq!(seen(&source), before, "the source is untouched");
    for verb in [["verify"].as_slice(), &["status", "--json"], &["clean", "--yes", "--json"], &["rollback", "--yes"]] {
        let mut command = haul();
        command.args(verb).arg(&target);
        run(command).expect(0);
    }
    assert!(!target.exists());
}

// A target that is damaged.

/// Removes a blob and its sidecar from the target, as the runbook says for a damaged object.
fn lose_object(store: &OldStore, number: u8) {
    let key = key_of(Algorithm::Cas, &[number; 3_000]);
    for path in [blob_path(&store.target(), key), sidecar_path(&store.target(), key)] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_damaged_object_of_the_target_is_migrated_again() {
    let store = store();
    run_in(&store, MIGRATE).expect(0);
    lose_object(&store, 5);
    run_in(&store, "verify new").expect(65);
    run_in(&store, "verify new --repair --yes").expect(65);
    let done = run_in(&store, &format!("{MIGRATE} --merge --restart --yes --json")).expect(0);
    assert_eq!(done.json()["counts"]["migrated"], 1);
    run_in(&store, "verify new").expect(0);
}

#[test]
fn a_restart_into_a_damaged_store_discards_nothing() {
    let store = store();
    run_in(&store, MIGRATE).expect(0);
    let key = key_of(Algorithm::Cas, &[5; 3_000]);
    let before = fs::read(blob_path(&store.target(), key)).unwrap();
    fs::write(blob_path(&store.target(), key), b"damaged").unwrap();
    let refused = run_in(&store, &format!("{MIGRATE} --merge --restart --yes")).expect(65);
    assert!(refused.stderr.contains("new has "), "{}", refused.stderr);
    assert!(store.paths().run_directory().checkpoint_path().exists());
    fs::write(blob_path(&store.target(), key), before).unwrap();
    // The run that published can still be rolled back.
    run_in(&store, "rollback new --yes").expect(0);
    assert!(!store.paths().target().exists());
}

// The output of a verification on the command line.

#[test]
fn faults_that_the_reference_misses_end_a_verification_with_65() {
    type Damage = fn(&V2Store);
    let rows: [(&str, Damage); 6] = [
        ("blob-missing", |store| fs::remove_file(store.blob(4)).unwrap()),
        ("blob-missing", |store| {
            fs::remove_file(store.blob(4)).unwrap();
            fs::remove_file(store.sidecar(4)).unwrap();
        }),
        ("index-missing", |store| fs::remove_file(store.index()).unwrap()),
        ("index-empty", |store| fs::write(store.index(), b"").unwrap()),
        ("index-torn", |store| store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20))),
        ("objects-missing", |store| fs::remove_dir_all(store.root().join("objects")).unwrap()),
    ];
    for (fault, damage) in rows {
        let store = V2Store::new();
        damage(&store);
        let mut command = haul();
        command.args(["verify", "--json", "--progress", "none"]).arg(store.root());
        let document = run(command).expect(65).json();
        assert!(document["faults_count"][fault].as_u64().is_some_and(|count| count > 0), "{fault}: {document}");
        assert_eq!(document["exit_code"], 65);
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = haul();
    command.arg("verify").arg(directory.path().join("absent"));
    let done = run(command).expect(2);
    assert!(done.stderr.contains("absent") && done.stderr.contains("next: "), "{}", done.stderr);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is created");
}
