//! What the checkpoint of a migration holds.

use super::migrate::source_chain::CHAIN_START;
use super::options::MigrateOptions;
use super::outcome::Counts;
use crate::durable::FileDigest;
use crate::migration::Stage;
use crate::migration::checkpoint::Kind;

/// Kind tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind =
    Kind { tag: *b"cas\0\0\0\0\0", restart: "start over with --restart (the source is untouched)" };

/// State of a run, as of a point that is durable. What is staged beyond it is removed on resume.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct RunState {
    /// Digest of the plan that the run belongs to.
    pub plan_digest: [u8; 32],
    /// Id of the run, for the journal.
    pub run_id: String,
    /// The settings, as text, for whoever looks.
    pub settings: String,
    /// The guarantee of what was written so far: `group`, `object` or `none`.
    pub durability: String,
    /// How far it has come.
    pub stage: Stage,
    /// Items of the inventory that are done.
    pub items: u64,
    /// Objects among them: the length of the log of what was moved, in records.
    pub objects: u64,
    /// Everything found so far, objects or not.
    pub records: u64,
    /// Outcomes of all of it.
    pub counts: Counts,
    /// Objects by the algorithm of their old keys, in the order of [`Algorithm::ALL`](super::Algorithm::ALL).
    pub generations: [u64; 4],
    /// Length of the findings file.
    pub findings_bytes: u64,
    /// Bytes of the source's blobs that were read.
    pub source_bytes: u64,
    /// Bytes of blobs that the target takes.
    pub stored_bytes: u64,
    /// Digest over every object so far in order: location, length, bytes as stored, sidecar. See
    /// [`chain`](super::migrate::source_chain::chain).
    pub source_chain: [u8; 32],
    /// The index, once it is sealed.
    pub index: Option<SealedIndex>,
}

impl RunState {
    /// A run of the plan with this digest, before it has found anything.
    pub fn new(plan_digest: [u8; 32], run_id: String, options: &MigrateOptions) -> Self {
        Self {
            plan_digest,
            run_id,
            settings: options.text(),
            durability: options.durability.to_string(),
            stage: Stage::Running,
            items: 0,
            objects: 0,
            records: 0,
            counts: Counts::default(),
            generations: [0; 4],
            findings_bytes: 0,
            source_bytes: 0,
            stored_bytes: 0,
            source_chain: CHAIN_START,
            index: None,
        }
    }
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
    /// What a file must be to be this index.
    pub fn file(&self) -> FileDigest {
        FileDigest { digest: self.digest, len_bytes: self.len_bytes }
    }
}
