//! Spaces for tests, built record by record.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use haul::space::log::wal::encode_record;
use haul::space::paths::SpacePaths;

use super::files::tree;

/// Entry types by name.
pub const STORE: u32 = 1;
pub const DELETE: u32 = 3;

/// A space directory that vanishes with the test.
pub struct Space {
    directory: tempfile::TempDir,
}

impl Space {
    /// A space with an empty `wal/`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(directory.path().join("default/wal")).expect("a wal directory");
        Self { directory }
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("default")
    }

    pub fn wal(&self) -> PathBuf {
        self.root().join("wal")
    }

    pub fn paths(&self) -> SpacePaths {
        SpacePaths::new(self.root())
    }

    /// Writes a log file `wal-000000000000000N.log`.
    pub fn log(&self, number: u64, bytes: &[u8]) -> &Self {
        self.file(&format!("wal-{number:016x}.log"), bytes)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.wal().join(name), bytes).expect("a file");
        self
    }

    /// Every byte of `wal/`, to prove that it stays.
    pub fn source(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(&self.wal())
    }
}

/// A log of records in this order.
pub fn records(list: &[(u64, u32, Vec<u8>)]) -> Vec<u8> {
    list.iter().flat_map(|(sequence, kind, payload)| encode_record(*sequence, 7, *kind, payload)).collect()
}

/// Payload of an episode whose content is its id.
pub fn episode(id: &str) -> Vec<u8> {
    episode_about(id, id)
}

/// Payload of an episode with this content.
pub fn episode_about(id: &str, what: &str) -> Vec<u8> {
    let mut episode = haul::space::generate::samples::episode(id);
    episode.what = what.to_owned();
    episode.encode()
}
