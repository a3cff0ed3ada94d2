//! Reads a store of any generation and reports what it is and what would stop a migration (docs/source-requiem.md,
//! "Tools around a store"). Unlike the original, it reads the store.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::algorithm_counts::AlgorithmCounts;
use super::format::key::Key;
use super::migrate::accounting::Destination;
use super::migrate::object_log::LoggedObject;
use super::migrate::placer::{IncomingObject, PlaceResult};
use super::migrate::plan::{LayoutCounts, layout_counts};
use super::migrate::read_only_pass::identify_all;
use super::options::MigrateOptions;
use super::outcome::Counts;
use super::paths::INDEX_NAME;
use super::source::SourceRoot;
use super::source::inventory::InventoryBuilder;
use super::source::nothing_found::{nothing_found_text, store_below};
use super::state::BlobMethod;
use super::store::index::{IndexReader, LineContent};
use crate::durable::{Disk, EntryKind, RealDisk};
use crate::migration::units::count_text;
use crate::migration::{Error, Finding, FindingsCount, FirstFindings, Severity, SortDirectory};
use crate::pipeline::{Control, Merged, SortedRuns};

/// What a store is.
#[derive(Debug, Clone, Serialize)]
pub struct DoctorEnd {
    /// True if nothing would stop a migration: there is no blocker.
    pub ok: bool,
    /// What a migration would leave out, or could not start with.
    pub blockers: Vec<String>,
    /// What is unusual and harmless.
    pub warnings: Vec<String>,
    /// Objects by the algorithm of their keys, found by hashing.
    pub generations: AlgorithmCounts,
    /// Objects by layout.
    pub layout: LayoutCounts,
    /// The index; `None` if there is none.
    pub index: Option<IndexHealth>,
    /// Temporary files that some writer left.
    pub leftovers: u64,
    /// Everything found, by outcome; `migrated` counts the objects that were identified.
    pub found: Counts,
    /// What was read, in words.
    pub covered: String,
    /// Findings by severity.
    pub findings_count: FindingsCount,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// True if a stop was requested. Then the numbers cover a part of the store.
    pub stopped: bool,
}

/// How an index fits the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct IndexHealth {
    /// Lines that are records.
    pub rows: u64,
    /// Objects without a line.
    pub missing: u64,
    /// Keys with a line and without an object.
    pub phantom: u64,
    /// True if the last line has no newline.
    pub torn_tail: bool,
}

/// Reads the whole store at `root` and describes it. Writes nothing in it.
pub fn doctor(root: &Path, options: &MigrateOptions, control: &Control<'_>) -> Result<DoctorEnd, Error> {
    let source = SourceRoot::open(root)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let sorts = SortDirectory::temporary(&disk)?;
    let memory_bytes = options.sort_memory_bytes() / 3;
    let builder = InventoryBuilder::over(sorts.runs("inventory", memory_bytes)?);
    let mut names = Names { names: sorts.runs("names", memory_bytes)?, findings: FirstFindings::default() };
    let pass = identify_all(&source, builder, &mut names, options, control)?;
    let index = index_health(&*disk, root, names.names, sorts.runs("index", memory_bytes)?)?;
    let counts = pass.state.counts;
    let (mut blockers, warnings) = (blockers(&counts), warnings(&counts, index));
    if pass.sums.objects == 0 && !pass.stopped {
        blockers.push(nothing_found_text(&pass.sums));
        blockers
            .extend(store_below(root)?.map(|store| format!("{} looks like a store: examine that", store.display())));
    }
    let identified = counts.migrated;
    Ok(DoctorEnd {
        ok: blockers.is_empty() && !pass.stopped,
        blockers,
        warnings,
        generations: pass.state.progress.generations.into(),
        layout: layout_counts(&pass.sums),
        index,
        leftovers: counts.skipped_temporary,
        found: counts,
        covered: format!(
            "{} of {} objects hashed, {} identified; names, sidecars as far as they are readable, index lines",
            count_text(pass.state.progress.objects),
            count_text(pass.sums.objects),
            count_text(identified)
        ),
        findings_count: names.findings.count,
        findings: names.findings.first,
        stopped: pass.stopped,
    })
}

fn blockers(counts: &Counts) -> Vec<String> {
    let kinds = counts.each().into_iter().filter(|(name, count)| name.starts_with("refused") && *count > 0);
    kinds.map(|(name, count)| format!("{name}: {}", count_text(count))).collect()
}

fn warnings(counts: &Counts, index: Option<IndexHealth>) -> Vec<String> {
    let kinds = counts.each().into_iter().filter(|(name, count)| name.starts_with("skipped") && *count > 0);
    let mut warnings: Vec<_> = kinds.map(|(name, count)| format!("{name}: {}", count_text(count))).collect();
    if let Some(index) = index {
        for (name, count) in
            [("objects without a line in the index", index.missing), ("lines without an object", index.phantom)]
        {
            if count > 0 {
                warnings.push(format!("{name}: {}", count_text(count)));
            }
        }
        if index.torn_tail {
            warnings.push("the last line of the index has no newline".into());
        }
    }
    warnings
}

/// Collects the names of all objects.
struct Names {
    names: SortedRuns<32>,
    findings: FirstFindings,
}

impl Destination for Names {
    fn place(&mut self, _incoming: &IncomingObject<'_>) -> Result<PlaceResult, Error> {
        Ok(PlaceResult::Migrated { method: BlobMethod::Copied, sidecar_bytes: 0 })
    }

    fn log_object(&mut self, object: &LoggedObject) -> Result<(), Error> {
        Ok(self.names.push(object.old_key.0)?)
    }

    fn add_finding(&mut self, finding: Finding) -> Result<(), Error> {
        // Notes on single objects belong into the report of a migration.
        if finding.severity > Severity::Note {
            self.findings.push(finding);
        }
        Ok(())
    }
}

/// Compares the lines of an index with the names of the objects, both in the order of keys.
fn index_health(
    disk: &dyn Disk,
    root: &Path,
    names: SortedRuns<32>,
    mut lines: SortedRuns<32>,
) -> Result<Option<IndexHealth>, Error> {
    let path = root.join(INDEX_NAME);
    if disk.kind(&path)? != Some(EntryKind::File) {
        return Ok(None);
    }
    let mut health = IndexHealth::default();
    let mut reader = IndexReader::open(disk, &path)?;
    let failed = |e| Error::Disk(crate::durable::DiskError::new("read", &path, e));
    while let Some(line) = reader.next().map_err(failed)? {
        health.torn_tail |= line.is_torn;
        if let LineContent::Record(parsed) = line.content {
            health.rows += 1;
            lines.push(parsed.record.digest.0)?;
        }
    }
    let (mut names, mut lines) = (Distinct::new(names)?, Distinct::new(lines)?);
    loop {
        match (names.current, lines.current) {
            (None, None) => return Ok(Some(health)),
            (Some(name), Some(line)) if name == line => {
                names.advance()?;
                lines.advance()?;
            }
            (Some(name), line) if line.is_none_or(|line| name < line) => {
                health.missing += 1;
                names.advance()?;
            }
            _ => {
                health.phantom += 1;
                lines.advance()?;
            }
        }
    }
}

/// Keys in order, each once.
struct Distinct {
    keys: Merged<32>,
    current: Option<Key>,
}

impl Distinct {
    fn new(keys: SortedRuns<32>) -> Result<Self, Error> {
        let mut keys = keys.finish()?;
        let current = keys.next()?.map(Key);
        Ok(Self { keys, current })
    }

    fn advance(&mut self) -> Result<(), Error> {
        let before = self.current;
        while self.current == before && before.is_some() {
            self.current = self.keys.next()?.map(Key);
        }
        Ok(())
    }
}
