//! The steps of a space migration, each of which can be run again after a crash anywhere in it.

use std::sync::Arc;

use super::convert::LogConverter;
use super::writer::{StagingPaths, StoreWriter};
use crate::durable::{Disk, create_directory_durable, remove_tree};
use crate::migration::{CheckpointFile, Error, FindingsLog, Job, OutcomeCounts, Stage, Step, Subset, pointer};
use crate::pipeline::{Control, Ended, Event, Phase, run};
use crate::space::log::reader::LogReader;
use crate::space::log::source::WalSource;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::state::RunState;
use crate::space::store::index::{self, IndexInput};
use crate::space::store::manifest::Manifest;
use crate::space::store::names::MANIFEST;
use crate::space::store::reader::DualSpace;
use crate::space::store::record_lookup::RecordLookup;
use crate::space::store::seal::{SealInput, seal};
use crate::space::verify::verify_store;

/// Directories below the scratch directory that the index phase sorts in.
const SCRATCH_PARTS: [&str; 3] = ["ids", "marks", "rekeyed"];

/// A space migration under way.
pub struct SpaceJob<'a> {
    /// The disk of the target.
    pub disk: Arc<dyn Disk>,
    /// Where everything lies.
    pub paths: &'a SpacePaths,
    /// The log.
    pub source: Arc<WalSource>,
    /// Settings.
    pub options: &'a MigrateOptions,
    /// Stop and events.
    pub control: Control<'a>,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// State as of the last durable point.
    pub state: RunState,
}

impl Job for SpaceJob<'_> {
    fn stage(&self) -> Stage {
        self.state.stage
    }

    fn step(&mut self) -> Result<Step, Error> {
        match self.state.stage {
            Stage::Running => self.in_phase(Phase::Run, Self::move_records),
            Stage::Moved => self.in_phase(Phase::Seal, Self::complete_store),
            Stage::Sealed => self.in_phase(Phase::Verify, Self::verify),
            Stage::Verified => self.in_phase(Phase::Publish, Self::publish),
            Stage::Published | Stage::RolledBack => Ok(Step::Done),
        }
    }
}

impl SpaceJob<'_> {
    fn in_phase(&mut self, phase: Phase, step: fn(&mut Self) -> Result<Step, Error>) -> Result<Step, Error> {
        let done_bytes = if phase == Phase::Run { self.state.source.total } else { 0 };
        self.control.observer.observe(&Event::PhaseStarted {
            phase,
            records_expected: (phase != Phase::Run).then_some(self.state.records),
            bytes_expected: Some(self.source.total_bytes() - done_bytes),
        });
        let result = step(self);
        self.control.observer.observe(&Event::PhaseEnded { phase });
        result
    }

    /// Makes `stage` durable.
    fn reach(&mut self, stage: Stage) -> Result<Step, Error> {
        self.state.stage = stage;
        self.checkpoint.store(&*self.disk, &self.state)?;
        Ok(Step::Done)
    }

    fn move_records(&mut self) -> Result<Step, Error> {
        let staging = self.paths.staging();
        create_directory_durable(&*self.disk, &staging)?;
        let names = Arc::new(self.source.names().to_vec());
        let mut writer = StoreWriter::open(
            self.disk.clone(),
            StagingPaths { staging, findings: self.paths.run_directory().findings_path() },
            self.checkpoint.clone(),
            self.state.clone(),
            self.options.segment_bytes_max,
            names.clone(),
        )?;
        let reader = LogReader::new(
            self.source.clone(),
            self.state.cursor,
            self.options.policies.corruption,
            self.options.batch_limits(),
        );
        let converter = LogConverter::new(self.options.policies, names);
        let ended = run(reader, &converter, &mut writer, &self.options.engine(), &self.control)?;
        self.state = writer.finish()?;
        if ended == Ended::Stopped {
            return Ok(Step::Stopped);
        }
        self.source.check_unchanged()?;
        self.reach(Stage::Moved)
    }

    fn complete_store(&mut self) -> Result<Step, Error> {
        let (staging, store) = (self.paths.staging(), self.paths.store(&self.state.store));
        // A crash between the rename below and the checkpoint after it leaves the store under its final name.
        if self.disk.kind(&staging)?.is_none() && self.disk.kind(&store.join(MANIFEST))?.is_some() {
            self.state.counts = Manifest::read(&*self.disk, &store)?.counts;
            // The findings of the index were durable before the rename, and nothing was added to them since.
            let findings_path = self.paths.run_directory().findings_path();
            self.state.findings_bytes = self.disk.open_for_read(&findings_path)?.len()?;
            return self.reach(Stage::Sealed);
        }
        let Some(counts) = self.build_indexes()? else { return Ok(Step::Stopped) };
        self.source.check_unchanged()?;
        let sources: Vec<_> = self
            .source
            .names()
            .iter()
            .zip(self.source.files())
            .map(|(name, file)| (name.clone(), file.identity().len_bytes))
            .collect();
        let input = SealInput { state: &self.state, counts, policies: self.options.policies, sources: &sources };
        let manifest = seal(&*self.disk, &staging, &input)?;
        self.disk.sync_directory(&staging)?;
        self.disk.rename(&staging, &store)?;
        self.disk.sync_directory(self.paths.root())?;
        self.disk.sync_directory(self.paths.run_directory().path())?;
        self.state.counts = manifest.counts;
        self.reach(Stage::Sealed)
    }

    /// Outcomes of all records; `None` if stopped. Everything it writes is made anew when it runs again.
    fn build_indexes(&mut self) -> Result<Option<crate::space::outcome::Counts>, Error> {
        let scratch = self.paths.scratch();
        remove_tree(&*self.disk, &scratch)?;
        for part in SCRATCH_PARTS {
            create_directory_durable(&*self.disk, &scratch.join(part))?;
        }
        let findings_path = self.paths.run_directory().findings_path();
        let mut findings = FindingsLog::open(&*self.disk, &findings_path, self.state.findings_bytes)?;
        let staging = self.paths.staging();
        let input = IndexInput {
            disk: self.disk.clone(),
            staging: &staging,
            scratch: scratch.clone(),
            memory_bytes: self.options.memory_budget_bytes.max(self.options.sort_memory_bytes_min),
            policies: self.options.policies,
            records: &RecordLookup::new(&self.source),
            stop: self.control.stop,
            observer: self.control.observer,
        };
        self.control.observer.observe(&Event::PhaseStarted {
            phase: Phase::Index,
            records_expected: Some(self.state.records),
            bytes_expected: Some(self.state.source.framed),
        });
        let built = index::build(&input, &mut findings)?;
        self.control.observer.observe(&Event::PhaseEnded { phase: Phase::Index });
        let Some(built) = built else { return Ok(None) };
        remove_tree(&*self.disk, &scratch)?;
        self.state.findings_bytes = findings.flush()?;
        findings.file().sync()?;
        let fatal_findings = self.state.fatal_findings + built.fatal_findings;
        if fatal_findings > 0 {
            return Err(Error::Findings {
                count: fatal_findings,
                report: self.paths.run_directory().report_path(),
                next: "read the report, then choose a policy for what it names, for example --corruption skip".into(),
            });
        }
        let mut counts = self.state.counts;
        counts.merge(&built.counts);
        Ok(Some(counts))
    }

    fn verify(&mut self) -> Result<Step, Error> {
        let store = DualSpace::open_on(self.disk.clone(), &self.paths.store(&self.state.store))?;
        let unlimited = MigrateOptions { rate_limit: None, ..self.options.clone() };
        let depth = self.options.verify_depth;
        match verify_store(Arc::new(store), depth, Subset::ALL, None, &unlimited.engine(), &self.control)? {
            Some(_) => self.reach(Stage::Verified),
            None => Ok(Step::Stopped),
        }
    }

    fn publish(&mut self) -> Result<Step, Error> {
        self.source.check_unchanged()?;
        pointer::publish(&*self.disk, self.paths.root(), &self.state.store)?;
        self.reach(Stage::Published)
    }
}
