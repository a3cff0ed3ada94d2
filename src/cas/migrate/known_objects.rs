//! Objects that an earlier migration of the same source has brought into the store that is merged into. They are not read
//! again.
//!
//! The name of an object is a digest of its content, and the key map of the earlier run leads from it to the key in the
//! store. So this trusts: that the map is as that run wrote it; that a file of the source still has the content of its
//! name, if its length is that in the map or in the store; and that a file of the store still has the content of its
//! name, if it has its length. Whatever does not fit is read.

use std::fs;
use std::path::PathBuf;

use crate::cas::format::key::{Algorithm, Key};
use crate::cas::format::record::{RECORD_BYTES_MAX, parse};
use crate::cas::map::{KeyMap, MapCursor, MapRow, earlier_maps};
use crate::cas::paths::{TargetPaths, blob_path, sidecar_path};
use crate::cas::source::Item;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::durable::{Disk, read_source_whole};
use crate::migration::Error;

/// The maps of earlier runs, and the store that has their objects.
pub struct KnownObjects {
    maps: Vec<KeyMap>,
    store: PathBuf,
}

/// An object that is not read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownObject {
    /// The algorithm of its old key.
    pub algorithm: Algorithm,
    /// Its key in the store.
    pub new_key: Key,
    /// Length of its content.
    pub size: u64,
}

impl KnownObjects {
    /// Opens the maps next to the target, the latest first.
    pub fn open(disk: &dyn Disk, paths: &TargetPaths) -> Result<Self, Error> {
        let map = paths.map();
        let mut maps = earlier_maps(disk, &map)?;
        if disk.kind(&map)?.is_some() {
            maps.insert(0, map);
        }
        let maps = maps.iter().map(|map| KeyMap::open_on(disk, map)).collect::<Result<_, _>>()?;
        Ok(Self { maps, store: paths.target().to_path_buf() })
    }

    /// Returns for each item of a batch what is known of it.
    pub fn find(&self, items: &[Item]) -> Result<Vec<Option<KnownObject>>, Error> {
        let mut cursors: Vec<_> = self.maps.iter().map(MapCursor::new).collect();
        let mut find_one = |item: &Item| match item {
            Item::Object { entry, .. } if entry.kind == EntryKind::File && !entry.location.is_misplaced() => {
                let key = entry.location.key();
                for cursor in &mut cursors {
                    match *cursor.find_old(key)? {
                        [] => {}
                        [row] if self.is_there(entry, &row) => {
                            let MapRow { old_algorithm: algorithm, new_key, size, .. } = row;
                            return Ok(Some(KnownObject { algorithm, new_key, size }));
                        }
                        // Of objects of several generations with one name, the name does not tell which this is.
                        _ => return Ok(None),
                    }
                }
                Ok(None)
            }
            Item::Object { .. } | Item::LoneSidecar(_) => Ok(None),
        };
        items.iter().map(&mut find_one).collect()
    }

    /// Returns true if the store has the object of this row, and the source's file is as long as it must be.
    fn is_there(&self, entry: &Entry, row: &MapRow) -> bool {
        // What cannot be looked up is read, and the reading reports it.
        let Ok(blob) = fs::symlink_metadata(blob_path(&self.store, row.new_key)) else { return false };
        let stored_size = blob.len();
        blob.is_file()
            && (stored_size == row.size || self.says_so(row, stored_size))
            && (entry.len_bytes == row.size || entry.len_bytes == stored_size)
    }

    /// Returns true if the object's sidecar has these lengths: the blob is encoded.
    fn says_so(&self, row: &MapRow, stored_size: u64) -> bool {
        let mut bytes = Vec::new();
        let read = read_source_whole(&sidecar_path(&self.store, row.new_key), RECORD_BYTES_MAX, &mut bytes);
        let record = read.ok().and_then(|_| parse(&bytes).ok()).map(|parsed| parsed.record);
        record.is_some_and(|record| {
            (record.digest, record.original_size, record.stored_size) == (row.new_key, row.size, stored_size)
        })
    }
}
