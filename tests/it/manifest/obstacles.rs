//! Files that cannot be replaced: immutable, sticky, mounted, on a read-only part. Each is refused and named, and the
//! others of the tree are migrated, rolled back and settled.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::manifest_files::manifest;
use haul::durable::{
    Disk, FailingSource, InjectedFault, RealDisk, SimulatedDisk, SourceFault, SourceOperation, read_file,
};
use haul::manifest::Registry;
use haul::manifest::migrate::dry_run::{DryRunEnd, dry_run};
use haul::manifest::migrate::{MigrationEnd, migrate};
use haul::manifest::rollback::{RollbackEnd, RollbackRequest, rollback};
use haul::manifest::run_options::MigrateOptions;
use haul::manifest::status::status;
use haul::manifest::verify::report::VerifyEnd;
use haul::manifest::verify::{VerifyRequest, verify};
use haul::migration::{Durability, FirstFindings, RunOptions, Start};
use haul::pipeline::{Control, Silent, StopToken};

const APP: &str = "/app";
const FILES: u32 = 4;
const FIXED: u32 = 1;

fn path(run: u32) -> PathBuf {
    Path::new(APP).join(format!("artifacts/job/{run}/manifest.json"))
}

fn old(run: u32) -> Vec<u8> {
    manifest("job", &run.to_string(), "1.0.0").into_bytes()
}

fn bytes(disk: &SimulatedDisk, run: u32) -> Vec<u8> {
    read_file(disk, &path(run), 1 << 20).unwrap()
}

fn siblings(disk: &SimulatedDisk, run: u32) -> usize {
    disk.list(path(run).parent().unwrap()).unwrap().len()
}

fn scene() -> SimulatedDisk {
    // A verification sorts in the directory for temporary files.
    let disk = SimulatedDisk::with_directories(&[Path::new(APP), &std::env::temp_dir()]);
    (0..FILES).for_each(|run| disk.install_file(&path(run), &old(run)));
    disk
}

fn options(durability: Durability, start: Start) -> MigrateOptions {
    let run = RunOptions { batch_records: 1, checkpoint_interval_records: 4, start, ..MigrateOptions::default().run };
    MigrateOptions { durability, now: Some(crate::support::manifest::NOW.parse().unwrap()), run, ..Default::default() }
}

fn with_control<T>(body: impl FnOnce(&Control<'_>) -> T) -> T {
    body(&Control { stop: &StopToken::new(), observer: &Silent })
}

fn run_with(disk: &SimulatedDisk, durability: Durability, start: Start) -> MigrationEnd {
    let options = options(durability, start);
    with_control(|control| migrate(Arc::new(disk.clone()), Path::new(APP), &options, control)).unwrap()
}

fn run(disk: &SimulatedDisk) -> MigrationEnd {
    run_with(disk, Durability::Group, Start::Auto)
}

fn look(disk: &SimulatedDisk) -> DryRunEnd {
    let (tree, options) = (disk.root(Path::new(APP)).unwrap(), options(Durability::Group, Start::Auto));
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    with_control(|control| dry_run(&disk, (Path::new(APP), tree), &options, control)).unwrap()
}

fn back(disk: &SimulatedDisk, run_id: &str) -> RollbackEnd {
    let (files, registry) = (BTreeSet::new(), Registry::built_in());
    let request = RollbackRequest { run_id, files: &files, registry: &registry, durability: Durability::Group };
    with_control(|control| rollback(Arc::new(disk.clone()), Path::new(APP), request, control)).unwrap()
}

fn verified(disk: &SimulatedDisk) -> VerifyEnd {
    let options = options(Durability::Group, Start::Auto);
    let whole = VerifyRequest { subset: haul::migration::Subset::ALL, sample: None };
    with_control(|control| verify(Arc::new(disk.clone()), Path::new(APP), &whole, &options, control)).unwrap()
}

fn codes(findings: &FirstFindings) -> Vec<&str> {
    findings.first.iter().filter_map(|finding| finding.id.as_deref()).collect()
}

#[test]
fn an_immutable_manifest_is_refused_and_the_others_are_migrated() {
    for durability in [Durability::None, Durability::Group, Durability::Each] {
        let disk = scene();
        disk.set_immutable(&path(FIXED), true);
        let foretold = look(&disk);
        let end = run_with(&disk, durability, Start::Auto);
        assert_eq!((end.counts.migrated, end.counts.refused_failed), (3, 1), "{durability}");
        assert_eq!((foretold.counts, codes(&foretold.findings)), (end.counts, codes(&end.details.findings)));
        assert_eq!(codes(&end.details.findings), ["E_IO"]);
        assert_eq!((bytes(&disk, FIXED), siblings(&disk, FIXED)), (old(FIXED), 1), "nothing is left next to it");
        // Neither a second run nor one that starts over is stopped by it.
        assert!(run_with(&disk, durability, Start::Auto).already_done);
        assert_eq!(run_with(&disk, durability, Start::Restart).counts.refused_failed, 1);
        disk.set_immutable(&path(FIXED), false);
        assert_eq!(run_with(&disk, durability, Start::Auto).counts.migrated, 1);
        assert_eq!(verified(&disk).findings.count.fatal, 0);
    }
}

#[test]
fn an_immutable_manifest_is_refused_on_the_way_back_and_can_be_restored_later() {
    let disk = scene();
    let run_id = run(&disk).run_id;
    let new = bytes(&disk, FIXED);
    disk.set_immutable(&path(FIXED), true);
    let end = back(&disk, &run_id);
    assert_eq!((end.restored, end.refused, end.refused_by_disk), (3, 1, 1));
    assert_eq!((codes(&end.findings), siblings(&disk, FIXED)), (vec!["E_IO"], 2));
    assert_eq!(bytes(&disk, FIXED), new);
    let checked = verified(&disk);
    assert_eq!(
        (checked.ledger_files, checked.backups, checked.findings.first.len()),
        (1, 1, 0),
        "its line is in force"
    );
    disk.set_immutable(&path(FIXED), false);
    let end = back(&disk, &run_id);
    assert_eq!((end.restored, end.already_restored, end.refused), (1, 3, 0));
    (0..FILES).for_each(|run| assert_eq!(bytes(&disk, run), old(run)));
}

/// A run is killed, then a file that it was about to replace becomes immutable.
#[test]
fn an_unfinished_run_with_an_immutable_manifest_is_continued_left_and_rolled_back() {
    let first = scene();
    run(&first);
    let new: Vec<_> = (0..FILES).map(|run| bytes(&first, run)).collect();
    for killed_after in 0..first.operations() {
        let killed = first.kill_image(killed_after);
        killed.set_immutable(&path(FIXED), true);
        let fixed = bytes(&killed, FIXED);
        let changed = verified(&killed).findings;
        assert!(!codes(&changed).contains(&"W_CHANGED"), "{killed_after}: {:?}", changed.first);
        for start in [Start::Auto, Start::Restart] {
            let disk = killed.kill_image(0);
            disk.set_immutable(&path(FIXED), true);
            run_with(&disk, Durability::Group, start);
            for run in (0..FILES).filter(|&run| run != FIXED) {
                assert_eq!(bytes(&disk, run), new[run as usize], "{killed_after}, {start:?}");
            }
            assert_eq!(bytes(&disk, FIXED), fixed);
        }
        let Some(unfinished) = status(&killed, Path::new(APP)).unwrap().state.run else { continue };
        let end = back(&killed, &unfinished.run_id);
        assert_eq!((bytes(&killed, FIXED), end.refused), (fixed.clone(), u64::from(fixed != old(FIXED))));
        let restored = (0..FILES).filter(|&run| run != FIXED).all(|run| bytes(&killed, run) == old(run));
        assert!(restored, "{killed_after}");
    }
}

#[test]
fn an_operation_that_is_refused_once_costs_one_file_at_most() {
    let reference = scene();
    run(&reference);
    for operation in 0..reference.operations() {
        let disk = scene();
        disk.fail_operation(operation, InjectedFault::Refused);
        let options = options(Durability::Group, Start::Auto);
        let end = with_control(|control| migrate(Arc::new(disk.clone()), Path::new(APP), &options, control));
        assert!(end.is_err() || end.is_ok_and(|end| end.counts.migrated + 1 >= u64::from(FILES)), "{operation}");
        run(&disk);
        for number in 0..FILES {
            assert_eq!(bytes(&disk, number), bytes(&reference, number), "{operation}");
            assert_eq!(siblings(&disk, number), 2, "{operation}");
        }
    }
}

/// Migrates a tree of which some reads fail. Returns how many files were migrated and refused; `None` if the run ended.
fn migrated_with_failing_reads(failing: u64, code: i32) -> Option<(u64, u64)> {
    let root = crate::support::manifest::Root::new();
    (0..8).for_each(|run| _ = root.put("job", &run.to_string()));
    let fault = SourceFault { operation: SourceOperation::Read, after: 2, failing, code };
    let source = FailingSource::new(root.path(), fault);
    let options = options(Durability::Group, Start::Auto);
    let end = with_control(|control| migrate(Arc::new(RealDisk), root.path(), &options, control));
    assert!(source.has_failed());
    end.ok().map(|end| (end.counts.migrated, end.counts.refused_failed))
}

#[test]
fn one_bad_sector_costs_one_file_and_a_failing_disk_ends_the_run() {
    // Each file is read twice.
    assert_eq!(migrated_with_failing_reads(1, libc::EIO), Some((8, 0)));
    assert_eq!(migrated_with_failing_reads(2, libc::EIO), Some((7, 1)));
    assert_eq!(migrated_with_failing_reads(4, libc::EIO), Some((6, 2)));
    assert_eq!(migrated_with_failing_reads(6, libc::EIO), None);
    for code in [libc::EMFILE, libc::ENOMEM, libc::ESTALE, libc::ENODEV] {
        assert_eq!(migrated_with_failing_reads(1, code), None);
    }
}

mod as_root {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::process::Command;

    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    use serde_json::Value;

    use super::*;
    use crate::support::haul::{Done, HAUL};
    use crate::support::manifest::{NOW, Root};
    use crate::support::nobody::{Nobody, give_away};

    /// A file that is immutable until this drops.
    struct Immutable(PathBuf);

    impl Immutable {
        fn new(path: PathBuf) -> Self {
            Self::set(&path, true);
            Self(path)
        }

        fn set(path: &Path, is_immutable: bool) {
            let file = fs::File::open(path).unwrap();
            let flags = ioctl_getflags(&file).unwrap();
            let flags = if is_immutable { flags | IFlags::IMMUTABLE } else { flags - IFlags::IMMUTABLE };
            ioctl_setflags(&file, flags).expect("a file system with immutable files");
        }
    }

    impl Drop for Immutable {
        fn drop(&mut self) {
            Self::set(&self.0, false);
        }
    }

    fn counts(done: &Done) -> (Value, Vec<String>) {
        (done.json()["counts"].clone(), done.codes())
    }

    #[test]
    #[ignore = "needs root"]
    fn an_immutable_file_is_refused_by_every_verb_and_stops_none() {
        let root = Root::new();
        ["a", "b", "c"].into_iter().for_each(|run| drop(root.put("job", run)));
        let held = Immutable::new(root.artifacts().join("job/b/manifest.json"));
        let foretold = root.haul("migrate", &["--dry-run", "--json"]).expect(3);
        let done = root.migrate(&[]).expect(3);
        assert_eq!(counts(&foretold), counts(&done));
        assert_eq!((&done.json()["counts"]["migrated"], done.codes()), (&2.into(), vec!["E_IO".to_owned()]));
        root.migrate(&["--restart", "--yes"]).expect(3);
        root.haul("verify", &[]).expect(0);
        drop(held);
        let run = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
        let _held = Immutable::new(root.artifacts().join("job/b/manifest.json"));
        let refused = root.haul("rollback", &["--run", &run, "--yes", "--json"]).expect(3);
        assert_eq!((refused.codes(), &refused.json()["refused_by_disk"]), (vec!["E_IO".to_owned()], &1.into()));
    }

    #[test]
    #[ignore = "needs root"]
    fn a_file_of_another_user_in_a_sticky_directory_is_refused_by_the_dry_run_and_by_the_run() {
        let root = Root::new();
        let files = ["a", "b"].map(|run| root.put("job", run));
        for directory in files[0].ancestors().skip(1).take(3).chain(files[1].ancestors().skip(1).take(1)) {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o1777)).unwrap();
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let nobody = Nobody::at(root.path());
        give_away(&files[0]);
        chown(&files[1], Some(12_345), Some(12_345)).unwrap();
        let mut seen = Vec::new();
        for arguments in [&["--dry-run"][..], &[]] {
            let mut command = nobody.haul();
            command.args(["manifest", "migrate"]).arg(root.path()).args(["--now", NOW, "--json", "--progress", "none"]);
            seen.push(counts(&Done::of(command.args(arguments).output().unwrap()).expect(3)));
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!((&seen[0].0["migrated"], &seen[0].1), (&1.into(), &vec!["E_IO".to_owned()]));
    }

    /// Runs haul where one job is mounted read-only, and something is mounted on one manifest.
    fn mounted(root: &Root, verb: &str, arguments: &[&str]) -> Done {
        let script = "cd \"$1\" && mount --bind job/shut job/shut && mount -o remount,bind,ro job/shut \
            && mount --bind job/busy/manifest.json job/busy/manifest.json && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(root.artifacts());
        command.args([HAUL, "manifest", verb]).arg(root.path()).args(arguments).args(["--json", "--progress", "none"]);
        Done::of(command.output().expect("the program unshare"))
    }

    #[test]
    #[ignore = "needs root and the program unshare"]
    fn a_read_only_part_and_a_mounted_file_are_refused_forward_and_back() {
        let root = Root::new();
        ["busy", "free", "shut"].into_iter().for_each(|run| drop(root.put("job", run)));
        let foretold = mounted(&root, "migrate", &["--dry-run"]).expect(3);
        let done = mounted(&root, "migrate", &[]).expect(3);
        assert_eq!(counts(&foretold), counts(&done));
        assert_eq!((&done.json()["counts"]["migrated"], done.codes().len()), (&1.into(), 2));
        let run = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
        let back = mounted(&root, "rollback", &["--run", &run, "--yes"]).expect(3).json();
        assert_eq!((&back["restored"], &back["refused_by_disk"]), (&0.into(), &2.into()));
        assert_eq!(root.haul("rollback", &["--run", &run, "--yes", "--json"]).expect(0).json()["restored"], 2);
    }
}
