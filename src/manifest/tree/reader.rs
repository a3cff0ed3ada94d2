//! The reader of the engine: batches of what the walk finds, or the one file that was named.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scan::{Found, Layout, Scan, ScanEntry};
use crate::durable::{DiskRoot, ReadRoot};
use crate::migration::Error;
use crate::pipeline::{Admission, Admitted, Reader};

/// What a file holds in memory until it is written: its path, its digests and what is found of it.
const RECORD_BYTES: u64 = 2 << 10;

/// Cuts what is found into batches.
pub struct EntryReader {
    entries: Entries,
    batch_records: u64,
    /// Files that a dead run has replaced already, sorted.
    settled: Vec<PathBuf>,
    /// Where leftovers of a dead run are removed; nowhere if nothing is written.
    cleaner: Option<Arc<dyn DiskRoot>>,
}

enum Entries {
    Walk(Box<Scan>),
    Named(Option<PathBuf>),
}

impl EntryReader {
    /// Reads what the layout has in `root` behind the place `after`, or the named file alone.
    pub fn new(
        root: Arc<dyn ReadRoot>,
        (layout, named): (Layout, Option<&Path>),
        after: Vec<u8>,
        batch_records: u64,
    ) -> Result<Self, Error> {
        let entries = match named {
            Some(file) if file.as_os_str().as_bytes() == after => Entries::Named(None),
            Some(file) => Entries::Named(Some(file.to_path_buf())),
            None => Entries::Walk(Box::new(Scan::start(root, layout, after)?)),
        };
        Ok(Self { entries, batch_records, settled: Vec::new(), cleaner: None })
    }

    /// Passes over files that a dead run has replaced, and removes what else it left on the way.
    pub fn after_crash(mut self, settled: Vec<PathBuf>, cleaner: Arc<dyn DiskRoot>) -> Self {
        self.settled = settled;
        self.cleaner = Some(cleaner);
        self
    }

    fn next_entry(&mut self) -> Option<ScanEntry> {
        match &mut self.entries {
            Entries::Walk(scan) => scan.next(),
            Entries::Named(file) => file.take().map(|path| ScanEntry { path, found: Found::Manifest }),
        }
    }

    /// Before any file of the same directory is on its way: what is removed is never that of this run.
    fn remove(&self, leftover: &Path) -> Result<(), Error> {
        let (Some(root), Some(name)) = (&self.cleaner, leftover.file_name()) else { return Ok(()) };
        let removed = root
            .open_directory(leftover.parent().unwrap_or(Path::new("")))
            .and_then(|directory| directory.remove_file(name));
        match removed {
            // The file itself is refused for the same reason.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(()),
            removed => Ok(removed?),
        }
    }
}

impl Reader for EntryReader {
    type Batch = Vec<ScanEntry>;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Vec<ScanEntry>>>, Error> {
        let Some(permit) = admission.acquire(self.batch_records.saturating_mul(RECORD_BYTES)) else { return Ok(None) };
        let mut batch = Vec::new();
        while (batch.len() as u64) < self.batch_records {
            match self.next_entry() {
                None => break,
                Some(ScanEntry { path, found: Found::Leftover }) => self.remove(&path)?,
                Some(entry) if self.settled.binary_search(&entry.path).is_ok() => {}
                Some(entry) => batch.push(entry),
            }
        }
        let records = batch.len() as u64;
        Ok((records > 0).then(|| Admitted { batch, permit, records, source_bytes: 0 }))
    }
}
