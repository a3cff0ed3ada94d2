use std::path::{Path, PathBuf};

use super::*;
use crate::durable::{InjectedFault, ReadRoot, SimulatedDisk, read_file};
use crate::manifest::migrate::document_reader::DocumentReader;
use crate::manifest::migrate::ledger::LedgerPosition;
use crate::manifest::migrate::stage_file::FileStager;
use crate::manifest::migrate::state::CHECKPOINT_KIND;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::scan::{Found, ScanEntry};
use crate::pipeline::Converter;

const MANIFEST: &str = "artifacts/job/run/manifest.json";
const OLD: &[u8] =
    br#"{"schema_version":"1.0.0","job_id":"j","job_ref":"r","job_type":"t","status":"ok","run_id":"a"}"#;

const DURABILITIES: [Durability; 3] = [Durability::None, Durability::Group, Durability::Each];

/// Prepares the one manifest, lets `meanwhile` happen, and replaces it. Gives the disk and how many were replaced.
fn replaced_after(durability: Durability, meanwhile: impl FnOnce(&SimulatedDisk, &Path)) -> (SimulatedDisk, u64) {
    let (root, run_directory) = (Path::new("/app"), Path::new("/app/migration"));
    let disk = SimulatedDisk::with_directories(&[run_directory]);
    disk.install_file(&root.join(MANIFEST), OLD);
    let tree = Arc::new(WritableTree::open(&disk, root, durability).unwrap());
    let options = MigrateOptions::default();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let preparer = FileStager {
        tree: tree.clone(),
        transformer: options.transformer(now).unwrap(),
        mode: options.transform.mode,
        break_links: false,
        named: None,
        documents: Arc::new(DocumentReader::of_budget(64 << 20, 1000)),
    };
    let entry = ScanEntry { path: PathBuf::from(MANIFEST), found: Found::Manifest };
    let batch = preparer.convert(&mut Vec::new(), vec![entry]).unwrap();
    assert_eq!(batch.files.len(), 1);
    meanwhile(&disk, &root.join(MANIFEST));
    let accounting = RunAccounting {
        state: RunState::new([0; 32], "r".into(), options.rules(), durability),
        findings: FindingsLog::open(&disk, &run_directory.join("findings.jsonl"), 0).unwrap(),
        findings_count: FindingsCount::default(),
        ledger: Ledger::open(&disk, run_directory, "r", LedgerPosition::START, |_| Ok(())).unwrap(),
        checkpoint: Arc::new(CheckpointFile::new(run_directory, CHECKPOINT_KIND)),
    };
    let replacer = Arc::new(Replacer::new(Arc::new(disk.clone()), tree, accounting, 1));
    let mut writer = GroupWriter::new(replacer.clone());
    writer.write(batch).unwrap();
    writer.commit_point().unwrap().commit().unwrap();
    let counts = replacer.accounting.lock().state.counts;
    assert_eq!(counts.migrated + counts.refused_failed, 1);
    (disk, counts.migrated)
}

fn names_in_directory(disk: &SimulatedDisk) -> Vec<String> {
    let mut names = Vec::new();
    let tree = disk.root(Path::new("/app")).unwrap();
    ReadRoot::names(&*tree, Path::new("artifacts/job/run"), &mut |name, _| names.push(name.display().to_string()))
        .unwrap();
    names
}

#[test]
fn an_unchanged_file_is_replaced_and_has_its_backup() {
    for durability in DURABILITIES {
        let (disk, migrated) = replaced_after(durability, |_, _| {});
        let names = names_in_directory(&disk);
        assert!(migrated == 1 && names.len() == 2 && names.contains(&"manifest.json".to_owned()), "{names:?}");
        let now = read_file(&disk, &Path::new("/app").join(MANIFEST), 1 << 20).unwrap();
        assert!(now != OLD, "{durability}");
        let backup = names.iter().find(|name| name.ends_with(".backup")).expect("a backup");
        let backup = Path::new("/app/artifacts/job/run").join(backup);
        assert_eq!(read_file(&disk, &backup, 1 << 20).unwrap(), OLD, "{durability}");
    }
}

#[test]
fn a_file_that_is_written_to_in_the_meantime_is_refused_and_keeps_its_new_bytes() {
    for durability in DURABILITIES {
        let (disk, migrated) = replaced_after(durability, |disk, path| {
            disk.open_file(path).unwrap().write_all_at(0, b"{\"later\"").unwrap();
        });
        let now = read_file(&disk, &Path::new("/app").join(MANIFEST), 1 << 20).unwrap();
        assert!(migrated == 0 && now.starts_with(b"{\"later\""));
        assert_eq!(names_in_directory(&disk), ["manifest.json"], "no new file and no useless backup is left");
    }
}

#[test]
fn a_file_that_is_replaced_or_removed_in_the_meantime_is_refused() {
    for durability in DURABILITIES {
        let (disk, migrated) = replaced_after(durability, |disk, path| {
            disk.remove_file(path).unwrap();
            disk.create_file(path).unwrap().write_all_at(0, OLD).unwrap();
        });
        assert_eq!((migrated, read_file(&disk, &Path::new("/app").join(MANIFEST), 999).unwrap()), (0, OLD.to_vec()));
        let (disk, migrated) = replaced_after(durability, |disk, path| disk.remove_file(path).unwrap());
        assert_eq!(migrated, 0);
        assert!(!names_in_directory(&disk).contains(&"manifest.json".to_owned()));
    }
}

#[test]
fn the_new_file_is_renamed_if_names_cannot_be_exchanged() {
    let disk = SimulatedDisk::with_directories(&[Path::new("/d")]);
    let path = Path::new("/d/file");
    disk.install_file(path, b"old");
    disk.install_file(Path::new("/d/new"), b"new");
    let directory = || disk.root(Path::new("/d")).unwrap().open_directory(Path::new("")).unwrap();
    disk.fail_operation(0, InjectedFault::Missing);
    swap_in(&*directory(), OsStr::new("new"), OsStr::new("file")).unwrap();
    assert_eq!(read_file(&disk, path, 9).unwrap(), b"new");
    assert_eq!(directory().file_state(OsStr::new("new")).unwrap(), None);
}
