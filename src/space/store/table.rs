//! Reads `blocks.index`, the table of extents and blocks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::FromBytes;

use super::layout::{FORMAT_VERSION, INDEX_HEADER_BYTES, IndexHeader, TABLE_ENTRY_BYTES, TABLE_MAGIC, TableEntry};
use super::names::TABLE;
use crate::durable::{Disk, DiskFile};
use crate::migration::Error;

const ENTRIES_AT_ONCE: u64 = 512;

/// An index file whose header was checked: entries of one size behind it.
pub(super) struct IndexFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) count: u64,
}

impl IndexFile {
    pub(super) fn open(disk: &dyn Disk, path: PathBuf, magic: [u8; 8], entry_bytes: usize) -> Result<Self, Error> {
        let file = disk.open_for_read(&path)?;
        let len_bytes = file.len()?;
        let mut bytes = [0; INDEX_HEADER_BYTES as usize];
        if len_bytes < INDEX_HEADER_BYTES {
            return Err(corrupt(&path, 0, "shorter than its header"));
        }
        file.read_exact_at(0, &mut bytes)?;
        let header = IndexHeader::read_from_bytes(&bytes).expect("the sizes are equal");
        if header.magic != magic {
            return Err(corrupt(&path, 0, "wrong magic number"));
        }
        if header.version.get() != FORMAT_VERSION || header.entry_bytes.get() as usize != entry_bytes {
            return Err(corrupt(&path, 8, "unknown format version"));
        }
        let body_bytes = len_bytes - INDEX_HEADER_BYTES;
        if !body_bytes.is_multiple_of(entry_bytes as u64) {
            return Err(corrupt(&path, len_bytes, "ends within an entry"));
        }
        Ok(Self { path, file, count: body_bytes / entry_bytes as u64 })
    }
}

/// Returns an error about a file of a store.
pub(super) fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Error {
    Error::Corrupt {
        path: path.to_path_buf(),
        offset,
        what: what.into(),
        next: "the log is untouched: roll back, or migrate again with --restart".into(),
    }
}

/// Access to the entries of the table.
pub struct TableReader(IndexFile);

impl TableReader {
    /// Opens the table of the store in `directory`.
    pub fn open(disk: &dyn Disk, directory: &Path) -> Result<Self, Error> {
        Ok(Self(IndexFile::open(disk, directory.join(TABLE), TABLE_MAGIC, TABLE_ENTRY_BYTES)?))
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.0.count
    }

    /// Returns true if the table has no entry.
    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// Returns one entry.
    pub fn entry(&self, number: u64) -> Result<TableEntry, Error> {
        let mut bytes = [0; TABLE_ENTRY_BYTES];
        self.0.file.read_exact_at(INDEX_HEADER_BYTES + number * TABLE_ENTRY_BYTES as u64, &mut bytes)?;
        Ok(TableEntry::read_from_bytes(&bytes).expect("the sizes are equal"))
    }

    /// Returns all entries, read in pieces.
    pub fn entries(&self) -> impl Iterator<Item = Result<TableEntry, Error>> + '_ {
        self.entries_from(0)
    }

    /// Returns the entries from `first` on, read in pieces.
    pub fn entries_from(&self, first: u64) -> impl Iterator<Item = Result<TableEntry, Error>> + '_ {
        let mut piece: std::vec::IntoIter<TableEntry> = Vec::new().into_iter();
        let mut next = first;
        std::iter::from_fn(move || {
            if piece.len() == 0 {
                if next >= self.len() {
                    return None;
                }
                match self.piece(next) {
                    Ok(entries) => {
                        next += entries.len() as u64;
                        piece = entries.into_iter();
                    }
                    Err(error) => {
                        next = self.len();
                        return Some(Err(error));
                    }
                }
            }
            piece.next().map(Ok)
        })
    }

    fn piece(&self, first: u64) -> Result<Vec<TableEntry>, Error> {
        let count = ENTRIES_AT_ONCE.min(self.len() - first) as usize;
        let mut bytes = vec![0; count * TABLE_ENTRY_BYTES];
        self.0.file.read_exact_at(INDEX_HEADER_BYTES + first * TABLE_ENTRY_BYTES as u64, &mut bytes)?;
        Ok(<[TableEntry]>::ref_from_bytes(&bytes).expect("whole entries").to_vec())
    }

    /// Returns the path of the table's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}
