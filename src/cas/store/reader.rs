//! Reads a v2 store, and returns no content that does not match its name (docs/source-requiem.md, "How the reference
//! reads").

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::blob::read_blob;
use super::file_bytes::FileBytes;
use super::index::{IndexReader, LineContent};
use super::objects::Objects;
use super::sidecar::{Sidecar, read_sidecar};
use crate::cas::format::key::Key;
use crate::cas::format::key_text::{Candidates, KeyText};
use crate::cas::format::record::ObjectRecord;
use crate::cas::paths::StorePaths;
use crate::durable::{
    Attributes, Disk, DiskError, EntryKind, NewModes, RealDisk, parent_of, replace_shared_file, with_modes,
};
use crate::migration::Error;

/// Directories above an object that are of the store: two of shards, that of the objects, the root.
const OBJECT_DIRECTORIES: usize = 4;

/// A v2 store that is open for reading. It is never written or locked.
///
/// ```no_run
/// # fn main() -> Result<(), haul::Error> {
/// use haul::{CasStore, Key};
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
    /// `index.ndjson`: without an index, readers see no object.
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
            return Err(no_store(format!("{} is not a v2 store: it has no objects directory", root.display())));
        }
        let index = paths.index();
        match disk.kind(&index)? {
            Some(EntryKind::File) => Ok(Self { disk, paths }),
            None => Err(no_index(&index, "it is missing, and without it readers see no object")),
            Some(EntryKind::Directory | EntryKind::Other) => Err(no_index(&index, "it is not a regular file")),
        }
    }

    /// Returns the paths of the store.
    pub fn paths(&self) -> &StorePaths {
        &self.paths
    }

    /// Returns the disk of the store.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Returns a reader of the index.
    pub fn index(&self) -> Result<IndexReader<FileBytes>, Error> {
        Ok(IndexReader::open(&*self.disk, &self.paths.index())?)
    }

    /// Returns the record of an object in the index: the last line with that key. Reads the index to its end.
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

    /// Returns the keys in the index that begin as the text says. Reads the index to its end.
    pub fn find(&self, text: &KeyText) -> Result<Candidates, Error> {
        let path = self.paths.index();
        let (mut index, mut found) = (self.index()?, Candidates::default());
        while let Some(line) = index.next().map_err(|e| DiskError::new("read", &path, e))? {
            if let LineContent::Record(parsed) = line.content
                && text.begins(parsed.record.digest)
            {
                found.add(parsed.record.digest);
            }
        }
        Ok(found)
    }

    /// Returns true if the index lists the object. Reads the index to its end.
    pub fn contains(&self, key: Key) -> Result<bool, Error> {
        Ok(self.info(key)?.is_some())
    }

    /// Returns all objects in the order of their keys.
    pub fn objects(&self) -> Result<Objects, Error> {
        Ok(Objects::walk(self.disk.clone(), self.paths.clone())?)
    }

    /// Writes the content of the object to `sink` and returns its sidecar; `None` if the store does not have it. The
    /// blob is read twice: `sink` gets nothing before the whole blob was verified.
    ///
    /// # Errors
    /// [`Error::Verification`] if the object is damaged or the index does not list it, [`Error::Disk`] if `sink` fails.
    /// Something was written by then only if the blob changed between the two reads.
    pub fn get(&self, key: Key, sink: &mut dyn Write) -> Result<Option<ObjectRecord>, Error> {
        let Some(record) = self.verify(key)? else { return Ok(None) };
        let wrap = |e: io::Error| DiskError::new("write content to", Path::new("the output"), e);
        self.content(&record, |piece| Ok(sink.write_all(piece).map_err(wrap)?))?;
        sink.flush().map_err(wrap)?;
        Ok(Some(record))
    }

    /// Works like [`get`](Self::get), but writes a file. The file gets its name when it is complete and durable, and keeps
    /// the owner and the permissions of one that it replaces.
    ///
    /// # Errors
    /// Those of `get`, and [`Error::Usage`] if `path` exists and is not a regular file.
    pub fn get_to_file(&self, key: Key, path: &Path) -> Result<Option<ObjectRecord>, Error> {
        if matches!(self.disk.kind(path)?, Some(EntryKind::Directory | EntryKind::Other)) {
            let next = "name a file that does not exist yet".into();
            return Err(Error::Usage { what: format!("{} is not a regular file", path.display()), next });
        }
        self.check_outside(path)?;
        let Some(record) = self.locate(key)? else { return Ok(None) };
        let disk = with_modes(&self.disk, self.modes_of(key)?);
        let not_kept = replace_shared_file(&*disk, path, Attributes::OfReplaced, |file| {
            let mut offset = 0;
            self.content(&record, |piece| {
                file.write_all_at(offset, piece)?;
                offset += piece.len() as u64;
                Ok(())
            })
        });
        not_kept.map(|_| Some(record))
    }

    /// Returns what those may do who may read the object.
    fn modes_of(&self, key: Key) -> Result<NewModes, DiskError> {
        if !self.disk.is_system() {
            return Ok(NewModes::ANY);
        }
        let blob = self.paths.blob(key);
        let directories = blob.ancestors().skip(1).take(OBJECT_DIRECTORIES);
        NewModes::of_sources(directories.chain([&*blob]))
    }

    /// Fails if a file at `path` would take the place of a part of the store.
    fn check_outside(&self, path: &Path) -> Result<(), Error> {
        let resolved = |path: &Path| std::fs::canonicalize(path).ok();
        let inside = [Some(self.paths.root().to_path_buf()), Some(self.paths.objects())].into_iter().flatten();
        let directory = resolved(parent_of(path));
        match inside
            .filter_map(|inside| resolved(&inside))
            .find(|inside| directory.iter().any(|it| it.starts_with(inside)))
        {
            None => Ok(()),
            Some(inside) => Err(Error::Usage {
                what: format!("{} is in the store {}", path.display(), inside.display()),
                next: "name a file outside of the store".into(),
            }),
        }
    }

    /// Reads the object and checks everything that the reference checks, and the sizes: blob, index, sidecar, digest of
    /// the blob, decoding, key of the content. `None` if the store does not have the object.
    pub fn verify(&self, key: Key) -> Result<Option<ObjectRecord>, Error> {
        let Some(record) = self.locate(key)? else { return Ok(None) };
        self.content(&record, |_| Ok(()))?;
        Ok(Some(record))
    }

    /// Returns the sidecar of an object that has a blob and is in the index.
    fn locate(&self, key: Key) -> Result<Option<ObjectRecord>, Error> {
        let blob = self.paths.blob(key);
        match (self.disk.kind(&blob)?, self.contains(key)?) {
            (None, false) => Ok(None),
            (None, true) => Err(damaged(&blob, "it is missing, although the index lists it")),
            (Some(EntryKind::Directory | EntryKind::Other), _) => Err(damaged(&blob, "it is not a regular file")),
            (Some(EntryKind::File), false) => Err(damaged(&blob, "the index does not list it")),
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

    /// Gives the content to `sink` while it is checked. Only the end shows whether it was right.
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
    let next = "rebuild it from the objects with haul cas verify --repair; migrate a store of an older generation";
    Error::Verification { what: format!("{}: {what}", path.display()), next: next.into(), source: None }
}

fn damaged(path: &Path, what: &str) -> Error {
    let next = "see what else is damaged with haul cas verify, and put the object again from its source";
    Error::Verification { what: format!("{}: {what}", path.display()), next: next.into(), source: None }
}
