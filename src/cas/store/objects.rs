//! All objects of a store in the order of their keys, found by walking the shards.

use std::path::Path;
use std::sync::Arc;
use std::vec;

use crate::cas::format::key::Key;
use crate::cas::paths::StorePaths;
use crate::durable::{Disk, DiskError, EntryKind};

/// A blob of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredObject {
    /// The name of the blob.
    pub key: Key,
    /// Length of the blob in bytes.
    pub stored_size: u64,
}

/// The blobs at the paths where readers look for them, by key, whether the index lists them or not. Links, temporary
/// and foreign files, and objects in the wrong shard are skipped. Has the names of one directory in memory at a time.
pub struct Objects {
    disk: Arc<dyn Disk>,
    paths: StorePaths,
    first: String,
    firsts: vec::IntoIter<String>,
    seconds: vec::IntoIter<String>,
    keys: vec::IntoIter<Key>,
}

impl Objects {
    pub(super) fn walk(disk: Arc<dyn Disk>, paths: StorePaths) -> Result<Self, DiskError> {
        let firsts = shards(&*disk, &paths.objects())?.into_iter();
        let (seconds, keys) = (Vec::new().into_iter(), Vec::new().into_iter());
        Ok(Self { disk, paths, first: String::new(), firsts, seconds, keys })
    }

    /// Returns the next object, `None` after the last.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is called with `?`")]
    pub fn next(&mut self) -> Result<Option<StoredObject>, DiskError> {
        loop {
            if let Some(key) = self.keys.next() {
                let stored_size = self.disk.open_for_read(&self.paths.blob(key))?.len()?;
                return Ok(Some(StoredObject { key, stored_size }));
            }
            let first_path = self.paths.objects().join(&self.first);
            if let Some(second) = self.seconds.next() {
                self.keys = keys(&*self.disk, &first_path, &self.first, &second)?.into_iter();
            } else if let Some(first) = self.firsts.next() {
                self.seconds = shards(&*self.disk, &self.paths.objects().join(&first))?.into_iter();
                self.first = first;
            } else {
                return Ok(None);
            }
        }
    }
}

/// Returns the directories with names of two hex digits.
fn shards(disk: &dyn Disk, directory: &Path) -> Result<Vec<String>, DiskError> {
    let is_hex = |name: &str| name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let entries = disk.list(directory)?.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
    Ok(entries.filter_map(|entry| entry.name.into_string().ok()).filter(|name| is_hex(name)).collect())
}

/// Returns the files whose names are keys that belong into this directory.
fn keys(disk: &dyn Disk, first_path: &Path, first: &str, second: &str) -> Result<Vec<Key>, DiskError> {
    let entries = disk.list(&first_path.join(second))?.into_iter().filter(|entry| entry.kind == EntryKind::File);
    let names = entries.filter_map(|entry| entry.name.into_string().ok());
    let here = names.filter(|name| name.get(..4) == Some(&*format!("{first}{second}")));
    Ok(here.filter_map(|name| Key::parse(name.as_bytes())).collect())
}
