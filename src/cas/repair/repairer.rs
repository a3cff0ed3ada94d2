//! Writes the results of a repair: sidecars as they come, the index at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::examine::Examined;
use crate::cas::format::record::ObjectRecord;
use crate::cas::migrate::seal::IndexFile;
use crate::cas::paths::{INDEX_NAME, TargetPaths, blob_path, sidecar_bytes, sidecar_path};
use crate::cas::state::SealedIndex;
use crate::cas::verify::Tally;
use crate::durable::{Attributes, Disk, EntryKind, copy_file, file_digest_if_present, replace_file_with};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Receives the intact objects in the order of keys.
pub trait Repairer: Send {
    /// Writes the sidecar of an object, and replaces the one that is there.
    fn write_sidecar(&mut self, record: &ObjectRecord) -> Result<(), Error>;
    /// Adds the line of an object to the new index.
    fn push_line(&mut self, record: &ObjectRecord) -> Result<(), Error>;
}

/// Counts the results and passes on the intact objects.
pub struct RepairWriter<M> {
    /// Receives the intact objects.
    pub repairer: M,
    /// Faults that are not repaired.
    pub left: Tally,
    /// Intact objects.
    pub objects_sound: u64,
    /// Sidecars that were written.
    pub sidecars_written: u64,
    /// Lines of the old index without an intact object.
    pub lines_dropped: u64,
}

impl<M> RepairWriter<M> {
    /// Creates a writer that starts with the faults `left`.
    pub fn new(repairer: M, left: Tally) -> Self {
        Self { repairer, left, objects_sound: 0, sidecars_written: 0, lines_dropped: 0 }
    }
}

impl<M: Repairer> RepairWriter<M> {
    /// Adds a batch, in the order of keys.
    pub fn write(&mut self, examined: Vec<Examined>) -> Result<(), Error> {
        for one in examined {
            match one {
                Examined::Sound { record, needs_sidecar } => {
                    if needs_sidecar {
                        self.repairer.write_sidecar(&record)?;
                        self.sidecars_written += 1;
                    }
                    self.repairer.push_line(&record)?;
                    self.objects_sound += 1;
                }
                Examined::Left { fault, lines } => {
                    self.left.add(fault);
                    self.lines_dropped += lines;
                }
            }
        }
        Ok(())
    }
}

/// Repairs a store on a disk.
pub struct DiskRepairer {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    index: IndexFile,
    lines: u64,
}

impl DiskRepairer {
    /// Creates a repairer of the store at `root`. Its new index is written to the file `staged`.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, staged: &Path) -> Result<Self, Error> {
        let index = IndexFile::create(&*disk, staged)?;
        Ok(Self { disk, root, index, lines: 0 })
    }

    /// Returns the new index, which is not in its place yet.
    pub fn finish(self) -> Result<SealedIndex, Error> {
        self.index.finish(self.lines)
    }
}

impl Repairer for DiskRepairer {
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
