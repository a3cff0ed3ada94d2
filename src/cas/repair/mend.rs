//! Writes what a repair writes: sidecars as they come, the index at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::examine::Examined;
use crate::cas::format::record::ObjectRecord;
use crate::cas::migrate::publish::merge::copy_with_mode;
use crate::cas::migrate::seal::IndexFile;
use crate::cas::paths::{INDEX_NAME, TargetPaths, sidecar_bytes, sidecar_path};
use crate::cas::state::SealedIndex;
use crate::cas::verify::Tally;
use crate::durable::{Disk, EntryKind, copy_file, file_digest_if_present, replace_file_with};
use crate::migration::Error;

/// Takes what is sound, in the order of keys.
pub trait Mender: Send {
    /// Gives the object a sidecar, in place of what stands there.
    fn write_sidecar(&mut self, record: &ObjectRecord) -> Result<(), Error>;
    /// Gives the object its line in the new index.
    fn push_line(&mut self, record: &ObjectRecord) -> Result<(), Error>;
}

/// Adds up, and passes on what is sound.
pub struct MendingWriter<M> {
    /// Who mends.
    pub mender: M,
    /// What is not mended.
    pub left: Tally,
    /// Objects that are sound.
    pub objects_sound: u64,
    /// Sidecars that were not.
    pub sidecars_written: u64,
    /// Lines that no sound object goes with.
    pub lines_dropped: u64,
}

impl<M> MendingWriter<M> {
    /// A writer that has seen what is `left` already.
    pub fn new(mender: M, left: Tally) -> Self {
        Self { mender, left, objects_sound: 0, sidecars_written: 0, lines_dropped: 0 }
    }
}

impl<M: Mender> MendingWriter<M> {
    /// Takes what was examined, in the order of keys.
    pub fn write(&mut self, examined: Vec<Examined>) -> Result<(), Error> {
        for one in examined {
            match one {
                Examined::Sound { record, needs_sidecar } => {
                    if needs_sidecar {
                        self.mender.write_sidecar(&record)?;
                        self.sidecars_written += 1;
                    }
                    self.mender.push_line(&record)?;
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

/// Mends a store.
pub struct RealMender {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    index: IndexFile,
    lines: u64,
}

impl RealMender {
    /// Mends the store at `root`. Its new index grows in the file `staged`.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, staged: &Path) -> Result<Self, Error> {
        let index = IndexFile::create(&*disk, staged)?;
        Ok(Self { disk, root, index, lines: 0 })
    }

    /// The new index, which is not in its place yet.
    pub fn finish(self) -> Result<SealedIndex, Error> {
        self.index.finish(self.lines)
    }
}

impl Mender for RealMender {
    fn write_sidecar(&mut self, record: &ObjectRecord) -> Result<(), Error> {
        let path = sidecar_path(&self.root, record.digest);
        let mode = mode_of(&*self.disk, &path)?;
        replace_file_with(&*self.disk, &path, mode, |file| Ok(file.write_all_at(0, &sidecar_bytes(record))?))
    }

    fn push_line(&mut self, record: &ObjectRecord) -> Result<(), Error> {
        self.lines += 1;
        self.index.push(record)
    }
}

/// Mends nothing: it has no disk, and knows at the end what the index would be.
#[derive(Default)]
pub struct DryMender {
    line: Vec<u8>,
    hasher: blake3::Hasher,
    len_bytes: u64,
    rows: u64,
}

impl DryMender {
    /// The index that would be.
    pub fn finish(self) -> SealedIndex {
        SealedIndex { rows: self.rows, len_bytes: self.len_bytes, digest: *self.hasher.finalize().as_bytes() }
    }
}

impl Mender for DryMender {
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

/// True if the store has that index already.
pub fn is_index(disk: &dyn Disk, root: &Path, index: &SealedIndex) -> Result<bool, Error> {
    let path = root.join(INDEX_NAME);
    let is_file = disk.kind(&path)? == Some(EntryKind::File);
    Ok(is_file && file_digest_if_present(disk, &path)? == Some(index.file()))
}

/// Puts the index that is staged in the place of the store's, which is kept under a name that its content gives it.
/// Returns where.
pub fn install_index(
    disk: &dyn Disk,
    paths: &TargetPaths,
    root: &Path,
    staged: &Path,
) -> Result<Option<PathBuf>, Error> {
    let path = root.join(INDEX_NAME);
    let backup = match file_digest_if_present(disk, &path)? {
        None => None,
        Some(index) => {
            let backup = paths.index_before_repair(&index.digest);
            if disk.kind(&backup)?.is_none() {
                copy_with_mode(disk, &path, &backup)?;
            }
            Some(backup)
        }
    };
    let mode = mode_of(disk, &path)?;
    copy_file(disk, staged, &path, mode)?;
    Ok(backup)
}

/// The permission bits of what is replaced, if there is a file.
fn mode_of(disk: &dyn Disk, path: &Path) -> Result<Option<u32>, Error> {
    match disk.kind(path)? {
        Some(EntryKind::File) => Ok(Some(disk.mode(path)?)),
        _ => Ok(None),
    }
}
