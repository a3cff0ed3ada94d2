//! Writes the results of a repair: sidecars as they come, the index at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::examine::{Examined, LostObject};
use super::other_copy::{FoundObject, OtherCopy};
use crate::cas::format::key::Key;
use crate::cas::format::record::ObjectRecord;
use crate::cas::migrate::seal::IndexFile;
use crate::cas::paths::{INDEX_NAME, OBJECTS_NAME, TargetPaths, blob_path, sidecar_bytes, sidecar_path};
use crate::cas::source::scan::unreadable_text;
use crate::cas::state::SealedIndex;
use crate::cas::verify::{FaultKind, Tally, VerifyFault};
use crate::durable::{
    Attributes, Disk, EntryKind, FaultClass, NEVER, ReadRoot, ReaderKind, SourceFile, WindowError, copy_file,
    create_directory_durable, file_digest_if_present, for_each_chunk, parent_of, replace_file_with, write_synced_file,
};
use crate::migration::Error;
use crate::migration::plan::escape_name;
use crate::pipeline::StopToken;

/// The name in the directory of objects under which a copy is made. It is one of those that `put` uses and clears.
const TEMPORARY_NAME: &str = ".tmp_0";

/// Receives the intact objects in the order of keys.
pub trait Repairer: Send {
    /// Puts an intact object of another store in the place of a damaged or missing one, of which the bytes are kept.
    fn restore(&mut self, from: &Path, record: &ObjectRecord) -> Result<(), Error>;
    /// Writes the sidecar of an object, and replaces the one that is there.
    fn write_sidecar(&mut self, record: &ObjectRecord) -> Result<(), Error>;
    /// Adds the line of an object to the new index.
    fn push_line(&mut self, record: &ObjectRecord) -> Result<(), Error>;
}

/// Counts the results and passes on the intact objects.
pub struct RepairWriter<'a, M> {
    /// Receives the intact objects.
    pub repairer: M,
    /// The store, which is asked whether its files can be replaced.
    store: Arc<dyn ReadRoot>,
    /// True if an object may be intact that cannot be read: an index without it would hide it.
    pub is_index_open: bool,
    /// Where damaged and missing objects may come back from.
    other: Option<OtherCopy<'a>>,
    /// The key of the last object that came back: a sidecar without a blob and the line of its object are two items.
    last_restored: Option<Key>,
    /// The key of the last object that the other store has, and that could not be put in its place.
    last_in_the_way: Option<Key>,
    /// Faults that are not repaired.
    pub left: Tally,
    /// Intact objects.
    pub objects_sound: u64,
    /// Sidecars that were written.
    pub sidecars_written: u64,
    /// Lines of the old index without an intact object.
    pub lines_dropped: u64,
    /// Objects that came back from the other store.
    pub restored: u64,
    /// Objects that the other store does not have intact.
    pub not_found: u64,
}

impl<'a, M> RepairWriter<'a, M> {
    /// Creates a writer that starts with the faults `left`.
    pub fn new(repairer: M, store: Arc<dyn ReadRoot>, left: Tally, other: Option<OtherCopy<'a>>) -> Self {
        Self {
            repairer,
            store,
            is_index_open: false,
            other,
            last_restored: None,
            last_in_the_way: None,
            left,
            objects_sound: 0,
            sidecars_written: 0,
            lines_dropped: 0,
            restored: 0,
            not_found: 0,
        }
    }
}

impl<M: Repairer> RepairWriter<'_, M> {
    /// Adds a batch, in the order of keys.
    pub fn write(&mut self, examined: Vec<Examined>) -> Result<(), Error> {
        for one in examined {
            match one {
                Examined::Sound { record, needs_sidecar } => {
                    if needs_sidecar {
                        let sidecar = sidecar_path(Path::new("."), record.digest);
                        match self.unless_in_the_way(&sidecar, |repairer| repairer.write_sidecar(&record))? {
                            Ok(()) => self.sidecars_written += 1,
                            Err(text) => self.leave(record.digest, format!("its sidecar cannot be written: {text}")),
                        }
                    }
                    self.repairer.push_line(&record)?;
                    self.objects_sound += 1;
                }
                Examined::Left { lost: Some(lost), .. } if self.restore(&lost)? => {}
                Examined::Left { fault, lines, lost } => {
                    let is_found = lost.is_none_or(|lost| self.last_in_the_way == Some(lost.key));
                    let is_missed = self.other.is_some() && !is_found && fault.kind != FaultKind::LoneSidecar;
                    self.not_found += u64::from(is_missed);
                    self.left.add(fault);
                    self.lines_dropped += lines;
                }
                Examined::Unreadable { error, lost } => {
                    if self.restore(&lost)? {
                        continue;
                    }
                    if error.fault_class() != FaultClass::Item {
                        return Err(error.into());
                    }
                    let text = format!("{}: it may be intact, so the index is not written", unreadable_text(&error));
                    self.is_index_open = true;
                    self.leave(lost.key, text);
                }
            }
        }
        Ok(())
    }

    /// Brings the object back from the other store. Returns false if that has no intact copy of it.
    fn restore(&mut self, lost: &LostObject) -> Result<bool, Error> {
        if self.last_restored == Some(lost.key) {
            return Ok(true);
        }
        let found = self.other.as_mut().map_or(Ok(None), |other| other.find(lost))?;
        let Some(FoundObject { path, record }) = found else { return Ok(false) };
        let record = ObjectRecord { created_at: lost.created_at.unwrap_or(record.created_at), ..record };
        let blob = blob_path(Path::new("."), record.digest);
        let restored = self.unless_in_the_way(&blob, |repairer| {
            repairer.restore(&path, &record)?;
            repairer.write_sidecar(&record)
        })?;
        if let Err(text) = restored {
            self.leave(record.digest, format!("it cannot be replaced: {text}"));
            self.last_in_the_way = Some(record.digest);
            return Ok(false);
        }
        self.repairer.push_line(&record)?;
        self.last_restored = Some(lost.key);
        self.objects_sound += 1;
        self.restored += 1;
        Ok(true)
    }
}

impl<M: Repairer> RepairWriter<'_, M> {
    /// Replaces a file of the store. Returns why it cannot be replaced, if that concerns this file alone: a dry run finds
    /// out the same.
    fn unless_in_the_way(
        &mut self,
        file: &Path,
        replace: impl FnOnce(&mut M) -> Result<(), Error>,
    ) -> Result<Result<(), String>, Error> {
        let directory = self.store.names(parent_of(file), &mut |_, _| {});
        if let (Ok(()), Some(obstacle)) = (directory, self.store.obstacle(file).ok().flatten()) {
            return Ok(Err(obstacle.to_string()));
        }
        match replace(&mut self.repairer) {
            Err(Error::Disk(error)) if error.fault_class() == FaultClass::Item => Ok(Err(unreadable_text(&error))),
            replaced => Ok(Ok(replaced?)),
        }
    }

    fn leave(&mut self, key: Key, text: String) {
        let path = blob_path(Path::new("."), key);
        let path = path.strip_prefix(".").unwrap_or(&path);
        self.left.add(VerifyFault::new(FaultKind::Unreadable, escape_name(path.as_os_str()), Some(key), text));
    }
}

/// Repairs a store on a disk.
pub struct DiskRepairer {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Where damaged blobs are kept.
    damaged: PathBuf,
    index: IndexFile,
    lines: u64,
}

impl DiskRepairer {
    /// Creates a repairer of the store at `root`. Its new index is written to the file `staged`.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, staged: &Path, damaged: PathBuf) -> Result<Self, Error> {
        let index = IndexFile::create(&*disk, staged, None)?;
        Ok(Self { disk, root, damaged, index, lines: 0 })
    }

    /// Returns the new index, which is not in its place yet.
    pub fn finish(self) -> Result<SealedIndex, Error> {
        self.index.finish(self.lines)
    }
}

impl DiskRepairer {
    /// Gives the blob a second name, so that its bytes survive the replacement.
    fn keep(&self, blob: &Path, key: Key) -> Result<(), Error> {
        create_directory_durable(&*self.disk, &self.damaged)?;
        let mut kept = self.damaged.join(key.to_string());
        for number in 1.. {
            if self.disk.kind(&kept)?.is_none() {
                break;
            }
            kept = self.damaged.join(format!("{key}.{number}"));
        }
        match self.disk.hard_link(blob, &kept) {
            Ok(()) => Ok(self.disk.sync_directory(&self.damaged)?),
            Err(error) if error.fault_class() == FaultClass::Item => {
                copy_file(&*self.disk, blob, &kept, Attributes::Of(blob), NEVER)?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Copies the blob to a name that no reader looks for, and fails unless the copy has the bytes that were identified.
    fn stage(&self, from: &Path, attributes: Attributes<'_>, record: &ObjectRecord) -> Result<PathBuf, Error> {
        let temporary = self.root.join(OBJECTS_NAME).join(TEMPORARY_NAME);
        let source = SourceFile::open(from, ReaderKind::Pread)?;
        let len_bytes = source.identity().len_bytes;
        let mut hasher = blake3::Hasher::new();
        write_synced_file::<Error>(&*self.disk, &temporary, attributes, |file| {
            for_each_chunk(
                0..len_bytes,
                NEVER,
                |offset, chunk| source.read_exact_at(offset, chunk).map_err(|fault| source_changed(from, &fault)),
                |offset, chunk| {
                    hasher.update(chunk);
                    Ok(file.write_all_at(offset, chunk)?)
                },
            )
        })?;
        if len_bytes != record.stored_size || *hasher.finalize().as_bytes() != record.stored_blob_hash.0 {
            self.disk.remove_file(&temporary)?;
            let what = "its bytes changed while it was copied".to_owned();
            return Err(Error::SourceChanged { path: from.to_path_buf(), what });
        }
        Ok(temporary)
    }
}

fn source_changed(path: &Path, fault: &WindowError) -> Error {
    Error::SourceChanged { path: path.to_path_buf(), what: fault.to_string() }
}

impl Repairer for DiskRepairer {
    fn restore(&mut self, from: &Path, record: &ObjectRecord) -> Result<(), Error> {
        let blob = blob_path(&self.root, record.digest);
        create_directory_durable(&*self.disk, parent_of(&blob))?;
        let is_there = self.disk.kind(&blob)? == Some(EntryKind::File);
        let attributes = if is_there { Attributes::Of(&blob) } else { Attributes::OfReplaced };
        let staged = self.stage(from, attributes, record)?;
        if is_there {
            self.keep(&blob, record.digest)?;
        }
        self.disk.rename(&staged, &blob)?;
        Ok(self.disk.sync_directory(parent_of(&blob))?)
    }

    fn write_sidecar(&mut self, record: &ObjectRecord) -> Result<(), Error> {
        let path = sidecar_path(&self.root, record.digest);
        // A sidecar that was missing gets the owner and the permissions of its blob.
        let blob = blob_path(&self.root, record.digest);
        let attributes = match self.disk.kind(&path)? {
            Some(EntryKind::File) => Attributes::OfReplaced,
            _ => Attributes::Of(&blob),
        };
        let bytes = sidecar_bytes(record);
        replace_file_with::<Error>(&*self.disk, &path, attributes, |file| Ok(file.write_all_at(0, &bytes)?)).map(|_| ())
    }

    fn push_line(&mut self, record: &ObjectRecord) -> Result<(), Error> {
        self.lines += 1;
        self.index.push(record)
    }
}

/// Repairs nothing: it has no disk, and only computes the new index.
#[derive(Default)]
pub struct DryRepairer {
    line: Vec<u8>,
    hasher: blake3::Hasher,
    len_bytes: u64,
    rows: u64,
}

impl DryRepairer {
    /// Returns the index that a repair would write.
    pub fn finish(self) -> SealedIndex {
        SealedIndex { rows: self.rows, len_bytes: self.len_bytes, digest: *self.hasher.finalize().as_bytes() }
    }
}

impl Repairer for DryRepairer {
    fn restore(&mut self, _: &Path, _: &ObjectRecord) -> Result<(), Error> {
        Ok(())
    }

    fn write_sidecar(&mut self, _: &ObjectRecord) -> Result<(), Error> {
        Ok(())
    }

    fn push_line(&mut self, record: &ObjectRecord) -> Result<(), Error> {
        self.line.clear();
        record.push_json(&mut self.line);
        self.line.push(b'\n');
        self.hasher.update(&self.line);
        self.len_bytes += self.line.len() as u64;
        self.rows += 1;
        Ok(())
    }
}

/// Returns true if the store has that index already.
pub fn is_index(disk: &dyn Disk, root: &Path, index: &SealedIndex, stop: &StopToken) -> Result<bool, Error> {
    let path = root.join(INDEX_NAME);
    let is_file = disk.kind(&path)? == Some(EntryKind::File);
    Ok(is_file && file_digest_if_present(disk, &path, &stop.check())? == Some(index.file()))
}

/// Replaces the index of the store by the staged one, after the old index was copied to a name that its content
/// determines. Returns the path of the copy.
pub fn install_index(
    disk: &dyn Disk,
    paths: &TargetPaths,
    root: &Path,
    staged: &Path,
    stop: &StopToken,
) -> Result<Option<PathBuf>, Error> {
    let path = root.join(INDEX_NAME);
    let backup = match file_digest_if_present(disk, &path, &stop.check())? {
        None => None,
        Some(index) => {
            let backup = paths.index_before_repair(&index.digest);
            if disk.kind(&backup)?.is_none() {
                copy_file(disk, &path, &backup, Attributes::Of(&path), &stop.check())?;
            }
            Some(backup)
        }
    };
    copy_file(disk, staged, &path, Attributes::OfReplaced, &stop.check())?;
    Ok(backup)
}
