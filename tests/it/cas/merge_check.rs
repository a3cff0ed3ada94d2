//! A store is verified before a merge into it, and staged objects can be read back in full.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::read_only::ReadOnly;
use crate::support::space_runs::disk;
use crate::support::v2_store::{OBJECTS, V2Store};
use haul::cas::Algorithm;
use haul::cas::format::digest::key_of;
use haul::cas::migrate::dry_run::{DryRunEnd, dry_run};
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::{MigrateOptions, Placement, ReadBack};
use haul::cas::paths::TargetPaths;
use haul::cas::verify::{VerifyRequest, verify_store};
use haul::durable::Disk;
use haul::migration::{Error, RunOptions, Stage, Start, exit};
use haul::pipeline::{Control, Event, Observer, Phase, Silent, StopToken};

/// An old store and a v2 store of fourteen objects. The old one has two new objects and one that the v2 store has too.
fn old_store(store: &V2Store) -> PathBuf {
    let root = store.directory().join("old");
    fs::create_dir_all(&root).unwrap();
    for content in [&b"hello"[..], b"new", b"newer"] {
        fs::write(root.join(key_of(Algorithm::Sha256, content).to_string()), content).unwrap();
    }
    root
}

fn merging() -> MigrateOptions {
    MigrateOptions { placement: Placement::Merge, ..MigrateOptions::default() }
}

fn merge_with(store: &V2Store, options: &MigrateOptions, observer: &dyn Observer) -> Result<MigrationEnd, Error> {
    let stop = StopToken::new();
    let paths = TargetPaths::new(&store.root()).unwrap();
    migrate(disk(), &old_store(store), &paths, options, &Control { stop: &stop, observer })
}

fn merge(store: &V2Store) -> Result<MigrationEnd, Error> {
    merge_with(store, &merging(), &Silent)
}

fn errors(store: &V2Store) -> u64 {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    verify_store(&store.root(), &VerifyRequest::WHOLE, &MigrateOptions::default(), &control).unwrap().errors
}

#[test]
fn a_sound_store_is_merged_into() {
    for read_back in [ReadBack::Index, ReadBack::Full] {
        let store = V2Store::new();
        let end = merge_with(&store, &MigrateOptions { read_back, ..merging() }, &Silent).unwrap();
        assert_eq!((end.stage, end.counts.migrated, end.counts.duplicate_in_target), (Stage::Published, 2, 1));
        assert_eq!(errors(&store), 0);
        assert_eq!(fs::read_to_string(store.index()).unwrap().lines().count(), OBJECTS + 2);
    }
}

type Damage = fn(&V2Store);

/// Damage that no merge can repair.
const DAMAGES: [Damage; 5] = [
    |store| store.edit(&store.blob(4), |bytes| bytes[0] ^= 1),
    |store| fs::remove_file(store.sidecar(4)).unwrap(),
    |store| fs::remove_file(store.blob(4)).unwrap(),
    |store| store.edit(&store.index(), |bytes| bytes.extend(b"foreign\n")),
    // The object of this line is unknown.
    |store| {
        let line = store.line(4);
        store.replace(&store.index(), &format!("{line}\n"), "");
        store.edit(&store.index(), |bytes| bytes.extend(br#"{"digest":"aa"#));
    },
];

#[test]
fn a_damaged_store_is_refused_before_anything_is_staged() {
    for damage in DAMAGES {
        let store = V2Store::new();
        damage(&store);
        let before = tree(&store.root());
        let error = merge(&store).unwrap_err();
        assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
        assert!(error.next_step().unwrap().contains("haul cas verify --repair"), "{error}");
        assert_eq!(tree(&store.root()), before);
        let paths = TargetPaths::new(&store.root()).unwrap();
        assert!(!paths.staging().exists() && !paths.verification().exists());
    }
}

fn dry_merge(store: &V2Store, old: &Path, observer: &dyn Observer, stop: &StopToken) -> Result<DryRunEnd, Error> {
    let paths = TargetPaths::new(&store.root()).unwrap();
    let before = tree(store.directory());
    let disk: Arc<dyn Disk> = Arc::new(ReadOnly);
    let end = dry_run(&disk, old, &paths, &merging(), &Control { stop, observer });
    assert_eq!(tree(store.directory()), before, "nothing is written");
    end
}

#[test]
fn a_dry_run_refuses_a_damaged_store_as_the_run_does() {
    let store = V2Store::new();
    let old = old_store(&store);
    let end = dry_merge(&store, &old, &Silent, &StopToken::new()).unwrap();
    assert_eq!((end.counts.migrated, end.counts.duplicate_in_target), (2, 1));
    store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20));
    dry_merge(&store, &old, &Silent, &StopToken::new()).expect("a run repairs a torn last line");
    for damage in DAMAGES {
        let store = V2Store::new();
        let old = old_store(&store);
        damage(&store);
        let dry = dry_merge(&store, &old, &Silent, &StopToken::new()).unwrap_err();
        let real = merge(&store).unwrap_err();
        assert_eq!(dry.exit_code(), exit::BAD_DATA, "{dry}");
        assert_eq!((dry.to_string(), dry.next_step()), (real.to_string(), real.next_step()));
    }
}

#[test]
fn a_dry_run_can_be_stopped_while_the_target_is_verified() {
    let store = V2Store::new();
    let old = old_store(&store);
    let observer = StopAtVerification(StopToken::new());
    let error = dry_merge(&store, &old, &observer, &observer.0).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
}

#[test]
fn a_torn_last_line_is_repaired_by_the_merge() {
    for cut in [1, 20, 100] {
        let store = V2Store::new();
        store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - cut));
        assert!(errors(&store) > 0);
        assert_eq!(merge(&store).unwrap().stage, Stage::Published, "{cut} bytes are cut off");
        assert_eq!(errors(&store), 0);
    }
}

/// Damages a staged blob after the store is sealed.
struct DamageBehindSeal(PathBuf);

impl Observer for DamageBehindSeal {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::PhaseEnded { phase: Phase::Seal }) {
            fs::write(haul::cas::paths::blob_path(&self.0, key_of(Algorithm::Cas, b"newer")), b"other").unwrap();
        }
    }
}

#[test]
fn staged_objects_are_read_back_in_full_on_request() {
    for placement in [Placement::New, Placement::Merge] {
        let store = V2Store::new();
        if placement == Placement::New {
            fs::remove_dir_all(store.root()).unwrap();
        }
        let paths = TargetPaths::new(&store.root()).unwrap();
        let options = MigrateOptions { placement, read_back: ReadBack::Full, ..MigrateOptions::default() };
        let error = merge_with(&store, &options, &DamageBehindSeal(paths.staging())).unwrap_err();
        assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
        assert!(error.to_string().contains(&key_of(Algorithm::Cas, b"newer").to_string()), "{error}");
        let again = MigrateOptions { run: RunOptions { start: Start::Restart, ..options.run }, ..options };
        assert_eq!(merge_with(&store, &again, &Silent).unwrap().stage, Stage::Published);
        assert_eq!(errors(&store), 0);
    }
}

/// Requests a stop during a verification.
struct StopAtVerification(StopToken);

impl Observer for StopAtVerification {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::PhaseStarted { phase: Phase::Verify, .. }) {
            self.0.request();
        }
    }
}

#[test]
fn a_stop_while_the_target_is_verified_stages_nothing() {
    let store = V2Store::new();
    let (old, paths) = (old_store(&store), TargetPaths::new(&store.root()).unwrap());
    let observer = StopAtVerification(StopToken::new());
    let control = Control { stop: &observer.0, observer: &observer };
    let end = migrate(Arc::new(haul::durable::RealDisk), &old, &paths, &merging(), &control).unwrap();
    assert!(end.stopped && !end.resumed && !paths.staging().exists());
    assert_eq!(merge(&store).unwrap().stage, Stage::Published);
    assert_eq!(errors(&store), 0);
}
