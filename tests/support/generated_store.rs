//! Generated old stores, and the parts of their targets that must always be the same.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use haul::cas::generate::write::generate_store;
use haul::cas::generate::{GenerateOptions, GenerationMix};
use haul::cas::paths::TargetPaths;
use haul::durable::RealDisk;
use haul::pipeline::{Control, Silent, StopToken};

use super::old_store::OldStore;
use super::seen::{Seen, seen};

/// Generates a store in a directory.
pub fn generated_in(directory: tempfile::TempDir, options: &GenerateOptions) -> OldStore {
    let store = OldStore::in_directory(directory);
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    generate_store(&RealDisk, &store.root(), options, NonZeroUsize::MIN, &control).expect("a generated store");
    store
}

/// Generates a store in a temporary directory.
pub fn generated(options: &GenerateOptions) -> OldStore {
    generated_in(tempfile::tempdir().expect("a temporary directory"), options)
}

/// A store of every generation, with zstd and with contents under two keys.
pub fn mixed(objects: u64, size_bytes_max: u64) -> GenerateOptions {
    GenerateOptions {
        objects,
        size_bytes_min: 32,
        size_bytes_max,
        seed: 5,
        generation: GenerationMix::Mixed,
        layout: GenerationMix::Mixed.layout(),
        zstd_share: 0.4,
        duplicate_share: 0.2,
        created_at: 1_700_000_000,
    }
}

/// Modes and digests of the files of a target and of its maps, by name.
pub type Made = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// Names, modes and digests of a target with its map and reverse map, which must always be the same.
pub fn made(paths: &TargetPaths) -> Made {
    let part = |(path, seen): (PathBuf, Seen)| (path, (seen.mode, seen.content));
    let mut found: Made = seen(paths.target()).into_iter().map(part).collect();
    for name in ["key-map.tsv", "key-map.reverse"] {
        found.extend(seen(&paths.run_directory().path().join(name)).into_values().map(|seen| {
            let path = Path::new("state").join(name);
            part((path, seen))
        }));
    }
    found
}

/// Fails with the first names by which two results of [`made`] differ.
#[track_caller]
pub fn assert_same(found: &Made, expected: &Made, what: &str) {
    let names = found.keys().chain(expected.keys());
    let differing: Vec<_> = names.filter(|name| found.get(*name) != expected.get(*name)).take(4).collect();
    assert!(differing.is_empty(), "{differing:?} differ: {what}");
}
