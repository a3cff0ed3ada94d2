//! `key-map.reverse`: leads from new keys to the lines of the map.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::cas::format::key::Key;
use crate::durable::{Disk, DiskError, DiskFile, EntryKind};
use crate::migration::Error;

/// First bytes of the file.
pub const REVERSE_MAGIC: [u8; 8] = *b"HAULREV1";
/// Version of the format.
pub const REVERSE_VERSION: u32 = 1;

/// Start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReverseHeader {
    /// [`REVERSE_MAGIC`].
    pub magic: [u8; 8],
    /// [`REVERSE_VERSION`].
    pub version: U32,
    /// Bytes of one entry: 40.
    pub entry_bytes: U32,
    /// Length of the map that the file belongs to.
    pub map_bytes: U64,
    /// Rows of that map, which is the number of entries.
    pub rows: U64,
    /// BLAKE3 of that map.
    pub map_digest: [u8; 32],
}

/// One row of the map. Sorted by key, then by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReverseEntry {
    /// The new key of the row.
    pub new_key: [u8; 32],
    /// Where the line starts in the map.
    pub offset: U64,
}

const HEADER_BYTES: u64 = size_of::<ReverseHeader>() as u64;
const ENTRY_BYTES: u64 = size_of::<ReverseEntry>() as u64;
/// Bytes of an entry in the sort.
pub(super) const ENTRY_KEY_BYTES: usize = 32 + 8;
const ENTRIES_AT_ONCE: u64 = 1024;

impl ReverseHeader {
    pub(super) fn new(map_bytes: u64, rows: u64, map_digest: Key) -> Self {
        Self {
            magic: REVERSE_MAGIC,
            version: U32::new(REVERSE_VERSION),
            entry_bytes: U32::new(ENTRY_BYTES as u32),
            map_bytes: U64::new(map_bytes),
            rows: U64::new(rows),
            map_digest: map_digest.0,
        }
    }

    /// Returns why a file of `len_bytes` with this header is not the reverse file of a map of `map_bytes`. The digest
    /// of the map is not compared here, because that would read the whole map on every lookup.
    fn misfit(&self, map_bytes: u64, len_bytes: u64) -> Option<&'static str> {
        let expected = Self::new(map_bytes, self.rows.get(), Key(self.map_digest));
        let start = |header: &Self| (header.magic, header.version, header.entry_bytes);
        let body_bytes = self.rows.get().checked_mul(ENTRY_BYTES);
        if start(self) != start(&expected) {
            Some("it has another magic, version or entry length")
        } else if *self != expected {
            Some("it belongs to a map of another length")
        } else if body_bytes.and_then(|body| body.checked_add(HEADER_BYTES)) != Some(len_bytes) {
            Some("its length does not match its number of entries")
        } else {
            None
        }
    }
}

impl ReverseEntry {
    pub(super) fn key(&self) -> Key {
        Key(self.new_key)
    }

    /// Returns the order of entries.
    pub(super) fn rank(&self) -> (Key, u64) {
        (self.key(), self.offset.get())
    }

    /// Returns the entry as bytes that sort like entries do: the offset is big-endian.
    pub(super) fn sort_key(new_key: Key, offset: u64) -> [u8; ENTRY_KEY_BYTES] {
        let mut bytes = [0; ENTRY_KEY_BYTES];
        bytes[..32].copy_from_slice(&new_key.0);
        bytes[32..].copy_from_slice(&offset.to_be_bytes());
        bytes
    }

    pub(super) fn from_sort_key(bytes: &[u8; ENTRY_KEY_BYTES]) -> Self {
        let (new_key, offset) = bytes.split_first_chunk().expect("a key first");
        let offset = u64::from_be_bytes(offset.try_into().expect("8 bytes"));
        Self { new_key: *new_key, offset: U64::new(offset) }
    }
}

/// Returns the path of a map's reverse file: the same with the extension `reverse`.
pub fn reverse_path(map: &Path) -> PathBuf {
    map.with_extension("reverse")
}

/// What is at the path of a map's reverse file.
pub(super) enum ReverseState {
    /// A file that fits the map by version and lengths.
    Fits(Reverse),
    /// A file that does not, and why.
    Unfit(&'static str),
    /// Nothing.
    Absent,
}

/// A reverse file that can be searched.
pub(super) struct Reverse {
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    pub(super) header: ReverseHeader,
}

impl Reverse {
    /// Opens the reverse file of the map at `map`, which is `map_bytes` long.
    pub(super) fn open(disk: &dyn Disk, map: &Path, map_bytes: u64) -> Result<ReverseState, DiskError> {
        let path = reverse_path(map);
        match disk.kind(&path)? {
            None => return Ok(ReverseState::Absent),
            Some(EntryKind::File) => {}
            Some(_) => return Ok(ReverseState::Unfit("it is not a regular file")),
        }
        let file = disk.open_for_read(&path)?;
        let len_bytes = file.len()?;
        let mut header = ReverseHeader::new_zeroed();
        if len_bytes < HEADER_BYTES {
            return Ok(ReverseState::Unfit("it is shorter than its header"));
        }
        file.read_exact_at(0, header.as_mut_bytes())?;
        Ok(match header.misfit(map_bytes, len_bytes) {
            Some(why) => ReverseState::Unfit(why),
            None => ReverseState::Fits(Self { path, file, header }),
        })
    }

    /// Returns the error about the file at `offset`.
    pub(super) fn corrupt(&self, offset: u64, what: String) -> Error {
        unfit(self.path.clone(), offset, what)
    }

    pub(super) fn rows(&self) -> u64 {
        self.header.rows.get()
    }

    /// Returns where entry `index` starts in the file.
    pub(super) fn offset_of(index: u64) -> u64 {
        HEADER_BYTES + index * ENTRY_BYTES
    }

    /// Returns the first entry whose key is not below `key`; the number of entries if all are.
    pub(super) fn lower_bound(&self, key: Key) -> Result<u64, DiskError> {
        let (mut low, mut high) = (0, self.rows());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.key() < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn entry(&self, index: u64) -> Result<ReverseEntry, DiskError> {
        let mut entry = ReverseEntry::new_zeroed();
        self.file.read_exact_at(Self::offset_of(index), entry.as_mut_bytes())?;
        Ok(entry)
    }

    /// Returns the entries from `index` on, with their numbers.
    pub(super) fn entries_from(
        &self,
        index: u64,
        at_once: u64,
    ) -> impl Iterator<Item = Result<(u64, ReverseEntry), DiskError>> + '_ {
        let mut next = index;
        std::iter::from_fn(move || {
            let count = at_once.min(self.rows() - next);
            (count > 0).then(|| {
                let first = next;
                next += count;
                self.load(first, count)
            })
        })
        .flat_map(|chunk| match chunk {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// Returns all entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<(u64, ReverseEntry), DiskError>> + '_ {
        self.entries_from(0, ENTRIES_AT_ONCE)
    }

    fn load(&self, first: u64, count: u64) -> Result<Vec<(u64, ReverseEntry)>, DiskError> {
        let mut entries = vec![ReverseEntry::new_zeroed(); count as usize];
        self.file.read_exact_at(Self::offset_of(first), entries.as_mut_bytes())?;
        Ok((first..).zip(entries).collect())
    }
}

/// Returns the error about a reverse file that cannot be used. Lookups work without it.
pub(super) fn unfit(path: PathBuf, offset: u64, what: String) -> Error {
    Error::Corrupt {
        path,
        offset,
        what,
        next: "remove that file; without it, lookups of new keys read the whole map".into(),
    }
}
