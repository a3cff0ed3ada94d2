//! Dry runs: the stages of a real run read, identify and encode every object, but the writer has no disk.
//!
//! A real run sorts on the disk and finds duplicates by names that exist there. A dry run does both in memory. It needs
//! about 110 bytes for each object, and 40 to 75 bytes for each new key and for each key of a store that is merged into.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::accounting::{Destination, check_complete, record_batch};
use super::convert::ObjectConverter;
use super::converted::Converted;
use super::object_log::{LoggedObject, ObjectOutcome};
use super::outcome_check::check_outcomes;
use super::placer::{IncomingObject, PlaceResult};
use super::plan::Plan;
use super::read_only_pass::stopped_inside;
use super::replaced_check::check_drop;
use super::steps::CasMigration;
use crate::cas::algorithm_counts::AlgorithmCounts;
use crate::cas::format::key::Key;
use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::outcome::Counts;
use crate::cas::paths::{TargetPaths, blob_path};
use crate::cas::source::reader::SourceReader;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::{Inventory, SourceRoot};
use crate::cas::state::RunState;
use crate::cas::store::index_keys::for_each_index_key;
use crate::durable::{Disk, source_identity};
use crate::migration::{Error, Finding, FindingsCount, FirstFindings, OutcomeCounts, rehearse};
use crate::pipeline::{Control, Ended, Expected, Phase, pass};

/// What a real run would do.
#[derive(Debug, Clone, Serialize)]
pub struct DryRunEnd {
    /// The plan.
    pub plan: Plan,
    /// The number of entries that were found: objects and others.
    pub records: u64,
    /// Objects that were handled.
    pub objects: u64,
    /// Outcomes of all entries.
    pub counts: Counts,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the blobs that the run would add to the target.
    pub stored_bytes: u64,
    /// Findings by severity.
    pub findings_count: FindingsCount,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// True if a real run would fail before it publishes, because of the objects that it would refuse.
    pub would_fail: bool,
    /// True if the run was asked to stop. Then the numbers cover only a part of the source.
    pub stopped: bool,
}

/// Makes the checks of a run, then reads, identifies and encodes every object. Writes nothing. Where a real run would
/// continue an earlier one, a dry run still covers it from its beginning.
///
/// # Errors
/// The errors of a real run before it writes, and [`Error::SourceChanged`] if names were added or removed meanwhile.
pub fn dry_run(
    disk: &Arc<dyn Disk>,
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<DryRunEnd, Error> {
    let mut migration = CasMigration::open(source, paths, options)?;
    let plan =
        rehearse(&mut migration, disk, &paths.run_directory(), &options.run, control)?.ok_or_else(Error::stopped)?;
    let (root, found) = migration.into_found();
    let mut state = RunState::new(plan.digest_bytes, String::new(), options.rules(), options.durability);
    (state.records, state.counts) = (found.counts.sum(), found.counts);
    let mut unwritten = Unwritten::new(&**disk, paths, options)?;
    unwritten.findings = found.findings;
    let inventory = found.inventory.expect("no run has taken it");
    let mut writer = DryWriter { root: &root, state, unwritten };
    let ended = convert_all(&**disk, paths, &found.sums, inventory, &mut writer, options, control)?;
    Ok(end(plan, writer, options, ended))
}

/// Converts every object.
fn convert_all(
    disk: &dyn Disk,
    paths: &TargetPaths,
    sums: &ScanSums,
    inventory: Inventory,
    writer: &mut DryWriter<'_>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Ended, Error> {
    let root = writer.root;
    let converter = ObjectConverter::new(root, sums.objects, options.compress, options.link, None, control.stop);
    let reader = SourceReader::new(inventory, 0, options.run.batch_records, options.compress)?;
    let ended = control.phase(Phase::Run, Expected::both(sums.objects, sums.object_bytes), || {
        pass(reader, &converter, &options.engine(), control, |converted| writer.write(&converted))
    });
    let ended = stopped_inside(ended)?;
    if ended == Ended::Complete {
        check_complete(&writer.state, sums)?;
        sums.check_unchanged(root)?;
        if options.placement == Placement::Replace {
            check_drop(disk, paths, &writer.state.counts, options, control.stop)?;
        }
    }
    Ok(ended)
}

fn end(plan: Plan, writer: DryWriter<'_>, options: &MigrateOptions, ended: Ended) -> DryRunEnd {
    let DryWriter { state, unwritten, .. } = writer;
    DryRunEnd {
        plan,
        records: state.records,
        objects: state.progress.objects,
        counts: state.counts,
        generations: state.progress.generations.into(),
        stored_bytes: state.progress.stored_bytes,
        findings_count: unwritten.findings.count,
        findings: unwritten.findings.first,
        would_fail: check_outcomes(options, &state.counts, PathBuf::new()).is_err(),
        stopped: ended == Ended::Stopped,
    }
}

/// A writer without a disk.
struct DryWriter<'a> {
    root: &'a SourceRoot,
    state: RunState,
    unwritten: Unwritten,
}

impl DryWriter<'_> {
    fn write(&mut self, converted: &Converted) -> Result<(), Error> {
        record_batch(&mut self.state, self.root, &mut self.unwritten, converted)
    }
}

/// The store that a dry run does not write: its keys and its findings.
struct Unwritten {
    merged_into: Option<(PathBuf, HashSet<Key>)>,
    new_keys: HashSet<Key>,
    findings: FirstFindings,
}

impl Unwritten {
    fn new(disk: &dyn Disk, paths: &TargetPaths, options: &MigrateOptions) -> Result<Self, Error> {
        let mut merged_into = None;
        if options.placement == Placement::Merge {
            let mut listed = HashSet::new();
            for_each_index_key(disk, paths.target(), |key| {
                listed.insert(key);
                Ok(())
            })?;
            merged_into = Some((paths.target().to_path_buf(), listed));
        }
        Ok(Self { merged_into, new_keys: HashSet::new(), findings: FirstFindings::default() })
    }

    fn is_in_target(&self, key: Key) -> Result<bool, Error> {
        let Some((store, _)) = self.merged_into.as_ref().filter(|(_, listed)| listed.contains(&key)) else {
            return Ok(false);
        };
        match source_identity(&blob_path(store, key)) {
            Ok(identity) => Ok(identity.is_some()),
            // There is a file where the directory of a shard should be.
            Err(e) if e.kind() == ErrorKind::NotADirectory => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl Destination for Unwritten {
    fn place(&mut self, incoming: &IncomingObject<'_>) -> Result<PlaceResult, Error> {
        let key = incoming.record.digest;
        Ok(PlaceResult::Done(if self.is_in_target(key)? {
            ObjectOutcome::InTarget
        } else if self.new_keys.insert(key) {
            ObjectOutcome::Migrated
        } else {
            ObjectOutcome::Duplicate
        }))
    }

    fn log_object(&mut self, _object: &LoggedObject) -> Result<(), Error> {
        Ok(())
    }

    fn add_finding(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings.push(finding);
        Ok(())
    }
}
