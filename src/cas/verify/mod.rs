//! Reads a v2 store and reports everything that is wrong with it (docs/source-requiem.md, "What a verification must
//! find"), also what readers ignore silently: objects that are missing, lines that no reader reads, a missing index.
//!
//! The walk finds every name below the objects, the index is read line by line, and both are sorted by key within the
//! memory budget. Joined, they are one stream of items for the engine: the converters read blobs and sidecars, and the
//! writer adds up in the order of keys and stores its progress. Nothing in the store is written or locked. A fault
//! never ends the verification: the objects after it are read all the same, unless it is the device that fails.

mod blob;
mod end;
mod fault;
mod index;
mod join;
mod object;
mod reader;
mod request;
pub mod run;
mod scan;
mod state;
mod tally;
mod walk;

use std::path::Path;
use std::sync::Arc;

pub use blob::{BlobReadFault, BlobScratch, digest_blob};
pub use end::VerifyEnd;
pub use fault::{FaultKind, VerifyFault};
pub use index::line_path;
pub use join::{Join, Joined};
pub use object::{ObjectChecker, Totals, object_path};
pub use reader::{Batch, TaskReader};
pub use request::{Share, VerifyRequest};
pub use scan::{Scanned, scan};
pub use state::{OnSound, VERIFY_KIND};
pub use tally::{FAULTS_KEPT_MAX, Tally};
pub use walk::list_root;

use self::state::{StateWriter, VerifySubject, resumed};
use super::options::MigrateOptions;
use super::paths::INDEX_NAME;
use super::source::SourceRoot;
use crate::durable::{BadSpots, Disk, RealDisk, source_identity};
use crate::migration::{Error, ResumePoint, SortDirectory, stopped_inside};
use crate::pipeline::{Control, Ended, Expected, Phase, run};

/// Verifies the store at `root`, which may be on a read-only file system. A verification that is stopped starts over;
/// `haul cas verify` resumes.
///
/// # Errors
/// [`Error::Verification`] if there is no such directory; [`Error::Disk`] if its index cannot be read, or its device
/// fails. Faults in a store are not errors of this call: see
/// [`VerifyEnd::errors`].
pub fn verify_store(
    root: &Path,
    request: &VerifyRequest,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let sorts = SortDirectory::temporary(&disk)?;
    Verification { root, request, sorts: &sorts, place: None, options, control }.run(&mut |_, _| Ok(()))
}

/// A verification and its settings.
pub struct Verification<'a> {
    /// The store.
    pub root: &'a Path,
    /// What is verified.
    pub request: &'a VerifyRequest,
    /// The directory of its sorts.
    pub sorts: &'a SortDirectory,
    /// Where it stores its progress.
    pub place: Option<&'a ResumePoint>,
    /// Settings. Those that decide the result of a migration do not matter.
    pub options: &'a MigrateOptions,
    /// Stop and events.
    pub control: &'a Control<'a>,
}

impl Verification<'_> {
    /// Runs the verification. `on_sound` is called for every intact object.
    pub fn run(&self, on_sound: &mut OnSound<'_>) -> Result<VerifyEnd, Error> {
        let scanned = scan(self.root, self.request, self.sorts, self.options, self.control)?;
        let Some(Scanned { walked, index, tally }) = scanned else { return Ok(self.stopped_early()) };
        let subject = VerifySubject::new(&walked.sums, index.identity, self.request);
        let (state, resumed) = resumed(self.place, subject)?;
        let (objects, objects_in_share) = (walked.sums.objects, walked.share.objects);
        let (index_lines, identity) = (index.lines, index.identity);
        let expected = Expected {
            records: Some(objects_in_share.saturating_sub(state.totals.objects_read)),
            bytes: walked.share.bytes.map(|bytes| bytes.saturating_sub(state.totals.blob_bytes)),
        };
        let root = SourceRoot::v2(self.root);
        let reader = TaskReader::new(Join::new(walked.inventory, index.sorted)?, walked.share, state.next)?;
        let checker = ObjectChecker {
            root: &root,
            merged_into: self.request.merged_into.as_deref(),
            stop: self.control.stop,
            spots: BadSpots::of(objects_in_share),
        };
        let mut writer = StateWriter { state, place: self.place, on_sound };
        let ended = self.control.phase(Phase::Verify, expected, || {
            stopped_inside(run(reader, &checker, &mut writer, &self.options.engine(), self.control))
        })?;
        let mut totals = writer.state.totals;
        totals.faults.merge(tally);
        let path = self.root.join(INDEX_NAME);
        if identity.is_some() && source_identity(&path)? != identity {
            let text = "it was written during the verification: new objects were not read";
            totals.faults.add(VerifyFault::new(FaultKind::StoreChanged, INDEX_NAME.into(), None, text));
        }
        let numbers = Numbers { objects, objects_in_share, index_lines };
        Ok(self.end(numbers, totals, ended == Ended::Stopped, resumed))
    }

    fn stopped_early(&self) -> VerifyEnd {
        let nothing = Numbers { objects: 0, objects_in_share: 0, index_lines: 0 };
        self.end(nothing, Totals::default(), true, false)
    }

    fn end(&self, numbers: Numbers, totals: Totals, stopped: bool, resumed: bool) -> VerifyEnd {
        let mut end = VerifyEnd {
            objects: numbers.objects,
            objects_in_share: numbers.objects_in_share,
            objects_read: totals.objects_read,
            objects_ok: totals.objects_ok,
            blob_bytes: totals.blob_bytes,
            content_bytes: totals.content_bytes,
            index_lines: numbers.index_lines,
            errors: totals.faults.errors(),
            warnings: totals.faults.warnings(),
            faults_count: totals.faults.by_name(),
            faults: totals.faults.into_kept(),
            subset: self.request.subset,
            sample: self.request.sample,
            covered: String::new(),
            stopped,
            resumed,
        };
        end.covered = end.covered_text();
        end
    }
}

/// What is known before the first object is read.
struct Numbers {
    objects: u64,
    objects_in_share: u64,
    index_lines: u64,
}
