//! Faults around a migration of manifests, through the real binary, or through the library if a disk has to fail.
//! `tests/kill/manifest.rs` covers `kill -9` at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::haul::Done;
use crate::support::manifest::{NOW, Root, manifests};
use crate::support::manifest_files::manifest;
use crate::support::nobody::{Nobody, give_away};
use haul::durable::{Disk, InjectedFault, RealDisk, SimulatedDisk, read_file};
use haul::manifest::Registry;
use haul::manifest::migrate::{migrate, run_directory};
use haul::manifest::rollback::{RollbackRequest, rollback};
use haul::manifest::run_options::MigrateOptions;
use haul::migration::{Durability, RunOptions, exit};
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn run_id(root: &Root) -> String {
    root.haul("status", &["--json"]).expect(0).json()["run"]["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_unknown_or_lower_target_is_one_error_and_nothing_is_touched() {
    let root = Root::new();
    root.put("job", "run");
    for target in ["9.9.9", "0.9.0", "1.2", ""] {
        root.haul("migrate", &["--target-version", target]).expect(2);
    }
    assert!(!root.path().join("migration").exists());
    root.put_bytes("job", "new", manifest("job", "new", "1.2.0").as_bytes());
    let done = root.migrate(&["--target-version", "1.1.0"]).expect(3);
    assert_eq!(done.codes(), ["E_DOWNGRADE"]);
}

#[test]
fn a_tree_may_have_no_manifests_but_must_exist() {
    let root = Root::new();
    root.migrate(&[]).expect(65);
    assert_eq!(root.migrate(&["--allow-empty"]).expect(0).json()["records"], 0);
    assert_eq!(root.haul("migrate", &["--compat", "--list-versions"]).expect(0).stdout, "No manifests found.\n");
    fs::remove_dir(root.artifacts()).unwrap();
    let done = root.haul("migrate", &["--compat", "--list-versions"]).expect(1);
    assert!(done.stdout.starts_with("❌ Artifacts directory not found: "), "{}", done.stdout);
    root.haul("migrate", &[]).expect(2);
}

#[test]
fn a_named_file_must_exist_below_the_root() {
    let root = Root::new();
    for outside in ["../m.json", "/etc/passwd", "artifacts/../../x"] {
        root.haul("migrate", &["--manifest", outside]).expect(2);
    }
    let done = root.haul("migrate", &["--compat", "--manifest", "artifacts/none.json"]).expect(1);
    assert!(done.stdout.starts_with("❌ Manifest not found: "), "{}", done.stdout);
}

#[test]
fn links_are_left_alone_and_hard_links_only_broken_on_request() {
    let (root, outside) = (Root::new(), tempfile::tempdir().unwrap());
    let path = root.put("job", "hard");
    let other = outside.path().join("other.json");
    fs::hard_link(&path, &other).unwrap();
    let target = outside.path().join("target.json");
    fs::write(&target, manifest("job", "soft", "1.0.0")).unwrap();
    fs::create_dir(root.artifacts().join("job/soft")).unwrap();
    symlink(&target, root.artifacts().join("job/soft/manifest.json")).unwrap();
    let before = root.files();
    assert_eq!(root.haul("migrate", &["--dry-run", "--json"]).expect(3).codes(), ["E_HARDLINK"]);
    let done = root.migrate(&[]).expect(3);
    assert_eq!(done.codes(), ["E_HARDLINK"]);
    assert_eq!(done.json()["counts"]["skipped_link"], 1);
    assert_eq!(root.files(), before);
    let original = fs::read(&other).unwrap();
    root.migrate(&["--break-links"]).expect(0);
    assert_eq!(fs::read(&other).unwrap(), original, "the other name keeps the old content");
    assert_ne!(fs::read(&path).unwrap(), original);
    fs::write(&other, b"written in place").unwrap();
    let run = run_id(&root);
    root.haul("rollback", &["--run", &run, "--yes"]).expect(0);
    assert_eq!(fs::read(&path).unwrap(), original, "the backup shares nothing with the other name");
    assert_eq!(fs::read_link(root.artifacts().join("job/soft/manifest.json")).unwrap(), target);
}

#[test]
fn a_migration_and_a_rollback_keep_the_mode_of_a_read_only_file() {
    let root = Root::new();
    let path = root.put("job", "run");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    let before = root.files();
    root.migrate(&[]).expect(0);
    assert_eq!(mode(&path), 0o440);
    let run = run_id(&root);
    let migrated = root.files();
    root.haul("rollback", &["--run", &run, "--yes"]).expect(0);
    assert_eq!(manifests(&root.files()), manifests(&before), "the rollback restores bytes and mode");
    root.migrate(&[]).expect(0);
    assert_eq!(root.files(), migrated, "a second migration gives the same bytes and no second backup");
}

#[test]
fn a_migration_and_a_rollback_keep_the_owner() {
    let root = Root::new();
    let path = root.put("job", "run");
    // Only root may change the owner; for other users the test checks that it stays.
    let _ = chown(&path, Some(1234), Some(4321));
    let owner = |path: &Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
    let before = owner(&path);
    root.migrate(&[]).expect(0);
    for name in root.files().keys() {
        assert_eq!(owner(&root.artifacts().join(name)), before, "{}", name.display());
    }
    root.haul("rollback", &["--run", &run_id(&root), "--yes"]).expect(0);
    assert_eq!(owner(&path), before);
}

#[test]
fn an_existing_backup_is_never_replaced() {
    let root = Root::new();
    let path = root.put("job", "run");
    let taken = path.with_file_name("manifest.json.backup");
    fs::write(&taken, b"somebody's").unwrap();
    let original = fs::read(&path).unwrap();
    root.migrate(&["--compat"]).expect(0);
    assert_eq!(fs::read(&taken).unwrap(), b"somebody's");
    let by_content = root.files().into_iter().filter(|(path, _)| path.to_str().unwrap().contains(".v1.0.0."));
    assert_eq!(by_content.map(|(_, (bytes, _))| bytes).collect::<Vec<_>>(), [original]);
}

#[test]
fn a_name_that_only_looks_like_a_backup_refuses_the_file() {
    let root = Root::new();
    let path = root.put("job", "run");
    root.migrate(&[]).expect(0);
    let (name, _) = root.files().into_iter().find(|(path, _)| path.to_str().unwrap().ends_with(".backup")).unwrap();
    let backup = root.artifacts().join(name);
    fs::copy(&backup, &path).unwrap();
    fs::write(&backup, b"other content").unwrap();
    let before = root.files();
    assert_eq!(root.migrate(&[]).expect(3).codes(), ["E_IO"]);
    assert_eq!(root.files(), before);
    let verified = root.haul("verify", &["--json"]).expect(65).json();
    let codes: Vec<_> = verified["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert!(codes.contains(&&"E_BACKUP".into()), "{codes:?}");
}

#[test]
fn a_large_manifest_is_replaced_whole() {
    let root = Root::new();
    let mut document: serde_json::Value = serde_json::from_str(&manifest("job", "run", "1.0.0")).unwrap();
    for number in 0..16_000 {
        let entry = serde_json::json!({ "sha256": format!("{number:064x}"), "bytes": number });
        document["artifacts"][format!("outputs/{number:06}.md")] = entry;
    }
    let path = root.put_bytes("job", "run", serde_json::to_string(&document).unwrap().as_bytes());
    assert!(fs::metadata(&path).unwrap().len() > 1_760_000);
    root.migrate(&[]).expect(0);
    let after: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(after["artifacts"], document["artifacts"]);
    root.haul("verify", &[]).expect(0);
}

#[test]
fn a_second_run_at_the_same_time_names_the_owner_of_the_lock_and_changes_nothing() {
    let root = Root::new();
    root.put("job", "run");
    let directory = run_directory(root.path());
    directory.create(&RealDisk).unwrap();
    let lock = directory.lock(&RealDisk).unwrap();
    let before = root.files();
    let second = root.migrate(&[]).expect(75);
    let owner = format!("pid {}", std::process::id());
    assert!(second.stderr.contains("another run is active: ") && second.stderr.contains(&owner), "{}", second.stderr);
    let done = root.haul("rollback", &["--run", "any", "--yes"]).expect(75);
    assert!(done.stderr.contains(&owner), "{}", done.stderr);
    assert_eq!(root.files(), before);
    drop(lock);
    root.migrate(&[]).expect(0);
}

#[test]
fn a_directory_that_may_not_be_written_is_refused_by_the_dry_run_and_by_the_run() {
    let root = Root::new();
    let shut = root.put("job", "shut").parent().unwrap().to_path_buf();
    let open = root.put("job", "open");
    let job = shut.parent().unwrap();
    for path in [&root.artifacts(), job, &shut, &shut.join("manifest.json"), open.parent().unwrap(), &open] {
        give_away(path);
    }
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o555)).unwrap();
    let nobody = Nobody::at(root.path());
    let before = root.files();
    for arguments in [&["--dry-run"][..], &[]] {
        let mut command = nobody.haul();
        command.args(["manifest", "migrate"]).arg(root.path()).args(["--now", NOW, "--json", "--progress", "none"]);
        let done = Done::of(command.args(arguments).output().unwrap()).expect(exit::REFUSED_RECORDS.into());
        assert_eq!(
            (done.codes(), &done.json()["counts"]["migrated"]),
            (vec!["E_IO".into()], &1.into()),
            "{arguments:?}"
        );
        assert_eq!(root.files() == before, !arguments.is_empty());
    }
    assert_eq!(fs::read(shut.join("manifest.json")).unwrap(), before[Path::new("job/shut/manifest.json")].0);
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_lone_surrogate_is_refused_with_its_place_and_the_file_is_kept() {
    let root = Root::new();
    let text = manifest("job", "run", "1.0.0").replace("\"ok\"", "\n\"\\ud83d\"");
    root.put_bytes("job", "run", text.as_bytes());
    let before = root.files();
    for mode in [&[][..], &["--compat"]] {
        let code = if mode.is_empty() { 3 } else { 1 };
        let done = root.migrate(mode).expect(code);
        assert_eq!(done.codes(), ["E_SURROGATE"]);
        let reason = done.json()["findings"][0]["reason"].as_str().unwrap().to_owned();
        assert!(reason.ends_with("at line 2, column 2"), "{reason}");
        assert_eq!(root.files(), before);
    }
}

#[test]
fn a_rollback_leaves_files_that_have_changed_since() {
    let root = Root::new();
    let (kept, changed) = (root.put("job", "a"), root.put("job", "b"));
    let original = fs::read(&kept).unwrap();
    root.migrate(&[]).expect(0);
    let run = run_id(&root);
    fs::write(&changed, b"{\"later\": true}").unwrap();
    let done = root.haul("rollback", &["--run", &run, "--yes", "--json"]).expect(70);
    assert_eq!((done.codes(), done.json()["restored"].clone()), (vec!["E_CHANGED".to_owned()], 1.into()));
    assert_eq!(fs::read(&kept).unwrap(), original);
    assert_eq!(fs::read(&changed).unwrap(), b"{\"later\": true}");
    root.haul("rollback", &["--run", "none", "--yes"]).expect(2);
}

#[test]
fn the_result_does_not_depend_on_workers_and_batches() {
    let reference = Root::generated(700);
    reference.migrate(&["--parallel-workers", "1"]).expect(0);
    for course in [["--parallel-workers", "4", "--batch-size", "1"], ["--durability", "none", "--batch-size", "999"]] {
        let root = Root::generated(700);
        root.migrate(&course).expect(0);
        assert_eq!(root.files(), reference.files(), "{course:?}");
    }
    let verified = reference.haul("verify", &["--json"]).expect(0).json();
    assert_eq!(verified["ledger_files"], verified["backups"]);
    assert_eq!(reference.migrate(&[]).expect(0).json()["counts"]["migrated"], 0);
}

#[test]
fn backups_are_removed_only_after_their_run_is_verified() {
    let root = Root::generated(20);
    root.migrate(&[]).expect(0);
    let clean = || root.haul("clean", &["--older-than", "0s", "--yes", "--json"]).expect(0).json()["removed"].clone();
    assert_eq!(clean(), 0);
    root.haul("verify", &[]).expect(0);
    let with_backups = root.files();
    assert_ne!(clean(), 0);
    assert_eq!(root.files(), manifests(&root.files()));
    assert_eq!(clean(), 0);
    // After a crash, a backup that was just removed may exist again.
    let (path, (bytes, _)) = with_backups.iter().find(|(path, _)| path.to_str().unwrap().ends_with(".backup")).unwrap();
    fs::write(root.artifacts().join(path), bytes).unwrap();
    assert_eq!(clean(), 1);
    assert_eq!(root.files(), manifests(&root.files()));
    root.haul("verify", &[]).expect(0);
}

/// The next run makes the backups again that a rolled back run has named.
#[test]
fn a_backup_that_two_runs_name_is_checked_and_removed_once() {
    let root = Root::generated(20);
    let first = root.migrate(&[]).expect(0).json();
    root.haul("rollback", &["--yes", "--run", first["run_id"].as_str().unwrap()]).expect(0);
    let second = root.migrate(&[]).expect(0).json();
    let migrated = &second["counts"]["migrated"];
    let verified = root.haul("verify", &["--json"]).expect(0).json();
    assert_eq!((&verified["ledger_files"], &verified["backups"]), (migrated, migrated));
    let clean = || root.haul("clean", &["--older-than", "0s", "--yes", "--json"]).expect(0).json();
    assert_eq!(&clean()["removed"], migrated);
    assert_eq!(root.files(), manifests(&root.files()));
    assert_eq!(root.haul("verify", &["--json"]).expect(0).json()["findings"].as_array().map(Vec::len), Some(0));
    assert_eq!(clean()["removed"], 0);
}

fn scene(runs: u32) -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[Path::new("/app")]);
    for run in 0..runs {
        let path = format!("/app/artifacts/job/{run}/manifest.json");
        disk.install_file(Path::new(&path), manifest("job", &run.to_string(), "1.0.0").as_bytes());
    }
    disk
}

fn options() -> MigrateOptions {
    MigrateOptions {
        durability: Durability::Group,
        now: Some(NOW.parse().unwrap()),
        run: RunOptions { batch_records: 2, checkpoint_interval_records: 4, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    }
}

#[test]
fn a_disk_that_fails_at_any_operation_loses_nothing_and_the_next_run_completes() {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let run = |disk: &SimulatedDisk| migrate(Arc::new(disk.clone()), Path::new("/app"), &options(), &control);
    let path = |run: u32| format!("/app/artifacts/job/{run}/manifest.json");
    let bytes = |disk: &SimulatedDisk, run: u32| read_file(disk, Path::new(&path(run)), 1 << 20).unwrap();
    let reference = scene(3);
    run(&reference).unwrap();
    println!("{} failures", reference.operations() * InjectedFault::ALL.len());
    for operation in 0..reference.operations() {
        for fault in InjectedFault::ALL {
            let disk = scene(3);
            disk.fail_operation(operation, fault);
            let _ = run(&disk);
            for number in 0..3 {
                let old = manifest("job", &number.to_string(), "1.0.0").into_bytes();
                let now = bytes(&disk, number);
                assert!(now == old || now == bytes(&reference, number), "operation {operation}, {fault:?}");
            }
            run(&disk).unwrap_or_else(|e| panic!("operation {operation}, {fault:?}: {e}"));
            for number in 0..3 {
                assert_eq!(bytes(&disk, number), bytes(&reference, number), "operation {operation}, {fault:?}");
                let siblings = disk.list(Path::new(&path(number)).parent().unwrap()).unwrap();
                assert_eq!(siblings.len(), 2, "operation {operation}, {fault:?}: {siblings:?}");
            }
        }
    }
}

/// Writes to the first manifest after it was read, which is with the first batch; the run replaces all manifests at its
/// end.
struct Meddler {
    disk: SimulatedDisk,
    path: PathBuf,
    is_done: AtomicBool,
}

const LATER: &[u8] = b"{\"later\": true}";

impl Observer for Meddler {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. })
            && !self.is_done.swap(true, Ordering::Relaxed)
        {
            self.disk.remove_file(&self.path).unwrap();
            self.disk.create_file(&self.path).unwrap().write_all_at(0, LATER).unwrap();
        }
    }
}

#[test]
fn a_file_that_changes_between_read_and_replace_is_refused_and_the_others_are_not() {
    let (disk, path) = (scene(3), PathBuf::from("/app/artifacts/job/0/manifest.json"));
    let meddler = Meddler { disk: disk.clone(), path: path.clone(), is_done: AtomicBool::new(false) };
    let options = MigrateOptions {
        run: RunOptions { batch_records: 1, checkpoint_interval_records: 1000, ..options().run },
        ..options()
    };
    let control = Control { stop: &StopToken::new(), observer: &meddler };
    let end = migrate(Arc::new(disk.clone()), Path::new("/app"), &options, &control).unwrap();
    assert_eq!((end.counts.migrated, end.counts.refused_failed), (2, 1));
    assert_eq!(end.details.findings.first[0].id.as_deref(), Some("E_CHANGED"));
    assert_eq!(read_file(&disk, &path, 1 << 20).unwrap(), LATER);
}

#[test]
fn a_full_disk_stops_the_run_and_room_lets_it_go_on() {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let disk = scene(8);
    let used: u64 = disk.snapshot().values().map(|bytes| bytes.len() as u64).sum();
    disk.set_capacity(used + 6000);
    let run = || migrate(Arc::new(disk.clone()), Path::new("/app"), &options(), &control);
    assert_eq!(run().unwrap_err().exit_code(), exit::TEMPORARY);
    disk.set_capacity(1 << 30);
    let end = run().unwrap();
    assert!(end.resumed);
    assert_eq!((end.counts.migrated, end.records), (8, 8));
    let request = RollbackRequest {
        run_id: &end.run_id,
        files: &BTreeSet::new(),
        registry: &Registry::built_in(),
        durability: Durability::Group,
    };
    let back = rollback(Arc::new(disk.clone()), Path::new("/app"), request, &control).unwrap();
    assert_eq!(back.restored, 8);
}
