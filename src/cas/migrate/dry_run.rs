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
use super::converted::{Blob, Converted};
use super::known_objects::KnownObjects;
use super::object_log::LoggedObject;
use super::outcome_check::check_outcomes;
use super::placer::{IncomingObject, PlaceResult, link_error};
use super::plan::Plan;
use super::replaced_check::check_drop;
use super::steps::CasMigration;
use crate::cas::algorithm_counts::AlgorithmCounts;
use crate::cas::format::key::Key;
use crate::cas::options::{Linking, MigrateOptions, Placement};
use crate::cas::outcome::Counts;
use crate::cas::paths::{TargetPaths, blob_path, sidecar_bytes};
use crate::cas::source::reader::SourceReader;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::{Inventory, SourceRoot};
use crate::cas::state::{BlobMethod, BlobMethods, RunState};
use crate::cas::store::index_keys::for_each_index_key;
use crate::durable::{Disk, link_obstacle, source_identity};
use crate::migration::{
    Error, Finding, FindingsCount, FirstFindings, OutcomeCounts, nearest_directory, rehearse, stopped_inside,
};
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
    /// How the blobs would come into the target. Copies may turn out to share their blocks.
    pub blobs: BlobMethods,
    /// Objects that an earlier run has migrated and that are not read again.
    pub not_read_again: u64,
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
    let known = if migration.is_second_pass() { Some(KnownObjects::open(&**disk, paths)?) } else { None };
    let (root, found) = migration.into_found();
    let mut state = RunState::new(plan.digest_bytes, String::new(), options.rules(), options.durability);
    (state.records, state.counts) = (found.counts.sum(), found.counts);
    let mut unwritten = Unwritten::new(&**disk, paths, options)?;
    unwritten.findings = found.findings;
    let inventory = found.inventory.expect("no run has taken it");
    let mut writer = DryWriter { root: &root, state, unwritten };
    let pass = Pass { disk: &**disk, paths, sums: &found.sums, known: known.as_ref(), options, control };
    let ended = pass.convert_all(inventory, &mut writer)?;
    Ok(end(plan, writer, options, ended))
}

/// What the conversion needs.
struct Pass<'a> {
    disk: &'a dyn Disk,
    paths: &'a TargetPaths,
    sums: &'a ScanSums,
    /// Objects that are not read again.
    known: Option<&'a KnownObjects>,
    options: &'a MigrateOptions,
    control: &'a Control<'a>,
}

impl Pass<'_> {
    /// Converts every object.
    fn convert_all(&self, inventory: Inventory, writer: &mut DryWriter<'_>) -> Result<Ended, Error> {
        let Self { sums, options, control, .. } = *self;
        let (root, link) = (writer.root, options.link.is_wanted());
        let converter = ObjectConverter::new(root, sums.objects, options.compress, link, None, control.stop);
        let converter = converter.without(self.known);
        let reader = SourceReader::new(inventory, 0, options.run.batch_records, options.compress)?;
        let ended = control.phase(Phase::Run, Expected::both(sums.objects, sums.object_bytes), || {
            pass(reader, &converter, &options.engine(), control, |converted| writer.write(&converted))
        });
        let ended = stopped_inside(ended)?;
        if ended == Ended::Complete {
            check_complete(&writer.state, sums)?;
            sums.check_unchanged(root)?;
            if options.placement == Placement::Replace {
                check_drop(self.disk, self.paths, &writer.state.counts, options, control.stop)?;
            }
        }
        Ok(ended)
    }
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
        blobs: state.progress.more.blobs,
        not_read_again: state.progress.more.not_read_again,
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
        record_batch(&mut self.state, self.root, &mut self.unwritten, &converted.items)
    }
}

/// The store that a dry run does not write: its keys and its findings.
struct Unwritten {
    merged_into: Option<(PathBuf, HashSet<Key>)>,
    new_keys: HashSet<Key>,
    findings: FirstFindings,
    linking: Linking,
    /// The nearest directory to the target that exists.
    directory: PathBuf,
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
        let directory = nearest_directory(disk, paths.run_directory().path())?;
        let (new_keys, findings, linking) = (HashSet::new(), FirstFindings::default(), options.link);
        Ok(Self { merged_into, new_keys, findings, linking, directory })
    }

    /// Predicts how the blob would come into the target. Whether a copy could share blocks shows only when it is made.
    fn method(&self, incoming: &IncomingObject<'_>) -> Result<BlobMethod, Error> {
        if !matches!(incoming.blob, Blob::Linked) {
            return Ok(BlobMethod::Copied);
        }
        match link_obstacle(incoming.source, &self.directory)? {
            None => Ok(BlobMethod::Linked),
            Some(error) if self.linking == Linking::Always => Err(link_error(error)),
            Some(_) => Ok(BlobMethod::Copied),
        }
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
        if self.is_in_target(key)? {
            return Ok(PlaceResult::InTarget);
        }
        if !self.new_keys.insert(key) {
            return Ok(PlaceResult::Duplicate);
        }
        let sidecar_bytes = sidecar_bytes(incoming.record).len() as u64;
        Ok(PlaceResult::Migrated { method: self.method(incoming)?, sidecar_bytes })
    }

    fn log_object(&mut self, _object: &LoggedObject) -> Result<(), Error> {
        Ok(())
    }

    fn add_finding(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings.push(finding);
        Ok(())
    }
}
