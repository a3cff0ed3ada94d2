//! Puts objects where the v2 layout wants them: blob, sidecar, and the directories above them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::converted::Blob;
use super::object_log::Fate;
use crate::cas::format::key::Key;
use crate::cas::format::record::ObjectRecord;
use crate::cas::options::Durability;
use crate::cas::paths::{OBJECTS_NAME, blob_path, sidecar_path};
use crate::cas::source::inventory::Entry;
use crate::cas::store::index_keys::IndexKeys;
use crate::durable::{Disk, DiskError, SourceIdentity, source_identity};
use crate::migration::Error;

/// Shards of one level.
const SHARDS: usize = 256;

/// Places objects into a directory that is becoming a v2 store. One object has one place: the name that is taken says
/// that its content is there already.
pub struct Placer {
    disk: Arc<dyn Disk>,
    store: PathBuf,
    merged_into: Option<Merged>,
    durability: Durability,
    outer_made: Vec<bool>,
    inner_made: Vec<bool>,
    sidecar: Vec<u8>,
}

/// The store that objects are merged into.
pub struct Merged {
    /// Where it lies.
    pub store: PathBuf,
    /// What its readers see.
    pub listed: IndexKeys,
}

impl Merged {
    /// True if a reader of the store can get the object: its index lists it, and the blob is there.
    fn has(&self, disk: &dyn Disk, key: Key) -> Result<bool, Error> {
        Ok(disk.kind(&blob_path(&self.store, key))?.is_some() && self.listed.has(key)?)
    }
}

/// A blob and where its bytes are.
pub struct Arrival<'a> {
    /// What it is in the target.
    pub record: &'a ObjectRecord,
    /// Where the bytes are.
    pub blob: &'a Blob,
    /// The bytes of its batch.
    pub bytes: &'a [u8],
    /// Its path in the source.
    pub source: &'a Path,
    /// What the walk saw there.
    pub entry: &'a Entry,
}

/// What became of an object that was to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// It is done.
    Done(Fate),
    /// The name in the source stands for another file by now.
    SourceChanged,
}

impl Placer {
    /// Places objects into `store`, which has its directory of objects. Those that `merged_into` has are left out.
    pub fn new(disk: Arc<dyn Disk>, store: PathBuf, merged_into: Option<Merged>, durability: Durability) -> Self {
        Self {
            disk,
            store,
            merged_into,
            durability,
            outer_made: vec![false; SHARDS],
            inner_made: vec![false; SHARDS * SHARDS],
            sidecar: Vec::with_capacity(320),
        }
    }

    /// Places an object with its sidecar, without waiting for the disk unless each object is to be durable.
    pub fn place(&mut self, arrival: &Arrival<'_>) -> Result<Placing, Error> {
        let key = arrival.record.digest;
        if let Some(merged_into) = &self.merged_into
            && merged_into.has(&*self.disk, key)?
        {
            self.drop_placed(arrival.blob)?;
            return Ok(Placing::Done(Fate::InTarget));
        }
        self.make_shards(key)?;
        let path = blob_path(&self.store, key);
        match self.place_blob(arrival, &path)? {
            Placing::Done(Fate::Migrated) => {}
            other => return Ok(other),
        }
        let sidecar_path = sidecar_path(&self.store, key);
        self.sidecar.clear();
        arrival.record.push_json(&mut self.sidecar);
        if self.durability == Durability::Object {
            self.disk.open_file(&path)?.sync()?;
            self.sync_parent(&path)?;
        }
        self.disk.write_new_file(&sidecar_path, &self.sidecar)?;
        if self.durability == Durability::Object {
            self.disk.open_file(&sidecar_path)?.sync()?;
            self.sync_parent(&sidecar_path)?;
        }
        Ok(Placing::Done(Fate::Migrated))
    }

    fn place_blob(&self, arrival: &Arrival<'_>, path: &Path) -> Result<Placing, Error> {
        let written = match arrival.blob {
            Blob::Bytes(range) => self.disk.write_new_file(path, &arrival.bytes[range.clone()]),
            Blob::Linked => self.disk.hard_link(arrival.source, path),
            Blob::Placed { path: placed, .. } => {
                // The run's lock keeps others away, so that looking first is enough.
                if self.disk.kind(path)?.is_some() {
                    self.disk.remove_file(placed)?;
                    return Ok(Placing::Done(Fate::Duplicate));
                }
                self.disk.rename(placed, path)
            }
            Blob::Hashed => {
                return Err(Error::Accounting { what: "a blob that was only hashed was to be placed".into() });
            }
        };
        match written {
            Ok(()) if matches!(arrival.blob, Blob::Linked) => self.check_link(arrival, path),
            Ok(()) => Ok(Placing::Done(Fate::Migrated)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(Placing::Done(Fate::Duplicate)),
            Err(e) if matches!(arrival.blob, Blob::Linked) => Err(link_error(e)),
            Err(e) => Err(e.into()),
        }
    }

    /// The link must be to the file whose bytes were hashed.
    fn check_link(&self, arrival: &Arrival<'_>, path: &Path) -> Result<Placing, Error> {
        let linked = source_identity(path)?;
        if linked.is_some_and(|linked| is_same(&linked, arrival.entry)) {
            return Ok(Placing::Done(Fate::Migrated));
        }
        self.disk.remove_file(path)?;
        Ok(Placing::SourceChanged)
    }

    fn drop_placed(&self, blob: &Blob) -> Result<(), Error> {
        if let Blob::Placed { path, .. } = blob {
            self.disk.remove_file(path)?;
        }
        Ok(())
    }

    fn make_shards(&mut self, key: Key) -> Result<(), Error> {
        let (outer, inner) = (usize::from(key.0[0]), usize::from(u16::from_be_bytes([key.0[0], key.0[1]])));
        if self.inner_made[inner] {
            return Ok(());
        }
        let path = blob_path(&self.store, key);
        let inner_path = path.parent().expect("an object lies in its shards");
        let outer_path = inner_path.parent().expect("an object lies in its shards");
        if !self.outer_made[outer] {
            self.make_directory(outer_path)?;
            self.outer_made[outer] = true;
        }
        self.make_directory(inner_path)?;
        self.inner_made[inner] = true;
        Ok(())
    }

    fn make_directory(&self, path: &Path) -> Result<(), Error> {
        match self.disk.create_directory(path) {
            Ok(()) if self.durability == Durability::Object => self.sync_parent(path),
            // An earlier attempt made it.
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e.into()),
            _ => Ok(()),
        }
    }

    fn sync_parent(&self, path: &Path) -> Result<(), Error> {
        Ok(self.disk.sync_directory(path.parent().expect("it lies in the store"))?)
    }
}

/// The directory of objects of the store at `root`.
pub fn objects_path(root: &Path) -> PathBuf {
    root.join(OBJECTS_NAME)
}

fn is_same(linked: &SourceIdentity, entry: &Entry) -> bool {
    (linked.inode, linked.len_bytes, linked.modified_secs, linked.modified_nanos)
        == (entry.inode, entry.len_bytes, entry.modified_secs, entry.modified_nanos)
}

fn link_error(error: DiskError) -> Error {
    match error.kind() {
        ErrorKind::CrossesDevices => Error::Usage {
            what: format!("{}: source and target are on different file systems", error.path.display()),
            next: "leave out --link, or take a target on the file system of the source".into(),
        },
        ErrorKind::TooManyLinks | ErrorKind::Unsupported | ErrorKind::PermissionDenied => {
            Error::Usage { what: format!("{error}: {}", error.source), next: "leave out --link".into() }
        }
        _ => error.into(),
    }
}
