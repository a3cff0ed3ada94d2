//! Reads a v2 store, and gives no content that is not what its name says (spec/requiem.md A3).

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::blob::read_blob;
use super::file_bytes::FileBytes;
use super::index::{IndexReader, LineContent};
use super::objects::Objects;
use super::sidecar::{Sidecar, read_sidecar};
use crate::cas::format::key::Key;
use crate::cas::format::record::ObjectRecord;
use crate::cas::paths::StorePaths;
use crate::durable::{Disk, DiskError, EntryKind, RealDisk, replace_file_with, temporary_name};
use crate::migration::Error;

/// A v2 store, open for reading. Nothing in it is ever written or locked.
///
/// ```no_run
/// # fn main() -> Result<(), haul::migration::Error> {
/// use haul::cas::{Key, store::CasStore};
///
/// let store = CasStore::open(".requiem/cas/v2".as_ref())?;
/// let key = Key::parse(b"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d").expect("a key");
/// let mut content = Vec::new();
/// if let Some(record) = store.get(key, &mut content)? {
///     assert_eq!(content.len() as u64, record.original_size);
/// }
/// let mut objects = store.objects()?;
/// while let Some(object) = objects.next()? {
///     println!("{} {}", object.key, object.stored_size);
/// }
/// # Ok(())
/// # }
/// ```
pub struct CasStore {
    disk: Arc<dyn Disk>,
    paths: StorePaths,
}

impl CasStore {
    /// Opens the store in the directory `root`.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such directory or it has no `objects`, [`Error::Verification`] if it has no
    /// `index.ndjson`: without it no reader sees an object.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::open_on(Arc::new(RealDisk), root)
    }

    /// Opens a store on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, root: &Path) -> Result<Self, Error> {
        let paths = StorePaths::new(root);
        if disk.kind(root)?.is_none() {
            return Err(no_store(format!("there is no {}", root.display())));
        }
        if matches!(disk.kind(&paths.objects())?, None | Some(EntryKind::File)) {
            return Err(no_store(format!("{} is no v2 store: it has no objects directory", root.display())));
        }
        let index = paths.index();
        match disk.kind(&index)? {
            Some(EntryKind::File) => Ok(Self { disk, paths }),
            None => Err(no_index(&index, "it is missing, and without it no reader sees an object")),
            Some(EntryKind::Directory | EntryKind::Other) => Err(no_index(&index, "it is not a regular file")),
        }
    }

    /// Where its parts lie.
    pub fn paths(&self) -> &StorePaths {
        &self.paths
    }

    /// The disk it lies on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The lines of its index.
    pub fn index(&self) -> Result<IndexReader<FileBytes>, Error> {
        Ok(IndexReader::open(&*self.disk, &self.paths.index())?)
    }

    /// What the index says of the object: its last line with that key. Reads the index to its end.
    pub fn info(&self, key: Key) -> Result<Option<ObjectRecord>, Error> {
        let path = self.paths.index();
        let mut index = self.index()?;
        let mut found = None;
        while let Some(line) = index.next().map_err(|e| DiskError::new("read", &path, e))? {
            if let LineContent::Record(parsed) = line.content
                && parsed.record.digest == key
            {
                found = Some(parsed.record);
            }
        }
        Ok(found)
    }

    /// True if the index knows the object. Reads the index to its end.
    pub fn contains(&self, key: Key) -> Result<bool, Error> {
        Ok(self.info(key)?.is_some())
    }

    /// All objects in the order of their keys.
    pub fn objects(&self) -> Result<Objects, Error> {
        Ok(Objects::walk(self.disk.clone(), self.paths.clone())?)
    }

    /// Writes the content of the object to `sink` and returns its sidecar, `None` if the store does not know it. The
    /// blob is read twice: `sink` gets nothing before all of it was verified.
    ///
    /// # Errors
    /// [`Error::Verification`] if the object is damaged or the index does not know it, [`Error::Disk`] if `sink` does
    /// not take the content. Only if the blob changes in between was something written by then.
    pub fn get(&self, key: Key, sink: &mut dyn Write) -> Result<Option<ObjectRecord>, Error> {
        let Some(record) = self.verify(key)? else { return Ok(None) };
        let wrap = |e: io::Error| DiskError::new("write content to", Path::new("the output"), e);
        self.content(&record, |piece| Ok(sink.write_all(piece).map_err(wrap)?))?;
        sink.flush().map_err(wrap)?;
        Ok(Some(record))
    }

    /// As [`get`](Self::get), into a file: it has its name, whole and durable, when this returns, and none before.
    ///
    /// # Errors
    /// As of `get`, and [`Error::Usage`] if something stands at `path` that is not a regular file.
    pub fn get_to_file(&self, key: Key, path: &Path) -> Result<Option<ObjectRecord>, Error> {
        if matches!(self.disk.kind(path)?, Some(EntryKind::Directory | EntryKind::Other)) {
            let next = "name a file that does not exist yet".into();
            return Err(Error::Usage { what: format!("{} is not a regular file", path.display()), next });
        }
        let Some(record) = self.locate(key)? else { return Ok(None) };
        let written = replace_file_with(&*self.disk, path, None, |file| {
            let mut offset = 0;
            self.content(&record, |piece| {
                file.write_all_at(offset, piece)?;
                offset += piece.len() as u64;
                Ok(())
            })
        });
        if written.is_err() {
            // Why there is no content matters more than what is left of it.
            let _ = self.disk.remove_file(&temporary_name(path));
        }
        written.map(|()| Some(record))
    }

    /// Reads the object and checks all that the reference checks, and the sizes: blob, index, sidecar, digest of the
    /// blob, its decoding, key of the content. `None` if the store does not know it.
    pub fn verify(&self, key: Key) -> Result<Option<ObjectRecord>, Error> {
        let Some(record) = self.locate(key)? else { return Ok(None) };
        self.content(&record, |_| Ok(()))?;
        Ok(Some(record))
    }

    /// The sidecar of an object that has a blob and is in the index.
    fn locate(&self, key: Key) -> Result<Option<ObjectRecord>, Error> {
        let blob = self.paths.blob(key);
        match (self.disk.kind(&blob)?, self.contains(key)?) {
            (None, false) => Ok(None),
            (None, true) => Err(damaged(&blob, "it is missing, although the index knows it")),
            (Some(EntryKind::Directory | EntryKind::Other), _) => Err(damaged(&blob, "it is not a regular file")),
            (Some(EntryKind::File), false) => Err(damaged(&blob, "the index does not know it")),
            (Some(EntryKind::File), true) => self.sidecar(key).map(Some),
        }
    }

    fn sidecar(&self, key: Key) -> Result<ObjectRecord, Error> {
        let path = self.paths.sidecar(key);
        match read_sidecar(&*self.disk, &path)? {
            Sidecar::Parsed(parsed) if parsed.record.digest == key => Ok(parsed.record),
            Sidecar::Parsed(parsed) => Err(damaged(&path, &format!("its digest is {}", parsed.record.digest))),
            Sidecar::Faulty { fault, .. } => Err(damaged(&path, &fault.to_string())),
            Sidecar::Missing => Err(damaged(&path, "it is missing")),
            Sidecar::NotAFile => Err(damaged(&path, "it is not a regular file")),
        }
    }

    /// Gives the content to `sink` and checks it on the way; only at the end is it known to be what it should.
    fn content(&self, record: &ObjectRecord, sink: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let path = self.paths.blob(record.digest);
        let mut buffer = Vec::new();
        let read = read_blob(&*self.disk, &path, record.encoding, record.original_size, &mut buffer, sink)?;
        let digests = read.map_err(|fault| damaged(&path, &fault.to_string()))?;
        match digests.difference(record) {
            Some(what) => Err(damaged(&path, &what)),
            None => Ok(()),
        }
    }
}

fn no_store(what: String) -> Error {
    Error::Usage { what, next: "name the directory that holds objects and index.ndjson".into() }
}

fn no_index(path: &Path, what: &str) -> Error {
    let next = "rebuild it from the objects with haul cas verify --repair; a store of an older generation is migrated";
    Error::Verification { what: format!("{}: {what}", path.display()), next: next.into(), source: None }
}

fn damaged(path: &Path, what: &str) -> Error {
    let next = "see what else is damaged with haul cas verify, and put the object in again from its source";
    Error::Verification { what: format!("{}: {what}", path.display()), next: next.into(), source: None }
}
