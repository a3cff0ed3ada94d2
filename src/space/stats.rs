//! What a log consists of, from walking all of its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::current_store::live_store;
use super::log::extent::RegionKind;
use super::log::extent::{Content, Extent};
use super::log::reader::Batch;
use super::log::source::WalSource;
use super::log::wal::HEADER_BYTES;
use super::log_pass::scan;
use super::migrate::plan::{PlannedOther, check_directory, others};
use super::options::MigrateOptions;
use super::paths::SpacePaths;
use super::policy::Corruption;
use super::store::manifest::Manifest;
use crate::durable::{ReaderKind, RealDisk, SourceEntryKind, source_entries};
use crate::migration::{Error, RunOptions, SourceBytes};
use crate::pipeline::{Control, Ended, Expected, Phase};
use crate::space::outcome::Counts;

/// Regions without a record that are listed; further ones are counted.
pub const REGIONS_LISTED_MAX: usize = 100;
const SCAN_BUDGET_BYTES: u64 = 128 << 20;
/// What Engram keeps next to the log. None of it is a source (docs/source-engram.md, "Files that are not a source").
const WARM_TIER: &str = "warm_tier.dat";
const TIER_DIRECTORIES: [&str; 3] = ["hot", "warm", "cold"];

/// What a space consists of.
#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    /// The space directory.
    pub space: String,
    /// True if Engram would accept the directory's name.
    pub valid_space_name: bool,
    /// All log files together.
    pub total: LogTotals,
    /// Each log file, in the order in which they are read.
    pub files: Vec<FileStats>,
    /// Stretches without a record: the first [`REGIONS_LISTED_MAX`].
    pub regions: Vec<RegionStats>,
    /// How many there are.
    pub regions_total: u64,
    /// Entries of `wal/` that are not read.
    pub others: Vec<PlannedOther>,
    /// Length of `warm_tier.dat`, which is not a source.
    pub warm_tier_bytes: Option<u64>,
    /// Those of `hot`, `warm` and `cold` that are there; they hold nothing to migrate.
    pub tier_directories: Vec<String>,
    /// The live store, if one is.
    pub store: Option<StoreStats>,
}

/// One log file.
#[derive(Debug, Clone, Serialize)]
pub struct FileStats {
    /// Its name.
    pub name: String,
    /// True if it is a symbolic link.
    pub linked: bool,
    /// What it holds.
    pub totals: LogTotals,
}

/// Numbers of one log file or of all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LogTotals {
    /// Records framed.
    pub records: u64,
    /// Records by entry type.
    pub records_by_type: BTreeMap<u32, u64>,
    /// Records whose payload fails its checksum.
    pub checksum_failures: u64,
    /// Bytes by what they are.
    pub bytes: SourceBytes,
    /// Lowest and highest sequence number.
    pub sequence: Option<Span>,
    /// Lowest and highest header time, nanoseconds since the Unix epoch.
    pub timestamp_ns: Option<Span>,
    /// Shortest and longest payload.
    pub payload_bytes: Option<Span>,
    /// Mean length of a payload, rounded down.
    pub payload_bytes_mean: u64,
}

/// The lowest and the highest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The lowest.
    pub min: u64,
    /// The highest.
    pub max: u64,
}

/// A stretch of a log file without a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegionStats {
    /// The log file.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub len_bytes: u64,
    /// True if it is damage, false for a torn or zero-filled tail.
    pub damaged: bool,
    /// Why it is not a record.
    pub reason: String,
}

/// What the manifest of a store says.
#[derive(Debug, Clone, Serialize)]
pub struct StoreStats {
    /// Its name.
    pub name: String,
    /// Live nodes.
    pub nodes: u64,
    /// Rows that are nodes, live or not.
    pub node_rows: u64,
    /// Records of the log that it was made from.
    pub records: u64,
    /// Their outcomes.
    pub counts: Counts,
    /// Bytes of its segments and indexes.
    pub bytes: u64,
    /// Its root digest.
    pub root: String,
}

impl Span {
    fn include(span: &mut Option<Self>, value: u64) {
        let old = span.unwrap_or(Self { min: value, max: value });
        *span = Some(Self { min: old.min.min(value), max: old.max.max(value) });
    }

    fn merge(span: &mut Option<Self>, other: Option<Self>) {
        for value in other.iter().flat_map(|other| [other.min, other.max]) {
            Self::include(span, value);
        }
    }
}

impl LogTotals {
    fn add_extent(&mut self, batch: &Batch, extent: &Extent) {
        self.bytes.total += extent.len_bytes;
        let frames = match &extent.content {
            Content::Region(region) => {
                match region.kind {
                    RegionKind::TornTail => self.bytes.torn_tail += extent.len_bytes,
                    RegionKind::ZeroTail => self.bytes.zero_tail += extent.len_bytes,
                    RegionKind::Damaged => self.bytes.damaged += extent.len_bytes,
                }
                return;
            }
            Content::Frames(frames) => frames,
        };
        self.bytes.framed += extent.len_bytes;
        let bytes = batch.bytes_of(extent);
        for frame in frames {
            let start = (frame.offset - extent.start) as usize + HEADER_BYTES;
            let payload = &bytes[start..start + frame.header.payload_len_bytes as usize];
            self.records += 1;
            *self.records_by_type.entry(frame.header.entry_type).or_default() += 1;
            self.checksum_failures += u64::from(!frame.header.payload_matches(payload));
            Span::include(&mut self.sequence, frame.header.sequence);
            Span::include(&mut self.timestamp_ns, frame.header.timestamp_ns);
            Span::include(&mut self.payload_bytes, payload.len() as u64);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.records += other.records;
        for (kind, count) in &other.records_by_type {
            *self.records_by_type.entry(*kind).or_default() += count;
        }
        self.checksum_failures += other.checksum_failures;
        self.bytes.merge(&other.bytes);
        Span::merge(&mut self.sequence, other.sequence);
        Span::merge(&mut self.timestamp_ns, other.timestamp_ns);
        Span::merge(&mut self.payload_bytes, other.payload_bytes);
        let payload_bytes = self.bytes.framed - self.records * HEADER_BYTES as u64;
        self.payload_bytes_mean = payload_bytes.checked_div(self.records).unwrap_or(0);
    }
}

/// Walks the whole log and counts. After damage it continues at the next record, as policy `resync` does. Writes nothing.
pub fn stats(paths: &SpacePaths, reader: ReaderKind, control: &Control<'_>) -> Result<Stats, Error> {
    check_directory(paths.root())?;
    let source = Arc::new(WalSource::open(&paths.log(), reader)?);
    let mut walk = Walk {
        files: vec![LogTotals::default(); source.files().len()],
        names: source.names(),
        regions: Vec::new(),
        regions_total: 0,
    };
    let run = RunOptions { memory_budget_bytes: SCAN_BUDGET_BYTES, ..RunOptions::default() };
    let options = MigrateOptions { reader, run, ..MigrateOptions::default() };
    let expected = Expected { records: None, bytes: Some(source.total_bytes()) };
    let ended = control.phase(Phase::Scan, expected, || {
        let look = |batch: &Batch| Ok(BatchStats::of(batch));
        scan(&source, Corruption::Resync, &options, control, look, |batch| {
            walk.add(batch);
            Ok(())
        })
    })?;
    if ended == Ended::Stopped {
        return Err(Error::stopped());
    }
    source.check_unchanged()?;
    walk.into_stats(paths, &source)
}

/// Numbers of one batch.
struct BatchStats {
    file: u32,
    totals: LogTotals,
    /// Offset, length, damage or not, reason.
    regions: Vec<(u64, u64, bool, &'static str)>,
}

impl BatchStats {
    fn of(batch: &Batch) -> Self {
        let mut stats = Self { file: batch.file_number, totals: LogTotals::default(), regions: Vec::new() };
        for extent in &batch.extents {
            stats.totals.add_extent(batch, extent);
            if let Content::Region(region) = &extent.content {
                let damaged = region.kind == RegionKind::Damaged;
                stats.regions.push((extent.start, extent.len_bytes, damaged, region.reason));
            }
        }
        stats
    }
}

struct Walk<'a> {
    files: Vec<LogTotals>,
    names: &'a [String],
    regions: Vec<RegionStats>,
    regions_total: u64,
}

impl Walk<'_> {
    fn add(&mut self, batch: BatchStats) {
        self.files[batch.file as usize].merge(&batch.totals);
        for (offset, len_bytes, damaged, reason) in batch.regions {
            self.regions_total += 1;
            if self.regions.len() < REGIONS_LISTED_MAX {
                let (file, reason) = (self.names[batch.file as usize].clone(), reason.to_owned());
                self.regions.push(RegionStats { file, offset, len_bytes, damaged, reason });
            }
        }
    }

    fn into_stats(self, paths: &SpacePaths, source: &WalSource) -> Result<Stats, Error> {
        let mut total = LogTotals::default();
        self.files.iter().for_each(|file| total.merge(file));
        total.bytes.check_sum()?;
        let files = self.files.into_iter().zip(self.names).map(|(totals, name)| FileStats {
            name: name.clone(),
            linked: source.linked().contains(name),
            totals,
        });
        let siblings = source_entries(paths.root())?;
        let is_tier = |name: &str| TIER_DIRECTORIES.contains(&name);
        Ok(Stats {
            space: paths.root().display().to_string(),
            valid_space_name: paths.has_valid_name(),
            total,
            files: files.collect(),
            regions: self.regions,
            regions_total: self.regions_total,
            others: others(source),
            warm_tier_bytes: siblings.iter().find(|entry| entry.name == WARM_TIER).map(|entry| entry.len_bytes),
            tier_directories: siblings
                .iter()
                .filter(|entry| entry.kind == SourceEntryKind::Directory)
                .filter_map(|entry| entry.name.to_str().filter(|name| is_tier(name)).map(str::to_owned))
                .collect(),
            store: store_stats(paths)?,
        })
    }
}

fn store_stats(paths: &SpacePaths) -> Result<Option<StoreStats>, Error> {
    let Some(name) = live_store(&RealDisk, paths)? else { return Ok(None) };
    let manifest = Manifest::read(&RealDisk, &paths.store(&name))?;
    Ok(Some(StoreStats {
        name,
        nodes: manifest.nodes,
        node_rows: manifest.node_rows,
        records: manifest.records,
        counts: manifest.counts,
        bytes: manifest.segments.iter().chain(&manifest.indexes).map(|file| file.bytes).sum(),
        root: manifest.root,
    }))
}
