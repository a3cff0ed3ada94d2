//! The objects and sidecars of an old store in the order of their paths.

use std::path::PathBuf;
use std::sync::Arc;

use super::location::{LOCATION_BYTES, Location};
use crate::durable::{Disk, DiskError, SourceIdentity};
use crate::pipeline::{Merged, SortedRuns, StopToken};

/// Length of a record of the sort: location, kind, length, modification time, inode.
pub const INVENTORY_RECORD_BYTES: usize = LOCATION_BYTES + 1 + 8 + 8 + 4 + 8;
/// Kind of a sidecar in the sort. It is greater than every kind of an object, so that a sidecar follows its object.
const SIDECAR: u8 = 255;

/// What kind of file has an object's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryKind {
    /// A regular file.
    File = 0,
    /// A directory.
    Directory = 1,
    /// A symbolic link.
    Link = 2,
    /// A device, a socket or a pipe.
    Other = 3,
}

impl EntryKind {
    /// Returns the kind as a text for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Directory => "a directory with an object's name",
            Self::Link => "a symbolic link with an object's name; it is not followed",
            Self::Other => "a pipe, socket or device with an object's name; it is not opened",
        }
    }
}

/// An object as the walk saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The path of the object.
    pub location: Location,
    /// The kind of the file.
    pub kind: EntryKind,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Time of the last change, whole seconds since 1970.
    pub modified_secs: i64,
    /// The nanoseconds of that time.
    pub modified_nanos: u32,
    /// Inode number; 0 if the file was removed before it was examined.
    pub inode: u64,
}

impl Entry {
    /// Creates the entry of the object at `location`, whose metadata is `identity`.
    pub fn new(location: Location, kind: EntryKind, identity: Option<SourceIdentity>) -> Self {
        Self {
            location,
            kind,
            len_bytes: identity.map_or(0, |identity| identity.len_bytes),
            modified_secs: identity.map_or(0, |identity| identity.modified_secs),
            modified_nanos: identity.map_or(0, |identity| identity.modified_nanos),
            inode: identity.map_or(0, |identity| identity.inode),
        }
    }

    /// Returns the entry as bytes of fixed width that sort like locations.
    pub fn bytes(&self) -> [u8; INVENTORY_RECORD_BYTES] {
        let mut bytes = record(&self.location, self.kind as u8);
        let fields: [&[u8]; 4] = [
            &self.len_bytes.to_le_bytes(),
            &self.modified_secs.to_le_bytes(),
            &self.modified_nanos.to_le_bytes(),
            &self.inode.to_le_bytes(),
        ];
        let mut at = LOCATION_BYTES + 1;
        for field in fields {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        bytes
    }

    fn from_bytes(location: Location, kind: u8, fields: &[u8; 28]) -> Self {
        let kind = match kind {
            0 => EntryKind::File,
            1 => EntryKind::Directory,
            2 => EntryKind::Link,
            _ => EntryKind::Other,
        };
        Self {
            location,
            kind,
            len_bytes: u64::from_le_bytes(array(fields, 0)),
            modified_secs: i64::from_le_bytes(array(fields, 8)),
            modified_nanos: u32::from_le_bytes(array(fields, 16)),
            inode: u64::from_le_bytes(array(fields, 20)),
        }
    }
}

fn record(location: &Location, kind: u8) -> [u8; INVENTORY_RECORD_BYTES] {
    let mut bytes = [0; INVENTORY_RECORD_BYTES];
    bytes[..LOCATION_BYTES].copy_from_slice(&location.bytes());
    bytes[LOCATION_BYTES] = kind;
    bytes
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is as long as the array")
}

/// One item of an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// An object.
    Object {
        /// The object as the walk saw it.
        entry: Entry,
        /// True if it has a sidecar.
        has_sidecar: bool,
    },
    /// A sidecar without an object.
    LoneSidecar(Location),
}

/// Collects an inventory in any order.
pub struct InventoryBuilder(SortedRuns<INVENTORY_RECORD_BYTES>);

impl InventoryBuilder {
    /// Creates a builder that keeps at most `memory_bytes` in memory and the rest in `scratch`, a directory that must
    /// exist and be used by nothing else.
    pub fn new(disk: Arc<dyn Disk>, scratch: PathBuf, memory_bytes: u64) -> Self {
        Self(SortedRuns::new(disk, scratch, memory_bytes))
    }

    /// Ends the sort on request.
    pub fn stopped_by(self, stop: &StopToken) -> Self {
        Self(self.0.stopped_by(stop))
    }

    /// Creates a builder that collects into `runs`.
    pub fn over(runs: SortedRuns<INVENTORY_RECORD_BYTES>) -> Self {
        Self(runs)
    }

    /// Creates a builder that keeps everything in memory: about 110 bytes for each object.
    pub fn in_memory() -> Self {
        Self(SortedRuns::in_memory())
    }

    /// Adds an object.
    pub fn push_object(&mut self, entry: &Entry) -> Result<(), DiskError> {
        self.0.push(entry.bytes())
    }

    /// Adds a sidecar.
    pub fn push_sidecar(&mut self, location: &Location) -> Result<(), DiskError> {
        self.0.push(record(location, SIDECAR))
    }

    /// Sorts the inventory.
    pub fn finish(self) -> Result<Inventory, DiskError> {
        Ok(Inventory { merged: self.0.finish()?, ahead: None })
    }
}

/// The objects of an old store in the order of their paths, streamed.
pub struct Inventory {
    merged: Merged<INVENTORY_RECORD_BYTES>,
    ahead: Option<[u8; INVENTORY_RECORD_BYTES]>,
}

impl Inventory {
    /// Returns the next item, `None` at the end.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is called with `?`")]
    pub fn next(&mut self) -> Result<Option<Item>, DiskError> {
        let Some(bytes) = self.take()? else { return Ok(None) };
        let location = location_of(&bytes);
        if bytes[LOCATION_BYTES] == SIDECAR {
            return Ok(Some(Item::LoneSidecar(location)));
        }
        let entry = Entry::from_bytes(location, bytes[LOCATION_BYTES], &array(&bytes, LOCATION_BYTES + 1));
        let next = self.take()?;
        let has_sidecar =
            next.is_some_and(|next| next[LOCATION_BYTES] == SIDECAR && next[..LOCATION_BYTES] == location.bytes());
        if !has_sidecar {
            self.ahead = next;
        }
        Ok(Some(Item::Object { entry, has_sidecar }))
    }

    fn take(&mut self) -> Result<Option<[u8; INVENTORY_RECORD_BYTES]>, DiskError> {
        match self.ahead.take() {
            Some(bytes) => Ok(Some(bytes)),
            None => self.merged.next(),
        }
    }
}

fn location_of(bytes: &[u8; INVENTORY_RECORD_BYTES]) -> Location {
    Location::from_bytes(array(bytes, 0)).expect("the sort returns what was pushed")
}
