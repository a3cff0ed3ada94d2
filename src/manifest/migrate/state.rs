//! What the checkpoint of a migration holds.

use super::ledger::LedgerPosition;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::MigrateOptions;
use crate::migration::Stage;

/// Kind tag of the checkpoint file.
pub const CHECKPOINT_KIND: [u8; 8] = *b"manifest";

/// State of a run, as of a point that is durable.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct RunState {
    /// Digest of the plan that the run belongs to.
    pub plan_digest: [u8; 32],
    /// Id of the run.
    pub run_id: String,
    /// The settings, as text, for whoever looks.
    pub settings: String,
    /// The version that files are taken to.
    pub target: String,
    /// The instant of every history record, nanoseconds since 1970.
    pub now_nanos: i128,
    /// The least that was done to make what is written durable: `none`, `batch` or `each`.
    pub durability: String,
    /// [`Stage::Running`], then [`Stage::Published`].
    pub stage: Stage,
    /// The last place of the walk that is done.
    pub place: Vec<u8>,
    /// Everything found so far.
    pub records: u64,
    /// Outcomes of all of it.
    pub counts: Counts,
    /// Length of the findings file.
    pub findings_bytes: u64,
    /// How far the ledger goes.
    pub ledger: LedgerPosition,
    /// Bytes of manifests that were read.
    pub source_bytes: u64,
    /// Bytes of manifests that were written.
    pub written_bytes: u64,
}

impl RunState {
    /// A run before it has found anything.
    pub fn new(
        plan_digest: [u8; 32],
        run_id: String,
        now: jiff::Timestamp,
        options: &MigrateOptions,
        ledger: LedgerPosition,
    ) -> Self {
        Self {
            plan_digest,
            run_id,
            settings: options.text(),
            target: options.target().to_string(),
            now_nanos: now.as_nanosecond(),
            durability: options.durability.to_string(),
            stage: Stage::Running,
            place: Vec::new(),
            records: 0,
            counts: Counts::default(),
            findings_bytes: 0,
            ledger,
            source_bytes: 0,
            written_bytes: 0,
        }
    }

    /// The instant of every history record.
    pub fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.now_nanos).unwrap_or_default()
    }
}
