//! What a migration needs of the file system: the store, the scratch files of its index, and the state of the run.

use crate::migration::RunDirectory;
use crate::space::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCE_BYTES_MAX};
use crate::space::log::source::WalSource;
use crate::space::log::wal::{EntryKind, HEADER_BYTES};
use crate::space::options::MigrateOptions;
use crate::space::store::layout::{
    BLOCK_ALIGN_BYTES, BLOCK_HEADER_BYTES, DIGEST_BYTES, ID_ENTRY_BYTES, ROW_BYTES, SEGMENT_HEADER_BYTES,
    TABLE_ENTRY_BYTES,
};
use crate::space::store::replay_key::CANDIDATE_BYTES;

/// What a file has in blocks of the file system beyond its bytes, at most, and what a small directory takes.
const BLOCK_BYTES: u64 = 4096;
/// Journal, plan, checkpoints, findings and reports, the directories, and the manifest of the store.
const STATE_BYTES: u64 = 25 * BLOCK_BYTES;
/// A line of the findings about a deletion, which names what it has deleted, and about other records.
const DELETION_FINDING_BYTES: u64 = 330;
const FINDING_BYTES: u64 = 220;
/// Of its size, how much a store may be larger than expected.
const MARGIN_PERMILLE: u64 = 10;
/// Besides state and segments: the staging directory and three indexes, the scratch directory and its three parts, and a
/// temporary file.
const OTHER_ENTRIES: u64 = 9;
/// The share of the memory of a sort that the sort of the ids has.
const SORT_SHARE: u64 = 32;

/// What the store of a log and the way to it need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeedsOfStore {
    /// Bytes of the store.
    pub target_bytes: u64,
    /// Bytes of the files that the ids are sorted in.
    scratch_bytes: u64,
    /// Bytes of the findings.
    findings_bytes: u64,
}

impl NeedsOfStore {
    /// Returns what a store of so many records needs, and so many bytes of findings.
    pub fn new(source: &WalSource, (records, findings_bytes): (u64, u64), options: &MigrateOptions) -> Self {
        let source_bytes = source.total_bytes();
        let record_bytes = source_bytes.checked_div(records).unwrap_or(0).max(1);
        let records_of_a_block = (BLOCK_SOURCE_BYTES_MAX / record_bytes).clamp(1, BLOCK_RECORDS_MAX as u64);
        let blocks = records.div_ceil(records_of_a_block) + source.files().len() as u64;
        // On average, a block ends in the middle of a page.
        let block_bytes = (BLOCK_HEADER_BYTES + DIGEST_BYTES) as u64 + BLOCK_ALIGN_BYTES / 2;
        let rows_bytes = records * (ROW_BYTES - HEADER_BYTES) as u64;
        let segments_bytes = source_bytes + rows_bytes + blocks * block_bytes + BLOCK_ALIGN_BYTES;
        let segments = segments_bytes.div_ceil(options.segment_bytes_max.max(1));
        let indexes_bytes = blocks * TABLE_ENTRY_BYTES as u64 + records * ID_ENTRY_BYTES as u64 + 3 * BLOCK_BYTES;
        let bytes = segments_bytes + segments * SEGMENT_HEADER_BYTES + indexes_bytes;
        let (sorted_bytes, memory_bytes) = (records * CANDIDATE_BYTES as u64, sort_bytes(options) / SORT_SHARE);
        Self {
            target_bytes: bytes + bytes / 1000 * MARGIN_PERMILLE,
            // What fits into memory is sorted there.
            scratch_bytes: if sorted_bytes > memory_bytes { sorted_bytes } else { 0 },
            findings_bytes,
        }
    }

    /// Returns the bytes that must be free. What a segment allocates ahead is not among them: it does without if there is
    /// no room.
    pub fn peak_bytes(&self) -> u64 {
        self.bytes_after_clean() + self.scratch_bytes
    }

    /// Returns the bytes that are left of it after a clean-up.
    pub fn bytes_after_clean(&self) -> u64 {
        self.target_bytes + self.findings_bytes + STATE_BYTES
    }

    /// Returns how many files and directories are there at most, before the index is complete, less those that are there
    /// now.
    pub fn inodes(&self, run: &RunDirectory, options: &MigrateOptions) -> u64 {
        let state = [
            run.path().to_path_buf(),
            run.lock_path(),
            run.journal_path(),
            run.plan_path(),
            run.checkpoint_path(),
            run.path().join("checkpoint.prev"),
            run.findings_path(),
        ];
        let absent = state.iter().filter(|path| path.symlink_metadata().is_err()).count() as u64;
        let segments = self.target_bytes.div_ceil(options.segment_bytes_max).max(1);
        // The runs of a merge are there with those that it makes.
        let sorted_runs = 2 * self.scratch_bytes.div_ceil((sort_bytes(options) / SORT_SHARE).max(1));
        absent + segments + sorted_runs + OTHER_ENTRIES
    }
}

/// Returns what a run writes about a record of this kind, whatever is in it.
pub(super) fn finding_bytes(kind: EntryKind) -> u64 {
    match kind {
        EntryKind::Store => 0,
        EntryKind::Delete => DELETION_FINDING_BYTES,
        _ => FINDING_BYTES,
    }
}

fn sort_bytes(options: &MigrateOptions) -> u64 {
    options.run.sort_memory_bytes(options.run.memory_budget_bytes).max(1)
}
