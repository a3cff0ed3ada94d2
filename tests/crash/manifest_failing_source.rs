//! A tree whose manifests cannot be read while it is migrated in place, on the simulated disk. Each manifest is old or
//! new, an error of the process ends the run, and afterwards a tree that works is migrated whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sample::sampled_or_full;
use crate::source_faults::for_each_fault;
use haul::durable::{FailingSource, FaultClass, SimulatedDisk};
use haul::manifest::migrate::{MigrationEnd, migrate};
use haul::manifest::run_options::MigrateOptions;
use haul::migration::{Error, RunOptions, exit};
use haul::pipeline::{Control, Silent, StopToken};

/// No other test has this path: the faults are those of a path, for the whole process.
const ROOT: &str = "/failing-app";
const RUNS: [&str; 5] = ["a/1", "a/2", "b/1", "b/2", "c/1"];

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn scene() -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[Path::new(ROOT)]);
    for run in RUNS {
        let text =
            r#"{"schema_version":"1.0.0","job_id":"j","job_ref":"r","job_type":"t","status":"ok","run_id":"RUN"}"#;
        let path = Path::new(ROOT).join("artifacts").join(run).join("manifest.json");
        disk.install_file(&path, text.replace("RUN", run).as_bytes());
    }
    disk
}

fn run(disk: &SimulatedDisk) -> Result<MigrationEnd, Error> {
    let stop = StopToken::new();
    let options = MigrateOptions {
        now: Some("2026-03-01T12:34:56.789012Z".parse().unwrap()),
        run: RunOptions { batch_records: 1, checkpoint_interval_records: 2, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    migrate(Arc::new(disk.clone()), Path::new(ROOT), &options, &Control { stop: &stop, observer: &Silent })
}

/// The files of the tree. What lies in the run directory has times and ids in it.
fn files(disk: &SimulatedDisk) -> Files {
    disk.snapshot().into_iter().filter(|(path, _)| path.starts_with(Path::new(ROOT).join("artifacts"))).collect()
}

#[test]
fn a_tree_that_cannot_be_read_keeps_every_manifest_old_or_new() {
    let (old, reference) = (files(&scene()), scene());
    run(&reference).unwrap();
    let new = files(&reference);
    let (mut ended, mut refused, mut tolerated) = (0, 0, 0);
    let tried = for_each_fault(sampled_or_full(5, 1), |fault| {
        let disk = scene();
        let failing = FailingSource::new(Path::new(ROOT), fault);
        let result = run(&disk);
        let was_reached = failing.has_failed();
        drop(failing);
        if !was_reached {
            return false;
        }
        let found = files(&disk);
        for (path, bytes) in &old {
            assert!([bytes, &new[path]].contains(&&found[path]), "{} is half: {fault:?}", path.display());
        }
        match result {
            Err(error) => {
                let expected = [exit::FAILED, exit::TEMPORARY, exit::BAD_DATA, exit::USAGE];
                assert!(expected.contains(&error.exit_code()), "{error}, exit {}: {fault:?}", error.exit_code());
                assert!(error.next_step().is_some(), "{error}: {fault:?}");
                ended += 1;
            }
            Ok(end) if end.counts.refused_failed > 0 => {
                let class = FaultClass::of(&std::io::Error::from_raw_os_error(fault.code));
                assert_ne!(class, FaultClass::Run, "single files were refused: {fault:?}");
                refused += 1;
            }
            Ok(_) => tolerated += 1,
        }
        run(&disk).unwrap_or_else(|error| panic!("{error}: {fault:?}"));
        assert!(files(&disk) == new, "the tree is not that of an undisturbed run: {fault:?}");
        true
    });
    println!("{tried} faults, {ended} ended, {refused} refused, {tolerated} tolerated");
    assert!(ended > 0 && refused > 0 && tolerated > 0, "every outcome is met");
}
