//! What the checkpoint of a migration holds.

use std::path::Path;

use jiff::Timestamp;

use super::ledger::{FILE_NAME, LedgerLine, LedgerPosition, WholeCheck, damaged, for_each_line};
use crate::durable::Disk;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::ManifestRules;
use crate::migration::checkpoint::Kind;
use crate::migration::{self, CheckpointFile, Error, LastRun, LockedRun, Stage};

/// Tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind = Kind {
    tag: *b"manifest",
    restart: "start over with --restart (files that were replaced stay so, with their backups next to them)",
};

/// State of a run, as of a point that is durable.
pub type RunState = migration::RunState<ManifestRules, Progress, Counts>;

/// Passes each line of the ledger to `visit`, in order.
///
/// # Errors
/// [`Error::Corrupt`] after the last line, if the ledger is not whole up to the end that the checkpoint names.
pub fn for_each_line_of_whole(
    disk: &dyn Disk,
    directory: &Path,
    mut visit: impl FnMut(LedgerLine) -> Result<(), Error>,
) -> Result<(), Error> {
    let state = LastRun::<RunState>::load(disk, &CheckpointFile::new(directory, CHECKPOINT_KIND))?;
    let known = if let LastRun::Known(state) = state { state.progress.ledger } else { LedgerPosition::START };
    let mut whole = WholeCheck::new(known);
    let end = for_each_line(disk, directory, |line| {
        whole.take(&line);
        visit(line)
    })?;
    whole.fault(&end).map_or(Ok(()), |what| Err(damaged(&directory.join(FILE_NAME), end.len_bytes, what)))
}

/// Fails if the ledger is gone or shorter than the checkpoint says. Reads no line of it.
pub fn check_ledger_length(disk: &dyn Disk, directory: &Path) -> Result<(), Error> {
    let LastRun::Known(state) = LastRun::<RunState>::load(disk, &CheckpointFile::new(directory, CHECKPOINT_KIND))?
    else {
        return Ok(());
    };
    let (path, known) = (directory.join(FILE_NAME), state.progress.ledger);
    let len_bytes = if disk.kind(&path)?.is_some() { disk.open_for_read(&path)?.len()? } else { 0 };
    let what = match len_bytes {
        _ if len_bytes >= known.len_bytes => return Ok(()),
        0 => format!("the ledger is gone, of {} lines", known.lines),
        _ => format!("the ledger was cut short: {len_bytes} bytes of {}", known.len_bytes),
    };
    Err(damaged(&path, len_bytes, what))
}

/// Names the end of the ledger in the checkpoint, so that a verification misses lines that are lost later.
pub fn name_ledger_end(disk: &dyn Disk, held: &LockedRun, end: LedgerPosition) -> Result<(), Error> {
    // The lines behind the checkpoint of an unfinished run tell the next run what to look at.
    match held.readable_state::<RunState>(disk)?.filter(|state| state.stage != Stage::Running) {
        Some(mut state) => {
            state.progress.ledger = end;
            held.checkpoint.store(disk, &state)
        }
        None => Ok(()),
    }
}

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
