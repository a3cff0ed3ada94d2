//! What the checkpoint of a migration holds.

use jiff::Timestamp;

use super::ledger::LedgerPosition;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::ManifestRules;
use crate::migration;
use crate::migration::checkpoint::Kind;

/// Tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind = Kind {
    tag: *b"manifest",
    restart: "start over with --restart (files that were replaced stay so, with their backups next to them)",
};

/// State of a run, as of a point that is durable.
pub type RunState = migration::RunState<ManifestRules, Progress, Counts>;

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Progress {
    /// The instant of every history record, in nanoseconds since 1970.
    pub now_nanos: i128,
    /// The last place of the walk that is done.
    pub place: Vec<u8>,
    /// How far the ledger goes.
    pub ledger: LedgerPosition,
    /// Bytes of manifests that were read.
    pub source_bytes: u64,
    /// Bytes of manifests that were written.
    pub written_bytes: u64,
}

impl Progress {
    /// Returns the instant of every history record.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.now_nanos).unwrap_or_default()
    }
}
