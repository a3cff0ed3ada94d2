//! Writes objects to their paths in the v2 layout: blob, sidecar, and the directories above them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::converted::Blob;
use crate::cas::format::key::Key;
use crate::cas::format::record::ObjectRecord;
use crate::cas::options::Linking;
use crate::cas::paths::{OBJECTS_NAME, blob_path, sidecar_path};
use crate::cas::source::inventory::Entry;
use crate::cas::source::read::ReadRefusal;
use crate::cas::state::BlobMethod;
use crate::cas::store::index_keys::IndexKeys;
use crate::durable::{
    CopyMeans, Disk, DiskError, EntryKind, FaultClass, ReaderKind, SourceFile, SourceIdentity, source_identity,
};
use crate::migration::{Durability, Error};
use crate::pipeline::StopToken;

/// Directories of one level.
const SHARDS: usize = 256;
/// Room for the text of a sidecar.
const SIDECAR_BYTES_EXPECTED: usize = 320;

/// Writes objects into a directory that becomes a v2 store. Each object has one path, so a path that exists means that
/// the content exists already: no set of keys is needed to find duplicates.
pub struct Placer {
    stop: StopToken,
    disk: Arc<dyn Disk>,
    store: PathBuf,
    merged_into: Option<MergeTarget>,
    durability: Durability,
    linking: Linking,
    shards: Vec<Mutex<Shard>>,
}

/// What is known of the objects whose keys begin with one byte.
#[derive(Clone, Copy)]
struct Shard {
    is_made: bool,
    /// The directories in it, by the second byte.
    inner_made: [bool; SHARDS],
}

/// The store that objects are merged into.
pub struct MergeTarget {
    /// The path of the store.
    pub store: PathBuf,
    /// The keys that its readers see.
    pub listed: IndexKeys,
}

impl MergeTarget {
    /// Returns true if readers of the store can get the object: the index lists it, and the blob exists.
    fn has(&self, disk: &dyn Disk, key: Key) -> Result<bool, Error> {
        Ok(disk.kind(&blob_path(&self.store, key))?.is_some() && self.listed.has(key)?)
    }
}

/// An object that is placed.
pub struct IncomingObject<'a> {
    /// The record in the target.
    pub record: &'a ObjectRecord,
    /// Where the bytes are.
    pub blob: &'a Blob,
    /// The path in the source.
    pub source: &'a Path,
    /// The file in the source as the walk saw it.
    pub entry: &'a Entry,
}

/// The result for an object that was to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceResult {
    /// The target has it now.
    Migrated {
        /// How the blob came into it.
        method: BlobMethod,
        /// Length of the sidecar.
        sidecar_bytes: u64,
    },
    /// An earlier object of the source has the same content.
    Duplicate,
    /// The store that is merged into had it already.
    InTarget,
    /// It is left out.
    Refused(ReadRefusal),
}

/// The result for the blob of an object.
enum PlacedBlob {
    New(BlobMethod),
    Duplicate,
    Refused(ReadRefusal),
}

impl PlacedBlob {
    fn changed() -> Self {
        Self::Refused(ReadRefusal::changed("its name now belongs to another file"))
    }
}

impl Placer {
    /// Creates a placer for `store`, whose directory of objects exists. Objects that `merged_into` has are left out.
    pub fn new(
        disk: Arc<dyn Disk>,
        store: PathBuf,
        merged_into: Option<MergeTarget>,
        durability: Durability,
        linking: Linking,
        stop: StopToken,
    ) -> Self {
        Self {
            stop,
            disk,
            store,
            merged_into,
            durability,
            linking,
            shards: (0..SHARDS).map(|_| Mutex::new(Shard { is_made: false, inner_made: [false; SHARDS] })).collect(),
        }
    }

    /// Places an object with its sidecar. It does not wait for the disk unless each object is made durable. Objects of one
    /// key are placed one after the other. `bytes` are those that [`Blob::Bytes`] refers to.
    pub fn place(&self, incoming: &IncomingObject<'_>, bytes: &[u8]) -> Result<PlaceResult, Error> {
        let key = incoming.record.digest;
        if let Some(merged_into) = &self.merged_into
            && merged_into.has(&*self.disk, key)?
        {
            self.drop_staged(incoming.blob)?;
            return Ok(PlaceResult::InTarget);
        }
        self.make_shards(key)?;
        let path = blob_path(&self.store, key);
        let method = match self.place_blob(incoming, bytes, &path)? {
            PlacedBlob::New(method) => method,
            PlacedBlob::Duplicate => {
                self.check_duplicate(key, &path)?;
                return Ok(PlaceResult::Duplicate);
            }
            PlacedBlob::Refused(refusal) => return Ok(PlaceResult::Refused(refusal)),
        };
        let sidecar_path = sidecar_path(&self.store, key);
        let mut sidecar = Vec::with_capacity(SIDECAR_BYTES_EXPECTED);
        incoming.record.push_json(&mut sidecar);
        if self.durability == Durability::Each {
            self.disk.open_file(&path)?.sync()?;
            self.sync_parent(&path)?;
        }
        self.disk.write_new_file(&sidecar_path, &sidecar)?;
        if self.durability == Durability::Each {
            self.disk.open_file(&sidecar_path)?.sync()?;
            self.sync_parent(&sidecar_path)?;
        }
        Ok(PlaceResult::Migrated { method, sidecar_bytes: sidecar.len() as u64 })
    }

    fn place_blob(&self, incoming: &IncomingObject<'_>, bytes: &[u8], path: &Path) -> Result<PlacedBlob, Error> {
        let (written, method) = match incoming.blob {
            Blob::Bytes(range) => (self.disk.write_new_file(path, &bytes[range.clone()]), BlobMethod::Copied),
            Blob::Linked => return self.link_blob(incoming, path),
            Blob::Staged { path: staged, method } => {
                // The run's lock keeps others away, so nothing can create the path after this check.
                if self.disk.kind(path)?.is_some() {
                    self.disk.remove_file(staged)?;
                    return Ok(PlacedBlob::Duplicate);
                }
                (self.disk.rename(staged, path), *method)
            }
            Blob::Hashed => {
                return Err(Error::Accounting { what: "a blob that was only hashed cannot be placed".into() });
            }
        };
        match written {
            Ok(()) => Ok(PlacedBlob::New(method)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(PlacedBlob::Duplicate),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives the source's file a second name, or copies it where the system refuses that for this file: it is immutable,
    /// has too many names, belongs to somebody else, or is on another file system.
    fn link_blob(&self, incoming: &IncomingObject<'_>, path: &Path) -> Result<PlacedBlob, Error> {
        match self.disk.hard_link(incoming.source, path) {
            Ok(()) => self.check_link(incoming, path),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(PlacedBlob::Duplicate),
            Err(e) if e.fault_class() != FaultClass::Item => Err(e.into()),
            Err(e) if self.linking == Linking::Always => Err(link_error(e)),
            Err(_) => self.copy_blob(incoming, path),
        }
    }

    /// Copies the file whose bytes were hashed.
    fn copy_blob(&self, incoming: &IncomingObject<'_>, path: &Path) -> Result<PlacedBlob, Error> {
        let source = match SourceFile::open(incoming.source, ReaderKind::Pread) {
            Ok(source) if is_same(&source.identity(), incoming.entry) => source,
            Ok(_) => return Ok(PlacedBlob::changed()),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(PlacedBlob::changed()),
            Err(e) if e.fault_class() == FaultClass::Item => {
                return Ok(PlacedBlob::Refused(ReadRefusal::unreadable(&e)));
            }
            Err(e) => return Err(e.into()),
        };
        let method = match self.disk.copy_new_file(&source, path, CopyMeans::Auto, &self.stop.check()) {
            Ok(method) => method.into(),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(PlacedBlob::Duplicate),
            Err(e) => {
                // Half a copy must not be taken for an object that is there.
                if self.disk.kind(path)?.is_some() {
                    self.disk.remove_file(path)?;
                }
                return Err(e.into());
            }
        };
        if source.check_unchanged().is_err() {
            self.disk.remove_file(path)?;
            return Ok(PlacedBlob::changed());
        }
        Ok(PlacedBlob::New(method))
    }

    /// Fails unless the blob and the sidecar are files, as this run has placed them. Anything else in their place, such as a
    /// link, would be published in the place of the object.
    fn check_duplicate(&self, key: Key, blob: &Path) -> Result<(), Error> {
        for placed in [blob, &sidecar_path(&self.store, key)] {
            if self.disk.kind(placed)? != Some(EntryKind::File) {
                return Err(Error::State {
                    path: blob.to_path_buf(),
                    what: "something is in the place of an object that this run has not put there".into(),
                    next: "remove it, then run the same command again".into(),
                    damaged: false,
                    source: None,
                });
            }
        }
        Ok(())
    }

    /// Refuses the object unless the link is to the file whose bytes were hashed.
    fn check_link(&self, incoming: &IncomingObject<'_>, path: &Path) -> Result<PlacedBlob, Error> {
        let linked = source_identity(path)?;
        if linked.is_some_and(|linked| is_same(&linked, incoming.entry)) {
            return Ok(PlacedBlob::New(BlobMethod::Linked));
        }
        self.disk.remove_file(path)?;
        Ok(PlacedBlob::changed())
    }

    fn drop_staged(&self, blob: &Blob) -> Result<(), Error> {
        if let Blob::Staged { path, .. } = blob {
            self.disk.remove_file(path)?;
        }
        Ok(())
    }

    fn make_shards(&self, key: Key) -> Result<(), Error> {
        let [outer, inner, ..] = key.0;
        // Remembered in a table, because a system call for each of millions of objects would cost more than the 64 KiB.
        let mut shard = self.shards[usize::from(outer)].lock();
        if shard.inner_made[usize::from(inner)] {
            return Ok(());
        }
        let path = blob_path(&self.store, key);
        let inner_path = path.parent().expect("an object has two shards");
        let outer_path = inner_path.parent().expect("an object has two shards");
        if !shard.is_made {
            self.make_directory(outer_path)?;
            shard.is_made = true;
        }
        self.make_directory(inner_path)?;
        shard.inner_made[usize::from(inner)] = true;
        Ok(())
    }

    fn make_directory(&self, path: &Path) -> Result<(), Error> {
        match self.disk.create_directory(path) {
            Ok(()) if self.durability == Durability::Each => self.sync_parent(path),
            // An earlier attempt made it.
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e.into()),
            _ => Ok(()),
        }
    }

    fn sync_parent(&self, path: &Path) -> Result<(), Error> {
        Ok(self.disk.sync_directory(path.parent().expect("it is in the store"))?)
    }
}

/// Returns the directory of objects of the store at `root`.
pub fn objects_path(root: &Path) -> PathBuf {
    root.join(OBJECTS_NAME)
}

fn is_same(linked: &SourceIdentity, entry: &Entry) -> bool {
    (linked.inode, linked.len_bytes, linked.modified_secs, linked.modified_nanos)
        == (entry.inode, entry.len_bytes, entry.modified_secs, entry.modified_nanos)
}

/// Returns the error of a run that must link every blob and may not link one.
pub(super) fn link_error(error: DiskError) -> Error {
    let next = "use --link, which copies what cannot be linked".into();
    match error.kind() {
        ErrorKind::CrossesDevices => Error::Usage {
            what: format!("{}: source and target are on different file systems", error.path.display()),
            next,
        },
        _ => Error::Usage { what: format!("{error}: {}", error.source), next },
    }
}
