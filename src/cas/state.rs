//! What the checkpoint of a migration holds.

use super::options::CasRules;
use super::outcome::Counts;
use crate::durable::FileDigest;
use crate::migration;
use crate::migration::checkpoint::Kind;

/// Tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind =
    Kind { tag: *b"cas\0\0\0\0\0", restart: "start over with --restart (the source is untouched)" };

/// State of a run, as of a point that is durable.
pub type RunState = migration::RunState<CasRules, Progress, Counts>;

/// How far a run has come. What is staged beyond it is removed when the run is continued.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Progress {
    /// Items of the inventory that are done.
    pub items: u64,
    /// Objects among them: the length of the log of what was moved, in records.
    pub objects: u64,
    /// Objects by the algorithm of their old keys, in the order of [`Algorithm::ALL`](super::Algorithm::ALL).
    pub generations: [u64; 4],
    /// Bytes of the source's blobs that were read.
    pub source_bytes: u64,
    /// Bytes of blobs that the target takes.
    pub stored_bytes: u64,
    /// Digest over every object so far in order: location, length, bytes as stored, sidecar. It begins with zeros. See
    /// [`chain`](super::migrate::source_chain::chain).
    pub source_chain: [u8; 32],
    /// The index, once it is sealed.
    pub index: Option<SealedIndex>,
}

/// The index as it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct SealedIndex {
    /// Lines that the run adds, one for each object migrated.
    pub rows: u64,
    /// Length of the file.
    pub len_bytes: u64,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
}

impl SealedIndex {
    /// Returns what a file must be to be this index.
    pub fn file(&self) -> FileDigest {
        FileDigest { digest: self.digest, len_bytes: self.len_bytes }
    }
}
