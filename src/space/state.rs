//! What the checkpoint of a space migration holds.

use super::log::reader::Cursor;
use crate::migration::{SourceBytes, Stage};
use crate::space::outcome::Counts;

/// Kind tag of a space's checkpoint file.
pub const CHECKPOINT_KIND: [u8; 8] = *b"space\0\0\0";

/// State of a run, as of a point that is durable. Lengths are of the staged files at that point; bytes beyond are cut
/// off on resume.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct RunState {
    /// Digest of the plan that the run belongs to.
    pub plan_digest: [u8; 32],
    /// Id of the run, for the journal.
    pub run_id: String,
    /// Name of the store that is made: `dual-000001`.
    pub store: String,
    /// The settings, as text, for whoever looks.
    pub settings: String,
    /// How far it has come.
    pub stage: Stage,
    /// Where the source goes on.
    pub cursor: Cursor,
    /// Last sequence number seen in the cursor's file.
    pub last_sequence: Option<u64>,
    /// Segment that is being filled.
    pub segment: u32,
    /// Its length.
    pub segment_bytes: u64,
    /// Length of the findings file.
    pub findings_bytes: u64,
    /// Findings so far under a policy `fail`.
    pub fatal_findings: u64,
    /// Records framed so far.
    pub records: u64,
    /// Node rows so far, of which the replay decides.
    pub node_rows: u64,
    /// Outcomes that are decided.
    pub counts: Counts,
    /// Source bytes so far, by kind.
    pub source: SourceBytes,
}
