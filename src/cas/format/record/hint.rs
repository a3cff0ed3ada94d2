//! Reads sidecars of older stores, of which every readable value is useful (docs/source-requiem.md, "Generations" and
//! "Identification").

use super::fault::RecordFault;
use super::fields::read_fields;
use super::parse::parse;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;

/// The values in the sidecar of an older store. Each is read on its own: one that is missing or wrong does not make the
/// others invalid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hint {
    /// The key of the object, by the algorithm of the store's generation.
    pub digest: Option<Key>,
    /// How the blob is encoded.
    pub encoding: Option<Encoding>,
    /// Length of the content.
    pub original_size: Option<u64>,
    /// Length of the blob.
    pub stored_size: Option<u64>,
    /// Digest of the blob without a prefix, by the algorithm of the store's generation.
    pub stored_blob_hash: Option<Key>,
    /// Unix time in seconds; missing before the end of February 2026.
    pub created_at: Option<u64>,
    /// The first fault that [`parse`] finds; a missing `created_at` is not one.
    pub fault: Option<RecordFault>,
}

/// Reads the values that are there. A text that is not a complete JSON object has none; of a member that occurs twice,
/// neither value is used.
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
