//! Reads a v2 store again and says everything that is wrong with it (spec/requiem.md A4), also what readers pass over
//! without a word: objects that are gone, lines that nobody reads, an index that is not there.
//!
//! The walk finds every name below the objects, the index is read line by line, and both are sorted by key within the
//! memory budget. Side by side they give one stream of things, which goes through the engine: the converters read blobs
//! and sidecars, the writer adds up in the order of keys and keeps the place. Nothing in the store is written, locked or
//! touched, and a fault never ends it: the objects behind it are read all the same.

mod blob;
mod end;
mod fault;
mod index;
mod join;
mod object;
mod reader;
mod request;
pub mod run;
mod state;
mod survey;
mod tally;
mod walk;

use std::path::Path;
use std::sync::Arc;

pub use blob::{BlobDigests, BlobFault, BlobScratch, ContentDigest, ContentFault, digest_blob};
pub use end::VerifyEnd;
pub use fault::{FAULT_TEXT_BYTES_MAX, FaultKind, FaultSeverity, VerifyFault};
pub use index::{IndexRead, line_path, read_index};
pub use join::{Join, Joined};
pub use object::{Checked, ObjectChecker, Totals, object_path};
pub use reader::{Batch, Task, TaskReader};
pub use request::{Sample, Share, ShareBuilder, VerifyRequest};
pub use state::{OnSound, VERIFY_KIND};
pub use survey::{Surveyed, survey};
pub use tally::{FAULTS_KEPT_MAX, Tally};
pub use walk::{Parts, Walked, look_at_root};

use self::state::{StateWriter, Subject, resumed};
use super::options::MigrateOptions;
use super::paths::INDEX_NAME;
use super::source::SourceRoot;
use crate::durable::{Disk, RealDisk, source_identity};
use crate::migration::{Error, ResumePoint, SortDirectory};
use crate::pipeline::{Control, Ended, Expected, Phase, run};

/// Verifies the store at `root`, which may lie where nothing can be written. A verification that is stopped begins anew;
/// [`check_store`](self::run::check_store) keeps its place.
///
/// # Errors
/// [`Error::Verification`] if there is no such directory. What is wrong in a store is no error of this call: see
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

/// A verification and what it works with.
pub struct Verification<'a> {
    /// The store.
    pub root: &'a Path,
    /// What is to be verified.
    pub request: &'a VerifyRequest,
    /// Where it sorts.
    pub sorts: &'a SortDirectory,
    /// Where it keeps its place.
    pub place: Option<&'a ResumePoint>,
    /// Settings; only those of its course matter.
    pub options: &'a MigrateOptions,
    /// Stop and events.
    pub control: &'a Control<'a>,
}

impl Verification<'_> {
    /// Carries it out. `on_sound` is told of every object that is sound.
    pub fn run(&self, on_sound: &mut OnSound<'_>) -> Result<VerifyEnd, Error> {
        let surveyed = survey(self.root, self.request, self.sorts, self.options, self.control)?;
        let Some(Surveyed { walked, index, tally }) = surveyed else { return Ok(self.stopped_early()) };
        let subject = Subject::new(&walked.sums, index.identity, self.request);
        let (state, resumed) = resumed(self.place, subject)?;
        let (objects, objects_in_share) = (walked.sums.objects, walked.share.objects);
        let (index_lines, identity) = (index.lines, index.identity);
        let expected = Expected {
            records: Some(objects_in_share.saturating_sub(state.totals.objects_read)),
            bytes: walked.share.bytes.map(|bytes| bytes.saturating_sub(state.totals.blob_bytes)),
        };
        let root = SourceRoot::v2(self.root);
        let reader = TaskReader::new(Join::new(walked.inventory, index.sorted)?, walked.share, state.next)?;
        let checker = ObjectChecker { root: &root, merged_into: self.request.merged_into.as_deref() };
        let mut writer = StateWriter { state, place: self.place, on_sound };
        let ended = self.control.phase(Phase::Verify, expected, || {
            run(reader, &checker, &mut writer, &self.options.engine(), self.control)
        })?;
        let mut totals = writer.state.totals;
        totals.faults.merge(tally);
        let path = self.root.join(INDEX_NAME);
        if identity.is_some() && source_identity(&path)? != identity {
            let text = "it was written to meanwhile: what came into the store was not looked at";
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

/// What is known before an object is read.
struct Numbers {
    objects: u64,
    objects_in_share: u64,
    index_lines: u64,
}
