//! What a migration would do: every object read, identified and encoded by the stages of a real run, with a writer that
//! has no disk.
//!
//! A real run sorts on the disk and finds duplicates by the names that are taken. Both are held in memory here: about
//! 110 bytes for each object, and 40 to 75 for each new key and for each that the store holds which is merged into.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::AlgorithmCounts;
use super::accounting::{Destination, check_complete, enter};
use super::convert::ObjectConverter;
use super::converted::Converted;
use super::object_log::{Fate, Moved};
use super::placer::{Arrival, Placing};
use super::plan::Plan;
use super::steps::CasMigration;
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
    /// Everything found: objects, and names that are none.
    pub records: u64,
    /// Objects gone through.
    pub objects: u64,
    /// Outcomes of everything found.
    pub counts: Counts,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the blobs that the target would have from the run.
    pub stored_bytes: u64,
    /// Findings by severity.
    pub findings_count: FindingsCount,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// True if a real run would publish nothing: an object is refused, and that is not allowed.
    pub would_fail: bool,
    /// True if the run was asked to stop; the numbers then cover a part.
    pub stopped: bool,
}

/// Makes the checks of a run, then reads, identifies and encodes every object. Writes nothing; `disk` is only looked at.
/// An earlier run that the real one would continue is gone through from its beginning.
///
/// # Errors
/// Those of a real run before it writes, and [`Error::SourceChanged`] if names came or went meanwhile.
pub fn dry_run(
    disk: &Arc<dyn Disk>,
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<DryRunEnd, Error> {
    let mut migration = CasMigration::open(source, paths, options)?;
    let plan = rehearse(&mut migration, disk, &paths.run_directory(), &options.run, control)?
        .ok_or_else(|| Error::Stopped { next: "run the same command again".into() })?;
    let (root, found) = migration.into_found();
    let mut state = RunState::new(plan.digest_bytes, String::new(), options.rules(), options.durability);
    (state.records, state.counts) = (found.counts.sum(), found.counts);
    let mut unwritten = Unwritten::new(&**disk, paths, options)?;
    unwritten.findings = found.findings;
    let inventory = found.inventory.expect("no run has taken it");
    let mut writer = DryWriter { root: &root, state, unwritten };
    let ended = go_through(&found.sums, inventory, &mut writer, options, control)?;
    Ok(end(plan, writer, options, ended))
}

/// Converts every object.
fn go_through(
    sums: &ScanSums,
    inventory: Inventory,
    writer: &mut DryWriter<'_>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Ended, Error> {
    let root = writer.root;
    let converter = ObjectConverter::new(root, options.compress, options.link, None);
    let reader = SourceReader::new(inventory, 0, options.run.batch_records, options.compress)?;
    let ended = control.phase(Phase::Run, Expected::both(sums.objects, sums.object_bytes), || {
        pass(reader, &converter, &options.engine(), control, |converted| writer.write(&converted))
    })?;
    if ended == Ended::Complete {
        check_complete(&writer.state, sums)?;
        sums.check_unchanged(root)?;
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
        would_fail: options.strict && state.counts.refused() > 0,
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
        enter(&mut self.state, self.root, &mut self.unwritten, converted)
    }
}

/// The store that is not made: its keys and the findings.
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
            // A file in place of a shard holds nothing.
            Err(e) if e.kind() == ErrorKind::NotADirectory => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl Destination for Unwritten {
    fn place(&mut self, arrival: &Arrival<'_>) -> Result<Placing, Error> {
        let key = arrival.record.digest;
        Ok(Placing::Done(if self.is_in_target(key)? {
            Fate::InTarget
        } else if self.new_keys.insert(key) {
            Fate::Migrated
        } else {
            Fate::Duplicate
        }))
    }

    fn keep(&mut self, _moved: &Moved) -> Result<(), Error> {
        Ok(())
    }

    fn find(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings.push(finding);
        Ok(())
    }
}
