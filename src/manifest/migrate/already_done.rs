//! The scan of a tree whose last run has finished. A tree has no index that tells whether it is still as that run left
//! it, so every file is read again; but a run that would change nothing must not begin, for its plan and its report
//! would take the place of those of the run that did the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::document_reader::DocumentReader;
use super::evaluation_pass::{DryRunEnd, go_through};
use super::selector::Selector;
use super::state::RunState;
use crate::durable::{DiskRoot, ReadRoot};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::reader::EntryReader;
use crate::manifest::tree::scan::ScanEntry;
use crate::migration::{Error, OutcomeCounts};
use crate::pipeline::{Admission, Admitted, Control, Phase, Reader};

/// Reads the tree that the run of `finished` has migrated. `None`: there is something to do, or something to report
/// that the run has not reported.
pub(super) fn scan_finished(
    root: &Arc<dyn DiskRoot>,
    finished: &RunState,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<DryRunEnd>, Error> {
    let places = (options.layout, options.manifest.as_deref());
    // What a rollback that died has left is removed here as in a run.
    let now = finished.progress.now();
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    let tree: Arc<dyn ReadRoot> = root.clone();
    let entries = EntryReader::new(tree.clone(), places, Vec::new(), options.run.batch_records)?
        .after_crash(Vec::new(), root.clone())
        .selecting(Selector::of_migration(&tree, options, &documents, (now, 0))?);
    let transformer = options.transformer(now)?;
    let reader = |has_work| UntilWork { entries, has_work };
    let scanned = go_through(&tree, transformer, reader, options, (&documents, Phase::Scan, control))?;
    let is_as_left = scanned.counts.migrated == 0 && scanned.counts.refused() == finished.counts.refused();
    Ok((scanned.stopped || is_as_left).then_some(scanned))
}

/// Ends early once a file is found that a run would migrate: the run reads the tree anyway.
struct UntilWork {
    entries: EntryReader,
    has_work: Arc<AtomicBool>,
}

impl Reader for UntilWork {
    type Batch = Vec<ScanEntry>;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Vec<ScanEntry>>>, Error> {
        if self.has_work.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.entries.next(admission)
    }
}
