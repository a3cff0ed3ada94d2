//! The contents of a migration's checkpoint.

use super::options::CasRules;
use super::outcome::Counts;
use crate::durable::FileDigest;
use crate::migration;
use crate::migration::checkpoint::Kind;

/// The tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind =
    Kind { tag: *b"cas\0\0\0\0\0", restart: "start over with --restart (the source is untouched)" };

/// The state of a run at a point that is durable.
pub type RunState = migration::RunState<CasRules, Progress, Counts>;

/// How far a run has come. Files that were staged after this point are removed when the run continues.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Progress {
    /// Items of the inventory that are done.
    pub items: u64,
    /// Objects among them. This is also the number of records in the object log.
    pub objects: u64,
    /// Objects by the algorithm of their old keys, in the order of [`Algorithm::ALL`](super::Algorithm::ALL).
    pub generations: [u64; 4],
    /// Bytes of the source's blobs that were read.
    pub source_bytes: u64,
    /// Bytes of the blobs that the target takes.
    pub stored_bytes: u64,
    /// The digest of all objects so far, in order: location, length, stored bytes, sidecar. It starts as zeros. See
    /// [`chain`](super::migrate::source_chain::chain).
    pub source_chain: [u8; 32],
    /// The index, after it was sealed.
    pub index: Option<SealedIndex>,
}

/// The index file that a run has sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct SealedIndex {
    /// Lines that the run adds: one for each migrated object.
    pub rows: u64,
    /// The length of the file.
    pub len_bytes: u64,
    /// The BLAKE3 digest of the file.
    pub digest: [u8; 32],
}

impl SealedIndex {
    /// Returns the digest and the length that the index file must have.
    pub fn file(&self) -> FileDigest {
        FileDigest { digest: self.digest, len_bytes: self.len_bytes }
    }
}
