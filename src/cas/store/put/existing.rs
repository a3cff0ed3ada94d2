//! Finds an object that exists already: intact, intact except for its sidecar, or with other content.

use std::path::Path;

use super::append::IndexTail;
use super::incoming::ReceivedContent;
use super::options::PutOptions;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::record::{ObjectRecord, parse_hint};
use crate::cas::paths::StorePaths;
use crate::cas::store::blob::{BlobDigests, read_blob};
use crate::cas::store::sidecar::{Sidecar, read_sidecar};
use crate::durable::{Disk, EntryKind};
use crate::migration::Error;

/// An object whose content matches its name.
pub(super) struct Existing {
    pub record: ObjectRecord,
    pub sidecar_is_right: bool,
}

/// Looks for the object and reads it completely; `None` if it has no blob. Other content under its name is a conflict.
pub(super) fn existing_object(
    disk: &dyn Disk,
    paths: &StorePaths,
    incoming: &ReceivedContent,
    tail: &IndexTail,
    options: PutOptions,
) -> Result<Option<Existing>, Error> {
    let blob = paths.blob(incoming.key);
    match disk.kind(&blob)? {
        None => return Ok(None),
        Some(EntryKind::File) => {}
        Some(EntryKind::Directory | EntryKind::Other) => return Err(conflict(&blob, "it is not a regular file")),
    }
    let sidecar = read_sidecar(disk, &paths.sidecar(incoming.key))?;
    let says = match &sidecar {
        Sidecar::Parsed(parsed) => Some(parsed.record).filter(|record| record.digest == incoming.key),
        Sidecar::Faulty { .. } | Sidecar::Missing | Sidecar::NotAFile => None,
    };
    let said = says.map(|record| record.encoding);
    let others = [Encoding::Identity, Encoding::Zstd].into_iter().filter(|&encoding| said != Some(encoding));
    for encoding in said.into_iter().chain(others) {
        let Some(digests) = content_of_key(disk, &blob, encoding, incoming)? else { continue };
        let right = says.filter(|record| record.encoding == encoding && digests.difference(record).is_none());
        let record = right.unwrap_or_else(|| rebuilt(&digests, encoding, created_at(&sidecar, tail, options)));
        return Ok(Some(Existing { record, sidecar_is_right: right.is_some() }));
    }
    Err(conflict(&blob, "its content does not match its name"))
}

/// Returns the digests of the blob, if it has the received content in this encoding.
fn content_of_key(
    disk: &dyn Disk,
    blob: &Path,
    encoding: Encoding,
    incoming: &ReceivedContent,
) -> Result<Option<BlobDigests>, Error> {
    let read = read_blob(disk, blob, encoding, incoming.len_bytes, &mut Vec::new(), |_| Ok(()))?;
    Ok(read.ok().filter(|digests| digests.key == incoming.key))
}

fn rebuilt(digests: &BlobDigests, encoding: Encoding, created_at: u64) -> ObjectRecord {
    ObjectRecord {
        digest: digests.key,
        encoding,
        original_size: digests.original_size,
        stored_size: digests.stored_size,
        stored_blob_hash: digests.stored_blob_hash,
        created_at,
    }
}

/// Returns the best value known for the object's age.
fn created_at(sidecar: &Sidecar, tail: &IndexTail, options: PutOptions) -> u64 {
    let of_sidecar = match sidecar {
        Sidecar::Parsed(parsed) => Some(parsed.record.created_at),
        Sidecar::Faulty { bytes, .. } => parse_hint(bytes).created_at,
        Sidecar::Missing | Sidecar::NotAFile => None,
    };
    let of_index = tail.listed.map(|record| record.created_at);
    of_sidecar.or(of_index).unwrap_or(options.created_at)
}

fn conflict(path: &Path, what: &str) -> Error {
    let next = "move that file away, then put the object again; haul cas verify lists what else is damaged".into();
    Error::Conflict { path: path.to_path_buf(), what: what.into(), next }
}
