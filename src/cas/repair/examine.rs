//! Finds out from its content what an object is, and what its sidecar should be.

use std::path::Path;

use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;
use crate::cas::format::record::{Hint, ObjectRecord, RECORD_BYTES_MAX, parse, parse_hint};
use crate::cas::paths::INDEX_NAME;
use crate::cas::source::SourceRoot;
use crate::cas::source::bytes::ReadFault;
use crate::cas::source::identify::content_bytes_max;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::store::sorted_index::IndexedObject;
use crate::cas::verify::{
    Batch, BlobReadFault, BlobScratch, FaultKind, Joined, VerifyFault, digest_blob, line_path, object_path,
};
use crate::durable::{DiskError, is_source_directory, read_again, read_again_if, read_source_whole};
use crate::migration::Error;
use crate::pipeline::{Converter, StopToken};

/// The result for one item.
pub enum Examined {
    /// An intact object.
    Sound {
        /// The record that it should have.
        record: ObjectRecord,
        /// True if its sidecar has another record.
        needs_sidecar: bool,
    },
    /// An item that cannot be repaired from what the store has.
    Left {
        /// What is wrong with it.
        fault: VerifyFault,
        /// Lines of the index that have its key.
        lines: u64,
        /// The object, if another copy of it would do.
        lost: Option<LostObject>,
    },
    /// An object of which nothing is known: it may be intact, so the index cannot be written without it.
    Unreadable {
        /// Why it cannot be read.
        error: DiskError,
        /// The object.
        lost: LostObject,
    },
}

/// An object that is damaged or missing.
#[derive(Debug, Clone, Copy)]
pub struct LostObject {
    /// Its key.
    pub key: Key,
    /// Its time, as far as the store still knows it.
    pub created_at: Option<u64>,
}

/// Why an object is not intact, as far as that is known.
pub(super) enum Unsound {
    /// It stays as it is, and loses its line in the index.
    Left(FaultKind, String),
    /// Nothing is known of it: it may be intact, so the repair ends and the index stays.
    Unreadable(DiskError),
    /// A stop was requested.
    Stopped,
}

impl From<DiskError> for Unsound {
    fn from(error: DiskError) -> Self {
        Self::Unreadable(error)
    }
}

/// Examines objects.
pub struct Examiner<'a> {
    /// The store.
    pub root: &'a SourceRoot,
    /// Looked at inside of large objects.
    pub stop: &'a StopToken,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct ExamineScratch {
    blob: BlobScratch,
    sidecar: Vec<u8>,
}

impl Converter for Examiner<'_> {
    type Batch = Batch;
    type Output = Vec<Examined>;
    type Scratch = ExamineScratch;
    type Error = Error;

    fn convert(&self, scratch: &mut ExamineScratch, batch: Batch) -> Result<Vec<Examined>, Error> {
        batch.tasks.iter().map(|task| self.examine(&task.found, scratch)).collect()
    }
}

impl Examiner<'_> {
    fn examine(&self, found: &Joined, scratch: &mut ExamineScratch) -> Result<Examined, Error> {
        Ok(match found {
            Joined::LoneSidecar(location) => {
                let path = format!("{}.meta", object_path(location));
                let key = location.key();
                let lost = location.is_in_place().then_some(LostObject { key, created_at: None });
                left(FaultKind::LoneSidecar, path, key, "a sidecar without a blob", 0, lost)
            }
            Joined::LineAlone(line) => {
                let key = line.parsed.record.digest;
                let text = format!("{INDEX_NAME} listed {key}, and there is no such blob in its place");
                let lost = LostObject { key, created_at: Some(line.parsed.record.created_at) };
                left(FaultKind::BlobMissing, line_path(line.line), key, text, line.lines, Some(lost))
            }
            Joined::Object { entry, has_sidecar, indexed } => {
                let lines = indexed.map_or(0, |line| line.lines);
                let key = entry.location.key();
                let created_at = indexed.map(|line| line.parsed.record.created_at);
                match self.examine_object(entry, *has_sidecar, indexed.as_ref(), scratch) {
                    Ok(examined) => examined,
                    Err(Unsound::Left(kind, text)) => {
                        let of_sidecar = parse_hint(&scratch.sidecar).created_at;
                        let lost = LostObject { key, created_at: of_sidecar.or(created_at) };
                        let lost = (kind == FaultKind::WrongContent).then_some(lost);
                        left(kind, object_path(&entry.location), key, text, lines, lost)
                    }
                    Err(Unsound::Unreadable(error)) => {
                        Examined::Unreadable { error, lost: LostObject { key, created_at } }
                    }
                    Err(Unsound::Stopped) => return Err(ReadFault::Stopped.into()),
                }
            }
        })
    }

    fn examine_object(
        &self,
        entry: &Entry,
        has_sidecar: bool,
        indexed: Option<&IndexedObject>,
        scratch: &mut ExamineScratch,
    ) -> Result<Examined, Unsound> {
        if entry.kind != EntryKind::File {
            return Err(Unsound::Left(FaultKind::NotAFile, entry.kind.text().into()));
        }
        if !entry.location.is_in_place() {
            return Err(Unsound::Left(FaultKind::Misplaced, "it is in the wrong directory".into()));
        }
        let key = entry.location.key();
        let hint = self.read_hint(entry, has_sidecar, scratch)?;
        let line = indexed.map(|line| &line.parsed);
        let encoding = hint.encoding.or(line.map(|line| line.record.encoding)).unwrap_or(Encoding::Identity);
        let original_size = hint.original_size.or(line.map(|line| line.record.original_size));
        let limit = content_bytes_max(original_size, entry.len_bytes);
        let path = self.root.blob(&entry.location);
        let identified = identify_blob(&path, entry, key, (encoding, limit), &mut scratch.blob, self.stop)?;
        let its_own = hint.digest.is_none_or(|digest| digest == key);
        let created_at = hint.created_at.filter(|_| its_own).or(line.map(|line| line.record.created_at)).unwrap_or(0);
        let record = ObjectRecord { created_at, ..identified };
        let needs_sidecar = !has_sidecar || parse(&scratch.sidecar).ok().map(|parsed| parsed.record) != Some(record);
        Ok(Examined::Sound { record, needs_sidecar })
    }

    /// Returns the values in the sidecar. Its bytes stay in the scratch buffer.
    fn read_hint(&self, entry: &Entry, has_sidecar: bool, scratch: &mut ExamineScratch) -> Result<Hint, Unsound> {
        scratch.sidecar.clear();
        let path = self.root.sidecar(&entry.location);
        if !has_sidecar {
            // The walk reports files only as sidecars.
            let text = "there is a directory in place of its sidecar";
            return match is_source_directory(&path)? {
                true => Err(Unsound::Left(FaultKind::NotAFile, text.into())),
                false => Ok(Hint::default()),
            };
        }
        let read = || {
            scratch.sidecar.clear();
            read_source_whole(&path, RECORD_BYTES_MAX, &mut scratch.sidecar)
        };
        read_again(read)?;
        Ok(parse_hint(&scratch.sidecar))
    }
}

/// Returns the object `digest` if the blob at `path`, which was seen as `entry`, has its content: in the expected
/// encoding, else in the other one. A blob is decoded to the given length at most.
pub(super) fn identify_blob(
    path: &Path,
    entry: &Entry,
    digest: Key,
    (encoding, content_bytes_max): (Encoding, u64),
    scratch: &mut BlobScratch,
    stop: &StopToken,
) -> Result<ObjectRecord, Unsound> {
    let other = match encoding {
        Encoding::Identity => Encoding::Zstd,
        Encoding::Zstd => Encoding::Identity,
    };
    let mut found_key = None;
    for encoding in [encoding, other] {
        let read = || digest_blob(path, entry, encoding, content_bytes_max, scratch, stop);
        let digests = read_again_if(read, BlobReadFault::of_disk).map_err(|fault| match fault {
            BlobReadFault::Unreadable(error) => Unsound::Unreadable(error),
            BlobReadFault::Stopped => Unsound::Stopped,
            BlobReadFault::Changed(text) => {
                Unsound::Left(FaultKind::ObjectChanged, format!("changed meanwhile: {text}"))
            }
        })?;
        let Ok(content) = digests.content else { continue };
        if content.key == digest {
            return Ok(ObjectRecord {
                digest,
                encoding,
                original_size: content.len_bytes,
                stored_size: entry.len_bytes,
                stored_blob_hash: digests.stored_hash,
                created_at: 0,
            });
        }
        found_key = found_key.or(Some(content.key));
    }
    let key = found_key.map_or_else(String::new, |key| format!("; it has the key {key}"));
    Err(Unsound::Left(FaultKind::WrongContent, format!("its content does not match its name, stored or decoded{key}")))
}

fn left(
    kind: FaultKind,
    path: String,
    key: Key,
    text: impl Into<String>,
    lines: u64,
    lost: Option<LostObject>,
) -> Examined {
    Examined::Left { fault: VerifyFault::new(kind, path, Some(key), text), lines, lost }
}
