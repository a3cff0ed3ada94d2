//! Reads sidecars and index lines: accepts what the reference accepts and nothing else (docs/source-requiem.md, "How
//! the reference reads").

use super::fault::{Field, RecordFault};
use super::fields::{Found, read_fields};
use super::object_record::ObjectRecord;

/// A record, and how its text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// The record; `created_at` is 0 if the text has none.
    pub record: ObjectRecord,
    /// True if the text has a `created_at`.
    pub created_at_present: bool,
    /// True if the text is what [`ObjectRecord::push_json`] writes, or the same without `created_at`.
    pub is_canonical: bool,
}

/// Reads one record from a sidecar, or from an index line without its newline. White space, unknown members, a newline
/// at the end and a missing `created_at` are accepted.
pub fn parse(bytes: &[u8]) -> Result<Parsed, RecordFault> {
    let fields = read_fields(bytes)?;
    if let Some(fault) = fields.duplicate {
        return Err(fault);
    }
    let created_at = fields.created_at.transpose()?;
    let record = ObjectRecord {
        digest: required(fields.digest, Field::Digest)?,
        encoding: required(fields.encoding, Field::Encoding)?,
        original_size: required(fields.original_size, Field::OriginalSize)?,
        stored_size: required(fields.stored_size, Field::StoredSize)?,
        stored_blob_hash: required(fields.stored_blob_hash, Field::StoredBlobHash)?,
        created_at: created_at.unwrap_or(0),
    };
    let created_at_present = created_at.is_some();
    let is_canonical = canonical_text(&record, created_at_present) == bytes;
    Ok(Parsed { record, created_at_present, is_canonical })
}

fn required<T>(value: Found<T>, field: Field) -> Result<T, RecordFault> {
    value.unwrap_or(Err(RecordFault::MissingKey(field)))
}

fn canonical_text(record: &ObjectRecord, with_created_at: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(384);
    if with_created_at {
        record.push_json(&mut text);
    } else {
        record.push_json_without_created_at(&mut text);
    }
    text
}
