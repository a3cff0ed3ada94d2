//! What the checkpoint of a space migration holds.

use super::log::reader::Cursor;
use super::options::SpaceRules;
use super::outcome::Counts;
use crate::migration::checkpoint::Kind;
use crate::migration::{self, SourceBytes};

/// Tag of a space's checkpoint file.
pub const CHECKPOINT_KIND: Kind =
    Kind { tag: *b"space\0\0\0", restart: "start over with --restart (the log is untouched)" };

/// State of a run, as of a point that is durable.
pub type RunState = migration::RunState<SpaceRules, Progress, Counts>;

/// How far a run has come. Lengths are of the staged files at a durable point; bytes beyond are cut off when the run is
/// continued.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Progress {
    /// Name of the store that is made: `dual-000001`.
    pub store: String,
    /// The place in the source from which the run continues.
    pub cursor: Cursor,
    /// Last sequence number seen in the cursor's file.
    pub last_sequence: Option<u64>,
    /// Segment that is being filled.
    pub segment: u32,
    /// Its length.
    pub segment_bytes: u64,
    /// Findings so far under a policy `fail`.
    pub fatal_findings: u64,
    /// Node rows so far, of which the replay decides.
    pub node_rows: u64,
    /// Source bytes so far, by kind.
    pub source: SourceBytes,
}
