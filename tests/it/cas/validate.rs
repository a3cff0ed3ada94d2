//! What `validate` and `doctor` report about a store and about the result of its migration.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::cas::doctor::{DoctorEnd, doctor};
use haul::cas::format::digest::key_of;
use haul::cas::migrate::migrate;
use haul::cas::options::MigrateOptions;
use haul::cas::paths::{TargetPaths, blob_path};
use haul::cas::validate::{ValidateEnd, validate};
use haul::cas::{Algorithm, Key};
use haul::durable::RealDisk;
use haul::pipeline::{Control, Silent, StopToken};

struct Scene(tempfile::TempDir);

impl Scene {
    /// Contents under keys of every algorithm, one of them twice, migrated.
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        for (number, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            for content in [format!("content {number}"), "the same".to_owned()] {
                scene.object(&key_of(algorithm, content.as_bytes()).to_string(), content.as_bytes());
            }
        }
        scene.control(|control| {
            let paths = TargetPaths::new(&scene.target()).unwrap();
            migrate(Arc::new(RealDisk), &scene.source(), &paths, &MigrateOptions::default(), control).unwrap();
        });
        scene
    }

    fn control<T>(&self, work: impl FnOnce(&Control<'_>) -> T) -> T {
        let stop = StopToken::new();
        work(&Control { stop: &stop, observer: &Silent })
    }

    fn object(&self, key: &str, bytes: &[u8]) {
        let directory = self.source().join("objects").join(&key[..2]).join(&key[2..4]);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(key), bytes).unwrap();
    }

    fn source(&self) -> PathBuf {
        self.0.path().join("old")
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("v2")
    }

    fn map(&self) -> PathBuf {
        self.0.path().join("v2.migration/key-map.tsv")
    }

    fn validate(&self) -> ValidateEnd {
        let options = MigrateOptions::default();
        self.control(|control| validate(&self.source(), &self.target(), &self.map(), &options, control)).unwrap()
    }

    fn doctor(&self, root: &Path) -> DoctorEnd {
        self.control(|control| doctor(root, &MigrateOptions::default(), control)).unwrap()
    }

    fn blob(&self, content: &[u8]) -> PathBuf {
        blob_path(&self.target(), key_of(Algorithm::Cas, content))
    }
}

fn first_reason(end: &ValidateEnd) -> &str {
    &end.findings[0].reason
}

#[test]
fn a_migration_is_valid() {
    let end = Scene::new().validate();
    assert_eq!((end.objects, end.equal, end.map_rows, end.errors), (8, 8, 8, 0));
    assert!(end.findings.is_empty());
}

#[test]
fn an_object_that_is_missing_or_different_in_the_target_is_an_error() {
    let scene = Scene::new();
    fs::remove_file(scene.blob(b"content 0")).unwrap();
    let end = scene.validate();
    assert_eq!((end.equal, end.errors), (7, 1));
    assert!(first_reason(&end).contains("in the target: cannot open"), "{}", first_reason(&end));

    let scene = Scene::new();
    fs::write(scene.blob(b"the same"), b"the Same").unwrap();
    let end = scene.validate();
    assert_eq!((end.equal, end.errors), (4, 4), "each object of that content");
    assert!(first_reason(&end).ends_with("it has other content"), "{}", first_reason(&end));
}

#[test]
fn a_row_that_is_missing_wrong_or_surplus_is_an_error() {
    let edit = |edit: fn(Vec<String>) -> Vec<String>| {
        let scene = Scene::new();
        let lines: Vec<_> = fs::read_to_string(scene.map()).unwrap().lines().map(str::to_owned).collect();
        fs::write(scene.map(), edit(lines).join("\n") + "\n").unwrap();
        scene.validate()
    };
    let missing = edit(|mut lines| {
        lines.remove(3);
        lines
    });
    assert_eq!(missing.errors, 1);
    assert!(first_reason(&missing).starts_with("the map has no row from"), "{}", first_reason(&missing));
    let wrong = edit(|mut lines| {
        let size_start = lines[3].rfind('\t').unwrap() + 1;
        lines[3].replace_range(size_start.., "7777");
        lines
    });
    assert_eq!(wrong.errors, 1);

    let scene = Scene::new();
    let gone = key_of(Algorithm::Sha256, b"content 3").to_string();
    fs::remove_file(scene.source().join("objects").join(&gone[..2]).join(&gone[2..4]).join(&gone)).unwrap();
    let surplus = scene.validate();
    assert_eq!((surplus.objects, surplus.errors), (7, 1));
    assert!(first_reason(&surplus).ends_with("the source has no such object"));
}

#[test]
fn objects_refused_in_the_source_are_no_error() {
    let scene = Scene::new();
    scene.object(&Key([7; 32]).to_string(), b"whatever");
    let end = scene.validate();
    assert_eq!((end.errors, end.source.refused_unidentified, end.findings_count.refused), (0, 1, 1));
}

#[test]
fn the_doctor_names_generations_layout_and_obstacles() {
    let scene = Scene::new();
    let end = scene.doctor(&scene.source());
    let generations = end.generations;
    assert_eq!([generations.blake2s, generations.blake3, generations.cas, generations.sha256], [2; 4]);
    assert!(end.ok && end.blockers.is_empty() && end.index.is_none());
    assert_eq!(end.layout.two_levels, 8);

    scene.object(&Key([7; 32]).to_string(), b"whatever");
    fs::write(scene.source().join("objects/.tmp_1"), b"").unwrap();
    let end = scene.doctor(&scene.source());
    assert_eq!((end.ok, end.leftovers), (false, 1));
    assert_eq!(end.blockers, ["refused, unidentified: 1"]);
    assert_eq!(end.warnings, ["skipped, temporary file: 1"]);
}

#[test]
fn the_doctor_compares_the_index_with_the_objects() {
    let scene = Scene::new();
    let sound = scene.doctor(&scene.target()).index.unwrap();
    assert_eq!((sound.rows, sound.missing, sound.phantom, sound.torn_tail), (5, 0, 0, false));
    let index = scene.target().join("index.ndjson");
    let text = fs::read_to_string(&index).unwrap();
    let lines: Vec<_> = text.lines().collect();
    fs::write(&index, [lines[0], lines[0], lines[1]].join("\n")).unwrap();
    fs::remove_file(scene.blob(b"the same")).unwrap();
    let end = scene.doctor(&scene.target());
    let health = end.index.unwrap();
    let same = key_of(Algorithm::Cas, b"the same").to_string();
    let was_listed = lines[..2].iter().any(|line| line.contains(&same));
    let phantom = u64::from(was_listed);
    assert_eq!((health.phantom, health.torn_tail), (phantom, true));
    assert_eq!(health.missing, 4 - (2 - phantom));
}

#[test]
fn a_directory_without_objects_is_no_store() {
    let scene = Scene::new();
    let empty = scene.0.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let end = scene.doctor(&empty);
    assert!(!end.ok && end.blockers[0].starts_with("no object was found"));
}
