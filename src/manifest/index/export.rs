//! Exports the rows of the index as text, without a database.

use std::sync::Arc;

use super::IndexRow;
use super::rows::{ReindexEnd, read_rows};
use crate::durable::{Disk, DiskFile, ReadRoot};
use crate::manifest::run_options::MigrateOptions;
use crate::migration::{Error, SortDirectory, check_stop};
use crate::pipeline::{Control, Merged, SortedRuns, StopToken};

/// Length of a candidate: the digest of the key, a byte that is 1 for a legacy manifest, and the place of the row in
/// the scratch file.
const CANDIDATE_BYTES: usize = DIGEST_BYTES + 1 + PLACE_BYTES;
const DIGEST_BYTES: usize = 32;
/// Length of a place: offset and length of the row.
const PLACE_BYTES: usize = 16;
/// The part of the memory budget that a sort may use. Two sorts are in use at once, and the engine needs the rest.
const SORT_SHARE: u64 = 4;

/// The rows of a tree, one for each key.
///
/// Only after all manifests were read is it known which of two manifests of one run wins. Therefore the rows are
/// written to a scratch file first. A second scan of the tree would not do, because it could find different manifests.
pub struct Export {
    /// The counts of the rows and of what was left out.
    pub end: ReindexEnd,
    scratch: Scratch,
    winners: Merged<PLACE_BYTES>,
    stop: StopToken,
    _directory: SortDirectory,
}

impl Export {
    /// Reads every manifest of the tree. If the run is stopped, there are no rows.
    pub fn read(
        disk: &Arc<dyn Disk>,
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        control: &Control<'_>,
    ) -> Result<Self, Error> {
        let directory = SortDirectory::temporary(disk)?;
        let memory_bytes = options.run.memory_budget_bytes / SORT_SHARE;
        let mut scratch = Scratch::create(disk, &directory)?;
        let mut candidates = directory.runs::<CANDIDATE_BYTES>("candidates", memory_bytes)?.stopped_by(control.stop);
        let mut end = read_rows(root, options, control, |row, _| {
            let place = scratch.append(&row)?;
            Ok(candidates.push(candidate(&row, place))?)
        })?;
        let winners = directory.runs("winners", memory_bytes)?.stopped_by(control.stop);
        let chosen = if end.stopped { None } else { Error::unless_stopped(choose(candidates, winners, control.stop))? };
        end.stopped = chosen.is_none();
        let winners = chosen.map_or_else(|| SortedRuns::in_memory().finish(), Ok)?;
        if !end.stopped {
            end.set_rows(winners.records());
        }
        Ok(Self { end, scratch, winners, stop: control.stop.clone(), _directory: directory })
    }

    /// Passes the rows to `visit`, in the order of their paths.
    ///
    /// # Errors
    /// Those of `visit`; [`Error::Stopped`] if a stop is requested.
    pub fn for_each(&mut self, mut visit: impl FnMut(IndexRow) -> Result<(), Error>) -> Result<(), Error> {
        while let Some(place) = self.winners.next()? {
            check_stop(&self.stop)?;
            visit(self.scratch.read(place)?)?;
        }
        Ok(())
    }
}

/// Returns the candidate of a row. Candidates sort by key, then canonical manifests before legacy ones, then by path,
/// because rows are written in the order of their paths.
fn candidate(row: &IndexRow, place: [u8; PLACE_BYTES]) -> [u8; CANDIDATE_BYTES] {
    let mut hasher = blake3::Hasher::new();
    // The length distinguishes keys whose joined parts are the same text.
    hasher.update(&(row.job_id.len() as u64).to_le_bytes()).update(row.job_id.as_bytes()).update(row.run_id.as_bytes());
    let mut candidate = [0; CANDIDATE_BYTES];
    candidate[..DIGEST_BYTES].copy_from_slice(hasher.finalize().as_bytes());
    candidate[DIGEST_BYTES] = u8::from(row.is_legacy());
    candidate[DIGEST_BYTES + 1..].copy_from_slice(&place);
    candidate
}

/// Adds the place of the first candidate of each key to `winners`, and sorts them.
fn choose(
    candidates: SortedRuns<CANDIDATE_BYTES>,
    mut winners: SortedRuns<PLACE_BYTES>,
    stop: &StopToken,
) -> Result<Merged<PLACE_BYTES>, Error> {
    let mut merged = candidates.finish()?;
    let mut last = None;
    while let Some(candidate) = merged.next()? {
        check_stop(stop)?;
        let (digest, rest) = candidate.split_first_chunk::<DIGEST_BYTES>().expect("a candidate starts with a digest");
        if last.replace(*digest) != Some(*digest) {
            winners.push(*rest.last_chunk().expect("a candidate ends with a place"))?;
        }
    }
    Ok(winners.finish()?)
}

/// A temporary file of rows as JSON texts.
struct Scratch {
    file: Arc<dyn DiskFile>,
    len_bytes: u64,
}

impl Scratch {
    fn create(disk: &Arc<dyn Disk>, sorts: &SortDirectory) -> Result<Self, Error> {
        let directory = sorts.path().ok_or_else(|| Error::Usage {
            what: "the rows need a temporary file, but the directory for temporary files is not writable".into(),
            next: "set TMPDIR to a writable directory".into(),
        })?;
        Ok(Self { file: disk.create_file(&directory.join("rows"))?, len_bytes: 0 })
    }

    fn append(&mut self, row: &IndexRow) -> Result<[u8; PLACE_BYTES], Error> {
        let text = serde_json::to_vec(row).expect("a row has string keys only");
        let (offset, len) = (self.len_bytes, text.len() as u64);
        self.file.write_all_at(offset, &text)?;
        self.len_bytes += len;
        let mut place = [0; PLACE_BYTES];
        // Big-endian, so that places sort by offset.
        place[..8].copy_from_slice(&offset.to_be_bytes());
        place[8..].copy_from_slice(&len.to_be_bytes());
        Ok(place)
    }

    fn read(&self, place: [u8; PLACE_BYTES]) -> Result<IndexRow, Error> {
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
        let (offset, len) = (number(&place[..8]), number(&place[8..]));
        let mut text = vec![0; usize::try_from(len).expect("a manifest fits in memory")];
        self.file.read_exact_at(offset, &mut text)?;
        serde_json::from_slice(&text).map_err(|error| Error::Program {
            what: format!("a temporary row cannot be read again: {error}"),
            next: "check the disk of the temporary directory, then run the same command again".into(),
            temporary: false,
        })
    }
}
