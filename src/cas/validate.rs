//! Compares a target and its map with the source: the target has the content of every readable object, and the map has
//! exactly the rows of these objects (docs/source-requiem.md, "Tools around a store").

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::algorithm_counts::AlgorithmCounts;
use super::format::encoding::Encoding;
use super::format::key::{Algorithm, Key};
use super::format::record::parse_hint;
use super::map::{KeyMap, MapRow};
use super::migrate::accounting::Destination;
use super::migrate::object_log::{LoggedObject, ObjectOutcome};
use super::migrate::placer::{IncomingObject, PlaceResult};
use super::migrate::read_only_pass::identify_all;
use super::options::MigrateOptions;
use super::outcome::Counts;
use super::paths::blob_path;
use super::source::SourceRoot;
use super::source::inventory::InventoryBuilder;
use super::source::scan::unreadable_text;
use super::state::BlobMethod;
use super::store::read_blob;
use crate::durable::{BadSpots, Disk, DiskError, RealDisk, read_again, read_again_if, read_source_whole};
use crate::migration::{Error, Finding, FindingsCount, FirstFindings, Severity, SortDirectory, check_stop};
use crate::pipeline::{Control, SortedRuns, StopToken};

/// Longest file that is read as a sidecar.
const SIDECAR_BYTES_MAX: usize = 64 << 10;
/// An old key with its algorithm.
const OLD_KEY_BYTES: usize = 33;

/// The result of a validation.
#[derive(Debug, Clone, Serialize)]
pub struct ValidateEnd {
    /// Objects of the source that were compared.
    pub objects: u64,
    /// Everything in the source, by outcome; `migrated` counts the objects that were identified.
    pub source: Counts,
    /// The identified objects by the algorithm of their keys.
    pub generations: AlgorithmCounts,
    /// Objects whose content the target has, byte for byte.
    pub equal: u64,
    /// Rows of the map.
    pub map_rows: u64,
    /// Errors: objects that are missing or different in the target; rows that are missing, wrong or unnecessary in the
    /// map.
    pub errors: u64,
    /// Findings by severity. Objects that the source itself cannot give are `refused`, and not errors.
    pub findings_count: FindingsCount,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// True if a stop was requested. Then the numbers cover a part of the source.
    pub stopped: bool,
}

/// Validates `target` and `map` against the store at `source`. Only reads.
pub fn validate(
    source: &Path,
    target: &Path,
    map: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<ValidateEnd, Error> {
    let root = SourceRoot::open(source)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let sorts = SortDirectory::temporary(&disk)?;
    let memory_bytes = options.sort_memory_bytes() / 2;
    let builder = InventoryBuilder::over(sorts.runs("inventory", memory_bytes)?);
    let mut comparison = Comparison {
        target,
        map: KeyMap::open(map)?,
        seen: sorts.runs("seen", memory_bytes)?,
        equal: 0,
        findings: FirstFindings::default(),
        buffer: Vec::new(),
        spots: BadSpots::default(),
        stop: control.stop,
    };
    let pass = identify_all(&root, builder, &mut comparison, options, control)?;
    let map_rows = if pass.stopped { 0 } else { comparison.find_surplus_rows()? };
    Ok(ValidateEnd {
        objects: pass.state.progress.objects,
        source: pass.state.counts,
        generations: pass.state.progress.generations.into(),
        equal: comparison.equal,
        map_rows,
        errors: comparison.findings.count.fatal,
        findings_count: comparison.findings.count,
        findings: comparison.findings.first,
        stopped: pass.stopped,
    })
}

/// The target and the map, and the result of the comparison with the source so far.
struct Comparison<'a> {
    target: &'a Path,
    map: KeyMap,
    seen: SortedRuns<OLD_KEY_BYTES>,
    equal: u64,
    findings: FirstFindings,
    buffer: Vec<u8>,
    /// Tells objects of the target that cannot be read from a target whose device fails.
    spots: BadSpots,
    stop: &'a StopToken,
}

impl Destination for Comparison<'_> {
    fn place(&mut self, _incoming: &IncomingObject<'_>) -> Result<PlaceResult, Error> {
        Ok(PlaceResult::Migrated { method: BlobMethod::Copied, sidecar_bytes: 0 })
    }

    fn log_object(&mut self, object: &LoggedObject) -> Result<(), Error> {
        if object.outcome == ObjectOutcome::Refused {
            return Ok(());
        }
        let old = (object.old_key, object.algorithm);
        self.seen.push(old_key_bytes(old))?;
        let (new_key, size) = (object.record.digest, object.record.original_size);
        let row = MapRow { old_key: old.0, old_algorithm: old.1, new_key, size };
        if !self.map.find_old(old.0)?.contains(&row) {
            self.fault(old.0, format!("the map has no row from {} {} to {new_key}", old.1, old.0));
        }
        match self.content_fault(new_key, size)? {
            None => self.equal += 1,
            Some(fault) => self.fault(old.0, format!("{new_key} in the target: {fault}")),
        }
        Ok(())
    }

    fn add_finding(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings.push(finding);
        Ok(())
    }
}

impl Comparison<'_> {
    fn fault(&mut self, key: Key, reason: String) {
        let (severity, id) = (Severity::Fatal, Some(key.to_string()));
        let file = self.target.display().to_string();
        self.findings.push(Finding { severity, file, offset: 0, length: 0, reason, id, sequence: None, related: None });
    }

    /// Returns why the object in the target does not have the content with this key and length.
    fn content_fault(&mut self, key: Key, size: u64) -> Result<Option<String>, Error> {
        let path = blob_path(self.target, key);
        let mut sidecar = Vec::new();
        let sidecar_path = super::paths::sidecar_path(self.target, key);
        let read = || {
            sidecar.clear();
            read_source_whole(&sidecar_path, SIDECAR_BYTES_MAX, &mut sidecar)
        };
        match read_again(read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some("it has no sidecar".into())),
            Err(error) => return self.unreadable(error).map(Some),
            Ok(_) => {}
        }
        let encoding = parse_hint(&sidecar).encoding.unwrap_or(Encoding::Identity);
        let stop = self.stop;
        let read = || read_blob(&RealDisk, &path, encoding, size, &mut self.buffer, |_| check_stop(stop));
        let read = read_again_if(read, |error| match error {
            Error::Disk(error) => Some(error),
            _ => None,
        });
        if read.is_ok() {
            self.spots.note_readable();
        }
        Ok(match read {
            Err(Error::Disk(error)) => Some(self.unreadable(error)?),
            Err(error) => return Err(error),
            Ok(Err(fault)) => Some(fault.to_string()),
            Ok(Ok(digests)) if digests.key != key => Some("it has other content".into()),
            Ok(Ok(digests)) if digests.original_size != size => Some("its content has another length".into()),
            Ok(Ok(_)) => None,
        })
    }

    /// Returns the text of a fault, unless the device of the target fails.
    fn unreadable(&self, error: DiskError) -> Result<String, Error> {
        if self.spots.is_of_file(&error) { Ok(unreadable_text(&error)) } else { Err(error.into()) }
    }

    /// Finds rows of the map whose old keys are not in the source. Returns the number of all rows.
    fn find_surplus_rows(&mut self) -> Result<u64, Error> {
        let seen = std::mem::replace(&mut self.seen, SortedRuns::in_memory());
        let mut seen = seen.finish()?;
        let mut next = seen.next()?;
        let mut surplus = Vec::new();
        let mut rows = 0;
        for numbered in self.map.rows() {
            let row = numbered?.row;
            rows += 1;
            check_stop(self.stop)?;
            let wanted = old_key_bytes((row.old_key, row.old_algorithm));
            while next.is_some_and(|seen| seen < wanted) {
                next = seen.next()?;
            }
            if next != Some(wanted) && surplus.len() < crate::migration::FINDINGS_KEPT_MAX {
                surplus.push(row);
            }
        }
        for row in surplus {
            let text = format!("the map has {} {}, the source has no such object", row.old_algorithm, row.old_key);
            self.fault(row.old_key, text);
        }
        Ok(rows)
    }
}

/// Returns the old key as bytes that sort like the map: by key, then by the name of the algorithm.
fn old_key_bytes(old: (Key, Algorithm)) -> [u8; OLD_KEY_BYTES] {
    let mut bytes = [0; OLD_KEY_BYTES];
    bytes[..32].copy_from_slice(&old.0.0);
    bytes[32] = old.1 as u8;
    bytes
}
