//! Reads the index of a store: the faults of each line, and all records by key.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::fault::{FaultKind, VerifyFault};
use super::tally::Tally;
use crate::cas::paths::INDEX_NAME;
use crate::cas::source::bytes::BytesReader;
use crate::cas::store::index::IndexReader;
use crate::cas::store::sorted_index::{INDEX_ENTRY_BYTES, IndexFinding, IndexFindingKind, SortedIndex};
use crate::durable::{ReaderKind, SourceFile, SourceIdentity, SourceNameKind, read_again};
use crate::migration::Error;
use crate::pipeline::{SortedRuns, StopToken};

/// An index that was read to its end.
#[derive(Default)]
pub struct IndexRead {
    /// The records; `None` if there is no index.
    pub sorted: Option<SortedIndex>,
    /// Number of lines.
    pub lines: u64,
    /// Metadata of the index before it was read.
    pub identity: Option<SourceIdentity>,
    /// The faults of its lines.
    pub tally: Tally,
}

impl IndexRead {
    /// Returns the number of lines that are records.
    pub fn records(&self) -> u64 {
        self.sorted.as_ref().map_or(0, SortedIndex::records)
    }
}

/// Reads the index of the store at `root`, where its name has a file of this `kind`. `Ok(None)`: a stop was requested.
pub fn read_index(
    root: &Path,
    kind: Option<SourceNameKind>,
    runs: SortedRuns<INDEX_ENTRY_BYTES>,
    stop: &StopToken,
) -> Result<Option<IndexRead>, Error> {
    let mut read = IndexRead::default();
    let mut missing = |text: String| {
        read.tally.add(VerifyFault::new(FaultKind::IndexMissing, INDEX_NAME.into(), None, text));
    };
    let path = root.join(INDEX_NAME);
    let file = match kind {
        Some(SourceNameKind::File) => match read_again(|| SourceFile::open(&path, ReaderKind::Pread)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                missing("it was removed meanwhile".into());
                return Ok(Some(read));
            }
            // What cannot be read is not missing: a repair would make it again without what only it knows.
            Err(error) => return Err(error.into()),
        },
        kind => {
            missing(if kind.is_none() { "it does not exist" } else { "it is not a regular file" }.into());
            return Ok(Some(read));
        }
    };
    let identity = file.identity();
    let mut bytes = BytesReader::new(&file)?;
    let mut reader = IndexReader::new(Stoppable { bytes: &mut bytes, stop });
    let tally = &mut read.tally;
    let sorted = SortedIndex::read(&mut reader, &path, runs, |finding| {
        tally.add(fault(&finding));
        Ok(())
    });
    if stop.is_requested() {
        return Ok(None);
    }
    let sorted = match (sorted, bytes.fault) {
        (Ok(sorted), _) => sorted,
        (Err(_), Some(fault)) => return Err(fault.into()),
        (Err(error), None) => return Err(error),
    };
    Ok(Some(IndexRead { lines: sorted.lines(), sorted: Some(sorted), identity: Some(identity), ..read }))
}

/// Fails once a stop is requested.
struct Stoppable<'a, R> {
    bytes: R,
    stop: &'a StopToken,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_requested() {
            return Err(io::Error::other("a stop was requested"));
        }
        self.bytes.read(buffer)
    }
}

fn fault(finding: &IndexFinding) -> VerifyFault {
    let kind = match &finding.kind {
        IndexFindingKind::Blank => FaultKind::IndexBlankLine,
        IndexFindingKind::Bad(_) => FaultKind::IndexForeignLine,
        IndexFindingKind::Torn => FaultKind::IndexTorn,
        IndexFindingKind::ByteOrderMark => FaultKind::IndexByteOrderMark,
        IndexFindingKind::CarriageReturn => FaultKind::IndexCarriageReturn,
        IndexFindingKind::Repeated { .. } => FaultKind::IndexRepeatedKey,
        IndexFindingKind::NotCanonical => FaultKind::IndexNotCanonical,
        IndexFindingKind::NoCreatedAt => FaultKind::IndexNoCreatedAt,
    };
    VerifyFault::new(kind, line_path(finding.line), None, finding.kind.to_string())
}

/// Returns the path of a fault in a line of the index.
pub fn line_path(line: u64) -> String {
    format!("{INDEX_NAME}:{line}")
}
