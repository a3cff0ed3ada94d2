//! The reader of the pipeline: batches of what the scan finds, or the one file that the operator named.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_faults::concerns_one_file;
use super::scan::{Found, Layout, Scan, ScanEntry, SkipReason};
use crate::durable::{DiskRoot, ReadRoot};
use crate::migration::Error;
use crate::pipeline::{Admission, Admitted, Reader};

/// Memory that a file takes until it is written: its path, its digests and its findings. The content is not part of it:
/// a converter reads one file at a time.
const RECORD_BYTES: u64 = 2 << 10;

/// The largest batch if manifests are looked into to select them.
const SELECTED_MAX: u64 = 32;

/// Decides which manifests a command takes. It is asked for each of them, in the order of the tree.
pub trait Select: Send {
    /// Returns true if the command takes the manifest.
    fn takes(&mut self, file: &Path) -> Result<bool, Error>;
}

/// Divides what is found into batches.
pub struct EntryReader {
    entries: Entries,
    batch_records: u64,
    /// Files that a crashed run has replaced already, sorted.
    settled: Vec<PathBuf>,
    /// The tree from which leftovers of a crashed run are removed; `None` for a pass that only reads.
    cleaner: Option<Arc<dyn DiskRoot>>,
    select: Option<Box<dyn Select>>,
}

enum Entries {
    Walk(Box<Scan>),
    Named(Option<PathBuf>),
}

impl EntryReader {
    /// Reads the manifests in `root` that come after the place `after`, or only the named file.
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
        Ok(Self { entries, batch_records, settled: Vec::new(), cleaner: None, select: None })
    }

    /// Skips the files that a crashed run has replaced, and removes its leftovers on the way.
    pub fn after_crash(mut self, settled: Vec<PathBuf>, cleaner: Arc<dyn DiskRoot>) -> Self {
        self.settled = settled;
        self.cleaner = Some(cleaner);
        self
    }

    /// Passes on other manifests as skipped.
    pub fn selecting(mut self, select: Option<impl Select + 'static>) -> Self {
        self.select = select.map(|select| Box::new(select) as Box<dyn Select>);
        if self.select.is_some() {
            self.batch_records = self.batch_records.min(SELECTED_MAX);
        }
        self
    }

    fn selected(&mut self, entry: ScanEntry) -> Result<ScanEntry, Error> {
        let select = self.select.as_mut().filter(|_| matches!(entry.found, Found::Manifest));
        let is_taken = select.map_or(Ok(true), |select| select.takes(&entry.path))?;
        let found = if is_taken { entry.found } else { Found::Skipped(SkipReason::NotSelected) };
        Ok(ScanEntry { found, ..entry })
    }

    fn next_entry(&mut self) -> Option<ScanEntry> {
        match &mut self.entries {
            Entries::Walk(scan) => scan.next(),
            Entries::Named(file) => file.take().map(|path| ScanEntry { path, found: Found::Manifest }),
        }
    }

    /// Removes a leftover. A leftover has a name that sorts before the manifest of its directory, so it is met before
    /// this run writes there, and the temporary files of this run are never removed.
    fn remove(&self, leftover: &Path) -> Result<(), Error> {
        let (Some(root), Some(name)) = (&self.cleaner, leftover.file_name()) else { return Ok(()) };
        let removed = root
            .open_directory(leftover.parent().unwrap_or(Path::new("")))
            .and_then(|directory| directory.remove_file(name));
        match removed {
            // The manifest next to it is refused for the same reason.
            Err(error) if concerns_one_file(&error) => Ok(()),
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
                Some(entry) => batch.push(self.selected(entry)?),
            }
        }
        let records = batch.len() as u64;
        Ok((records > 0).then(|| Admitted { batch, permit, records, source_bytes: 0 }))
    }
}
