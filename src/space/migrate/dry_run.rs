//! What a migration would do: every record converted and checked by the stages of a real run, with a writer that has no
//! disk.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use zerocopy::FromBytes;

use super::convert::{EncodedBatch, LogConverter};
use super::plan::Plan;
use super::steps::SpaceMigration;
use crate::durable::Disk;
use crate::migration::{Error, Finding, FindingsCount, FirstFindings, OutcomeCounts, Severity, SourceBytes, rehearse};
use crate::pipeline::{Control, Ended, Expected, Phase, pass, sort_in_parallel};
use crate::space::log::reader::{Cursor, LogReader};
use crate::space::log::source::WalSource;
use crate::space::options::MigrateOptions;
use crate::space::outcome::Counts;
use crate::space::paths::SpacePaths;
use crate::space::policy::Duplicates;
use crate::space::store::layout::{
    BLOCK_HEADER_BYTES, ID_ENTRY_BYTES, MARK_ENTRY_BYTES, MarkKind, ROW_BYTES, Row, TABLE_ENTRY_BYTES,
};
use crate::space::store::record_lookup::RecordLookup;
use crate::space::store::replay::{Replay, ReplaySink};
use crate::space::store::replay_key::{CANDIDATE_BYTES, Candidate};

/// What a real run would do.
#[derive(Debug, Clone, Serialize)]
pub struct DryRunEnd {
    /// The plan.
    pub plan: Plan,
    /// Records framed.
    pub records: u64,
    /// Outcomes of all records.
    pub counts: Counts,
    /// Source bytes by kind.
    pub source_bytes: SourceBytes,
    /// Bytes of the store, without its manifest.
    pub target_bytes: u64,
    /// Findings by severity.
    pub findings_count: FindingsCount,
    /// The first of them.
    pub findings: Vec<Finding>,
    /// Times that the source was read: more than one if its ids do not fit the memory budget at once.
    pub passes: u64,
    /// True if the run was asked to stop; the numbers then cover a part.
    pub stopped: bool,
}

impl DryRunEnd {
    /// True if a real run would publish nothing.
    pub fn would_fail(&self) -> bool {
        self.findings_count.fatal > 0
    }
}

/// Makes the checks of a run, then converts and checks every record. Writes nothing, so it works on a read-only file
/// system; `disk` is only looked at.
///
/// # Errors
/// Those of a real run before it writes.
pub fn dry_run(
    disk: &Arc<dyn Disk>,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<DryRunEnd, Error> {
    let mut migration = SpaceMigration::open(paths, options)?;
    let plan =
        rehearse(&mut migration, disk, &paths.run_directory(), &options.run, control)?.ok_or_else(Error::stopped)?;
    let source = migration.source().clone();
    let mut tally = Tally::default();
    let share_bytes = options.run.memory_budget_bytes / 4;
    let mut pass = Pass { source: &source, options, control, share_bytes, parts: 1 };
    let mut stopped = false;
    let mut part = 0;
    while part < pass.parts && !stopped {
        stopped = pass.resolve(part, &mut tally)? == Ended::Stopped;
        part += 1;
    }
    // An id that a rekeyed node takes may belong to any part, so one more look at all of them is needed.
    let rekeyed: Vec<_> = std::mem::take(&mut tally.rekeyed);
    if !rekeyed.is_empty() && !stopped {
        tally.check_taken(&rekeyed);
        let mut taken = Tally { wanted: rekeyed.into_iter().collect(), ..Tally::default() };
        for part in 0..pass.parts {
            pass.resolve(part, &mut taken)?;
        }
        taken.hits.into_iter().for_each(|uuid| tally.report_taken(uuid));
    }
    source.check_unchanged()?;
    if !stopped {
        tally.counts.check_sum(tally.records)?;
        tally.source.check_sum()?;
    }
    Ok(DryRunEnd {
        plan,
        records: tally.records,
        target_bytes: tally.target_bytes + tally.counts.migrated * ID_ENTRY_BYTES as u64,
        counts: tally.counts,
        source_bytes: tally.source,
        findings_count: tally.findings.count,
        findings: tally.findings.first,
        passes: tally.passes,
        stopped,
    })
}

/// One reading of the source that decides a part of the ids.
struct Pass<'a> {
    source: &'a Arc<WalSource>,
    options: &'a MigrateOptions,
    control: &'a Control<'a>,
    /// Memory for candidates.
    share_bytes: u64,
    /// Parts that the ids are divided into; the first pass finds out how many are needed.
    parts: u64,
}

impl Pass<'_> {
    fn resolve(&mut self, part: u64, tally: &mut Tally) -> Result<Ended, Error> {
        let first = tally.passes == 0;
        let mut writer = DryWriter {
            duplicates: self.options.policies.duplicates,
            keys: Vec::new(),
            keys_max: (self.share_bytes as usize / CANDIDATE_BYTES).max(1),
            part,
            parts: self.parts,
            may_divide: part == 0 && first,
            block: 0,
            tally: first.then_some(&mut *tally),
        };
        let names = Arc::new(self.source.names().to_vec());
        let limits = self.options.batch_limits();
        let corruption = self.options.policies.corruption;
        let reader = LogReader::new(self.source.clone(), Cursor::default(), corruption, limits);
        let converter = LogConverter::new(self.options.policies, names, self.control.stop);
        let phase = if first { Phase::Run } else { Phase::Index };
        let expected = Expected { records: None, bytes: Some(self.source.total_bytes()) };
        let engine = self.options.run.engine_within(self.options.run.memory_budget_bytes - self.share_bytes);
        let ended = self.control.phase(phase, expected, || {
            pass(reader, &converter, &engine, self.control, |batch| {
                writer.take(batch);
                Ok::<_, Error>(())
            })
        })?;
        self.parts = writer.parts;
        let mut keys = writer.keys;
        tally.passes += 1;
        sort_in_parallel(&mut keys, Ord::cmp);
        let records = RecordLookup::new(self.source);
        let mut replay = Replay::new(self.options.policies, &records, tally);
        for key in &keys {
            replay.push(Candidate::decode(key))?;
        }
        let counts = replay.finish()?;
        tally.counts.merge(&counts);
        Ok(ended)
    }
}

/// A writer without a disk: it keeps counts and the ids of one part.
struct DryWriter<'a> {
    duplicates: Duplicates,
    keys: Vec<[u8; CANDIDATE_BYTES]>,
    keys_max: usize,
    part: u64,
    parts: u64,
    may_divide: bool,
    block: u64,
    /// Present in the first pass, which counts everything.
    tally: Option<&'a mut Tally>,
}

impl DryWriter<'_> {
    fn collect(&mut self, batch: &EncodedBatch) {
        for extent in &batch.extents {
            let count = (extent.entry.node_rows.get() + extent.entry.other_rows.get()) as usize;
            if extent.entry.region.get() == 0 {
                let start = extent.at + BLOCK_HEADER_BYTES;
                let rows = &batch.bytes[start..start + count * ROW_BYTES];
                let rows = <[Row]>::ref_from_bytes(rows).expect("the block was just encoded");
                for (number, row) in rows.iter().enumerate() {
                    let file = extent.entry.source_file.get();
                    if let Some(candidate) = Candidate::from_row(row, file, self.block, number as u32) {
                        self.keep(&candidate);
                    }
                }
            }
            self.block += 1;
        }
    }

    fn keep(&mut self, candidate: &Candidate) {
        if part_of(&candidate.uuid, self.parts) != self.part {
            return;
        }
        self.keys.push(candidate.encode(self.duplicates));
        if self.keys.len() > self.keys_max && self.may_divide {
            self.parts *= 2;
            let (part, parts) = (self.part, self.parts);
            self.keys.retain(|key| part_of(&Candidate::decode(key).uuid, parts) == part);
        }
    }
}

/// Which part an id belongs to. Ids that differ in few bits are spread too.
fn part_of(uuid: &[u8; 16], parts: u64) -> u64 {
    u64::from(crc32c::crc32c(uuid)) % parts
}

impl DryWriter<'_> {
    fn take(&mut self, batch: EncodedBatch) {
        self.collect(&batch);
        if let Some(tally) = &mut self.tally {
            tally.records += batch.records;
            tally.counts.merge(&batch.counts);
            tally.source.merge(&batch.source);
            tally.target_bytes += batch.bytes.len() as u64 + (batch.extents.len() * TABLE_ENTRY_BYTES) as u64;
            batch.findings.into_iter().for_each(|finding| tally.findings.push(finding));
        }
    }
}

#[derive(Default)]
struct Tally {
    passes: u64,
    records: u64,
    counts: Counts,
    source: SourceBytes,
    target_bytes: u64,
    findings: FirstFindings,
    rekeyed: Vec<[u8; 16]>,
    /// Ids to look for among the live nodes, and those found.
    wanted: HashSet<[u8; 16]>,
    hits: Vec<[u8; 16]>,
}

impl Tally {
    /// Two rekeyed nodes cannot have one id either.
    fn check_taken(&mut self, rekeyed: &[[u8; 16]]) {
        let mut seen = HashSet::new();
        for uuid in rekeyed {
            if !seen.insert(*uuid) {
                self.report_taken(*uuid);
            }
        }
    }

    fn report_taken(&mut self, uuid: [u8; 16]) {
        self.findings.push(Finding {
            severity: Severity::Fatal,
            file: String::new(),
            offset: 0,
            length: 0,
            reason: format!("the rekeyed node id {} is taken too", uuid::Uuid::from_bytes(uuid)),
            id: None,
            sequence: None,
            related: None,
        });
    }
}

impl ReplaySink for Tally {
    fn live(&mut self, candidate: &Candidate, rekeyed: Option<[u8; 16]>) -> Result<(), Error> {
        match rekeyed {
            Some(uuid) => {
                self.rekeyed.push(uuid);
                self.target_bytes += MARK_ENTRY_BYTES as u64;
            }
            None if self.wanted.contains(&candidate.uuid) => self.hits.push(candidate.uuid),
            None => {}
        }
        Ok(())
    }

    fn mark(&mut self, _candidate: &Candidate, _kind: MarkKind) -> Result<(), Error> {
        self.target_bytes += MARK_ENTRY_BYTES as u64;
        Ok(())
    }

    fn finding(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings.push(finding);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::RealDisk;
    use crate::migration::RunOptions;
    use crate::pipeline::{Silent, StopToken};
    use crate::space::generate::samples::episode;
    use crate::space::log::wal::encode_record;

    fn space(records: &[(u32, Vec<u8>)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::DirBuilder::new().create(directory.path().join("wal")).unwrap();
        let log: Vec<u8> = records
            .iter()
            .enumerate()
            .flat_map(|(sequence, (kind, payload))| encode_record(sequence as u64, 1, *kind, payload))
            .collect();
        #[allow(clippy::disallowed_methods, reason = "a test prepares its source")]
        std::fs::write(directory.path().join("wal/wal-0000000000000001.log"), log).unwrap();
        directory
    }

    fn dry(directory: &tempfile::TempDir, options: &MigrateOptions) -> DryRunEnd {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        dry_run(&disk, &SpacePaths::new(directory.path()), options, &control).unwrap()
    }

    #[test]
    fn a_small_budget_takes_more_passes_with_the_same_result() {
        let mut records: Vec<_> = (0..60).map(|n| (1, episode(&format!("e{n}")).encode())).collect();
        records.push((1, episode("e7").encode()));
        records.push((3, b"e9".to_vec()));
        let directory = space(&records);
        let large = dry(&directory, &MigrateOptions::default());
        let run = RunOptions { memory_budget_bytes: 4 * 20 * CANDIDATE_BYTES as u64, ..RunOptions::default() };
        let small = dry(&directory, &MigrateOptions { run, ..MigrateOptions::default() });
        assert_eq!(large.passes, 1);
        assert!(small.passes > 2, "{} passes", small.passes);
        assert_eq!(small.counts, large.counts);
        assert_eq!((large.counts.migrated, large.counts.duplicate_identical, large.counts.skipped_deleted), (59, 1, 1));
        assert_eq!(small.findings_count, large.findings_count);
        assert_eq!(small.target_bytes, large.target_bytes);
    }

    #[test]
    fn nothing_is_created() {
        let directory = space(&[(1, episode("a").encode())]);
        dry(&directory, &MigrateOptions::default());
        let entries: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(entries, ["wal"]);
    }

    #[test]
    fn a_rekeyed_id_that_is_taken_is_found() {
        let plain = "not a uuid";
        let taken = crate::space::log::node_id::uuid_v5_of("{F47AC10B-58CC-4372-A567-0E02B2C3D479}").to_string();
        let records = [
            (1, episode("f47ac10b-58cc-4372-a567-0e02b2c3d479").encode()),
            (1, episode("{F47AC10B-58CC-4372-A567-0E02B2C3D479}").encode()),
            (1, episode(plain).encode()),
            (1, episode(&taken).encode()),
        ];
        let directory = space(&records);
        let policies = crate::space::policy::Policies {
            collisions: crate::space::policy::Collisions::Rekey,
            ..Default::default()
        };
        let end = dry(&directory, &MigrateOptions { policies, ..Default::default() });
        assert!(end.would_fail());
        assert_eq!(end.findings_count.fatal, 1);
    }
}
