//! Sidecars of older stores, of which every value that can be read is worth having (spec/requiem.md A5, A6).

use super::encoding::Encoding;
use super::fault::RecordFault;
use super::fields::read_fields;
use super::parse::parse;
use crate::cas::format::key::Key;

/// What the sidecar of an older store says. Each value stands alone: one that is missing or wrong takes none with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hint {
    /// The object's key, by the algorithm of the store's time.
    pub digest: Option<Key>,
    /// How the blob is encoded.
    pub encoding: Option<Encoding>,
    /// Length of the content.
    pub original_size: Option<u64>,
    /// Length of the blob.
    pub stored_size: Option<u64>,
    /// Digest of the blob, by the algorithm of the store's time, without a prefix.
    pub stored_blob_hash: Option<Key>,
    /// Unix seconds; absent before the end of February 2026.
    pub created_at: Option<u64>,
    /// The first thing that [`parse`] refuses; a missing `created_at` is none.
    pub fault: Option<RecordFault>,
}

/// Reads what there is. A text that is no whole JSON object says nothing; of a key that stands twice, neither value is
/// taken.
pub fn parse_hint(bytes: &[u8]) -> Hint {
    let fault = parse(bytes).err();
    let fields = read_fields(bytes).unwrap_or_default();
    Hint {
        digest: fields.digest.and_then(Result::ok),
        encoding: fields.encoding.and_then(Result::ok),
        original_size: fields.original_size.and_then(Result::ok),
        stored_size: fields.stored_size.and_then(Result::ok),
        stored_blob_hash: fields.stored_blob_hash.and_then(Result::ok),
        created_at: fields.created_at.and_then(Result::ok),
        fault,
    }
}
