//! Content-addressed stores for tests: old ones built object by object, migrated through the library, looked at
//! afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::cas::Algorithm;
use haul::cas::digest::{blake3_key, key_of};
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::MigrateOptions;
use haul::cas::paths::TargetPaths;
use haul::cas::record::{Encoding, ObjectRecord};
use haul::cas::source::location::Shape;
use haul::durable::{Disk, RealDisk};
use haul::migration::{Error, Finding, Findings};
use haul::pipeline::{Control, Silent, StopToken};

/// An old store `old/`, and a place beside it for a new one, in a directory that vanishes with the test.
pub struct Store {
    directory: tempfile::TempDir,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Link { to: PathBuf },
    Other,
}

impl Store {
    /// A store with an empty `objects/`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(directory.path().join("old/objects")).expect("a directory of objects");
        Self { directory }
    }

    /// The directory that holds both stores.
    pub fn place(&self) -> &Path {
        self.directory.path()
    }

    /// The old store.
    pub fn root(&self) -> PathBuf {
        self.place().join("old")
    }

    /// Where the new store is to be.
    pub fn target(&self) -> PathBuf {
        self.place().join("new")
    }

    pub fn paths(&self) -> TargetPaths {
        TargetPaths::new(&self.target()).expect("a path with a name")
    }

    /// An object that is stored as its content.
    pub fn object(&self, algorithm: Algorithm, content: &[u8], layout: Shape) -> &Self {
        self.stored(algorithm, content, content, layout)
    }

    /// An object that is stored as `blob`, under the key of its content.
    pub fn stored(&self, algorithm: Algorithm, content: &[u8], blob: &[u8], layout: Shape) -> &Self {
        self.file(&object_path(algorithm, content, layout), blob)
    }

    /// The sidecar of an object that is stored as its content.
    pub fn sidecar(&self, algorithm: Algorithm, content: &[u8], layout: Shape, created_at: u64) -> &Self {
        self.sidecar_of(algorithm, content, content, layout, created_at)
    }

    /// The sidecar of an object that is stored as `blob`.
    pub fn sidecar_of(
        &self,
        algorithm: Algorithm,
        content: &[u8],
        blob: &[u8],
        layout: Shape,
        created_at: u64,
    ) -> &Self {
        let record = ObjectRecord {
            digest: key_of(algorithm, content),
            encoding: if content == blob { Encoding::Identity } else { Encoding::Zstd },
            original_size: content.len() as u64,
            stored_size: blob.len() as u64,
            stored_blob_hash: blake3_key(blob),
            created_at,
        };
        let mut bytes = Vec::new();
        record.push_json(&mut bytes);
        self.file(&format!("{}.meta", object_path(algorithm, content, layout)), &bytes)
    }

    /// A file with this path in the store.
    pub fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(path, bytes).expect("a file");
        self
    }

    /// The old store as it stands.
    pub fn source(&self) -> BTreeMap<PathBuf, Node> {
        tree(&self.root())
    }

    /// Migrates it on the real disk and checks that the source stays as it was.
    pub fn migrate(&self, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
        self.migrate_on(Arc::new(RealDisk), options)
    }

    /// The same with the target on another disk.
    pub fn migrate_on(&self, disk: Arc<dyn Disk>, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
        let before = self.source();
        let end = with(|control| migrate(disk, &self.root(), &self.paths(), options, control));
        assert_eq!(self.source(), before, "the source is untouched");
        end
    }

    /// Everything that the last run found, in order.
    pub fn findings(&self) -> Vec<Finding> {
        let path = self.paths().run_directory().findings_path();
        let len_bytes = fs::metadata(&path).expect("findings").len();
        let mut found = Vec::new();
        Findings::new(path, len_bytes)
            .for_each(&RealDisk, |finding| {
                found.push(finding);
                Ok(())
            })
            .expect("readable findings");
        found
    }
}

/// Path of an object in a store.
pub fn object_path(algorithm: Algorithm, content: &[u8], layout: Shape) -> String {
    let key = key_of(algorithm, content).to_string();
    let (ab, cd, rest) = (&key[..2], &key[2..4], &key[2..]);
    match layout {
        Shape::Flat => format!("objects/{key}"),
        Shape::OneLevel => format!("objects/{ab}/{key}"),
        Shape::SplitName => format!("objects/{ab}/{rest}"),
        Shape::TwoLevels => format!("objects/{ab}/{cd}/{key}"),
    }
}

/// One zstd frame, as the reference writes it.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    haul::cas::frame::Compressor::default().compress(content, haul::cas::frame::LEVEL_DEFAULT, &mut frame);
    frame
}

/// Everything below a directory: names, permission bits, bytes. Nothing if it is not there.
pub fn tree(directory: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("what stands there");
            let mode = metadata.permissions().mode() & 0o7777;
            let node = if metadata.is_dir() {
                pending.push(path.clone());
                Node::Directory { mode }
            } else if metadata.is_file() {
                Node::File { mode, bytes: fs::read(&path).unwrap_or_default() }
            } else if metadata.is_symlink() {
                Node::Link { to: fs::read_link(&path).expect("a link") }
            } else {
                Node::Other
            };
            nodes.insert(path.strip_prefix(directory).expect("below it").to_path_buf(), node);
        }
    }
    nodes
}

/// Inode numbers and times of everything below a directory, which a copy does not keep.
pub fn identities(directory: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let identity = |path: &Path| {
        let metadata = fs::symlink_metadata(directory.join(path)).expect("what stands there");
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    };
    tree(directory).into_keys().map(|path| (path.clone(), identity(&path))).collect()
}

/// Does it undisturbed.
pub fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

/// Does it with a stop requested before.
pub fn stopped<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    stop.request();
    act(&Control { stop: &stop, observer: &Silent })
}

/// Settings that checkpoint as often as possible.
pub fn eager() -> MigrateOptions {
    MigrateOptions {
        verify_merged_into: false,
        batch_records: 2,
        checkpoint_interval_records: 1,
        checkpoint_interval_ms_min: 0,
        ..MigrateOptions::default()
    }
}
