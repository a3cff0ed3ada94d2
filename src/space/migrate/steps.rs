//! The migration of a space: what its life cycle needs of the store, step by step.

use std::sync::Arc;

use serde_json::json;

use super::convert::LogConverter;
use super::plan::{Plan, check_directory, others, plan};
use super::writer::{StagingPaths, StoreWriter};
use crate::durable::{create_directory_durable, directory_bytes, remove_tree};
use crate::migration::checkpoint::Kind;
use crate::migration::{
    Context, Error, FindingsLog, Migration, OutcomeCounts, RunOptions, Stage, Step, Subset, Summary, pointer,
};
use crate::pipeline::{Ended, Expected, Phase, run};
use crate::space::current_store::live_store;
use crate::space::log::reader::{Cursor, LogReader};
use crate::space::log::source::WalSource;
use crate::space::options::{MigrateOptions, SpaceRules};
use crate::space::outcome::Counts;
use crate::space::paths::SpacePaths;
use crate::space::state::{CHECKPOINT_KIND, Progress, RunState};
use crate::space::store::index::{self, IndexInput};
use crate::space::store::layout::SEGMENT_HEADER_BYTES;
use crate::space::store::manifest::Manifest;
use crate::space::store::names::{MANIFEST, POINTER_TO_LOG, generation, store_name};
use crate::space::store::reader::DualSpace;
use crate::space::store::record_lookup::RecordLookup;
use crate::space::store::seal::{SealInput, seal};
use crate::space::verify::verify_store;

/// Directories below the scratch directory that the index phase sorts in.
const SCRATCH_PARTS: [&str; 3] = ["ids", "marks", "rekeyed"];

/// The migration of a space.
pub(in crate::space) struct SpaceMigration<'a> {
    paths: &'a SpacePaths,
    options: &'a MigrateOptions,
    source: Arc<WalSource>,
}

impl<'a> SpaceMigration<'a> {
    /// Opens the log. Fails for a directory that is no space, before anything is created in it.
    pub fn open(paths: &'a SpacePaths, options: &'a MigrateOptions) -> Result<Self, Error> {
        check_directory(paths.root())?;
        Ok(Self { paths, options, source: Arc::new(WalSource::open(&paths.log(), options.reader)?) })
    }

    /// Returns the log.
    pub fn source(&self) -> &Arc<WalSource> {
        &self.source
    }

    /// Names of the stores of all generations.
    fn stores(&self, cx: &Context<'_>) -> Result<Vec<String>, Error> {
        let entries = cx.disk.list(self.paths.root())?;
        let names = entries.into_iter().filter_map(|entry| entry.name.into_string().ok());
        Ok(names.filter(|name| generation(name).is_some()).collect())
    }

    /// Removes the stores that are not live and for which `is_removed` says so.
    fn remove_stores(&self, cx: &Context<'_>, is_removed: impl Fn(&str) -> Result<bool, Error>) -> Result<(), Error> {
        let live = pointer::read(&**cx.disk, self.paths.root())?;
        for name in self.stores(cx)? {
            if live.as_deref() != Some(&name) && is_removed(&name)? {
                remove_tree(&**cx.disk, &self.paths.store(&name))?;
            }
        }
        Ok(())
    }
}

impl Migration for SpaceMigration<'_> {
    const NOUN: &'static str = "space";
    const KIND: Kind = CHECKPOINT_KIND;
    const PLAN_PARTS: &'static str = "source files or policies";
    type Rules = SpaceRules;
    type Progress = Progress;
    type Counts = Counts;
    type Plan = Plan;

    fn rules(&self) -> SpaceRules {
        self.options.rules()
    }

    fn discard(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        cx.checkpoint.remove(&**cx.disk)?;
        Ok(remove_tree(&**cx.disk, &self.paths.scratch())?)
    }

    /// Also removes every store that is not live.
    fn restart(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        // A pointer that cannot be read must not cost the store that it names, nor the checkpoint.
        pointer::read(&**cx.disk, self.paths.root())?;
        cx.checkpoint.remove(&**cx.disk)?;
        self.remove_stores(cx, |_| Ok(true))?;
        Ok(remove_tree(&**cx.disk, &self.paths.scratch())?)
    }

    fn clear(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        remove_tree(&**cx.disk, &self.paths.staging())?;
        // A store without a manifest is what a crash within a restart left of one.
        self.remove_stores(cx, |name| Ok(cx.disk.kind(&self.paths.store(name).join(MANIFEST))?.is_none()))
    }

    fn plan(&mut self, _cx: &Context<'_>, _begins: bool) -> Result<Option<Plan>, Error> {
        plan(self.paths, &self.source, self.options).map(Some)
    }

    fn begin(&mut self, cx: &Context<'_>, state: &mut RunState, _last: Option<&RunState>) -> Result<(), Error> {
        let newest = self.stores(cx)?.iter().filter_map(|name| generation(name)).max();
        state.progress.store = store_name(newest.unwrap_or(0) + 1);
        state.progress.segment_bytes = SEGMENT_HEADER_BYTES;
        Ok(())
    }

    /// The pointer alone says what is live; the stage follows it.
    fn settle(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<(), Error> {
        let is_live = || Ok::<_, Error>(live_store(&**cx.disk, self.paths)?.as_ref() == Some(&state.progress.store));
        if state.stage == Stage::RolledBack || state.stage == Stage::Published && !is_live()? {
            // The store is still there; it is verified again before it is published again.
            state.stage = Stage::Sealed;
        }
        Ok(())
    }

    fn expected(&self, state: &RunState) -> Expected {
        match state.stage {
            Stage::Running => {
                Expected { records: None, bytes: Some(self.source.total_bytes() - state.progress.source.total) }
            }
            _ => Expected::both(state.records, self.source.total_bytes()),
        }
    }

    fn step(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        match state.stage {
            Stage::Running => self.move_records(cx, state),
            Stage::Moved => self.complete_store(cx, state),
            Stage::Sealed => self.verify(cx, state),
            Stage::Verified | Stage::Published | Stage::RolledBack => self.publish(cx, state),
        }
    }

    fn summary(&self, cx: &Context<'_>, state: &RunState) -> Result<Summary, Error> {
        let store = self.paths.store(&state.progress.store);
        let target = if state.stage >= Stage::Sealed { store } else { self.paths.staging() };
        let live = pointer::read(&**cx.disk, self.paths.root())?;
        Ok(Summary {
            source: self.source.directory().display().to_string(),
            target: target.display().to_string(),
            source_bytes: state.progress.source,
            target_bytes: directory_bytes(&**cx.disk, &target).unwrap_or(0),
            details: json!({
                "live": live.unwrap_or_else(|| POINTER_TO_LOG.to_owned()),
                "not_read": others(&self.source),
                "linked": self.source.linked(),
            }),
        })
    }
}

impl SpaceMigration<'_> {
    fn move_records(&self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        let staging = self.paths.staging();
        if state.progress.cursor == Cursor::default() {
            // The first checkpoint comes before the staged files, so a crash may leave any part of their headers.
            remove_tree(&**cx.disk, &staging)?;
        }
        create_directory_durable(&**cx.disk, &staging)?;
        let names = Arc::new(self.source.names().to_vec());
        let mut writer = StoreWriter::open(
            cx.disk.clone(),
            StagingPaths { staging, findings: cx.directory.findings_path() },
            cx.checkpoint.clone(),
            state.clone(),
            names.clone(),
        )?;
        let reader = LogReader::new(
            self.source.clone(),
            state.progress.cursor,
            state.rules.policies.corruption,
            self.options.batch_limits(),
        );
        let converter = LogConverter::new(state.rules.policies, names);
        let ended = run(reader, &converter, &mut writer, &cx.options.engine(), cx.control)?;
        *state = writer.finish()?;
        if ended == Ended::Stopped {
            return Ok(Step::Stopped);
        }
        self.source.check_unchanged()?;
        Ok(Step::Reached(Stage::Moved))
    }

    fn complete_store(&self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        let (staging, store) = (self.paths.staging(), self.paths.store(&state.progress.store));
        // A crash between the rename below and the checkpoint after it leaves the store under its final name.
        if cx.disk.kind(&staging)?.is_none() && cx.disk.kind(&store.join(MANIFEST))?.is_some() {
            state.counts = Manifest::read(&**cx.disk, &store)?.counts;
            // The findings of the index were durable before the rename, and nothing was added to them since.
            state.findings_bytes = cx.disk.open_for_read(&cx.directory.findings_path())?.len()?;
            return Ok(Step::Reached(Stage::Sealed));
        }
        let Some(counts) = self.build_indexes(cx, state)? else { return Ok(Step::Stopped) };
        self.source.check_unchanged()?;
        let names = self.source.names().iter().cloned();
        let sources: Vec<_> = names.zip(self.source.files().iter().map(|file| file.identity().len_bytes)).collect();
        let input = SealInput {
            last_segment: state.progress.segment,
            node_rows: state.progress.node_rows,
            records: state.records,
            source_bytes: state.progress.source,
            counts,
            policies: state.rules.policies,
            sources: &sources,
        };
        let manifest = seal(&**cx.disk, &staging, &input)?;
        cx.disk.sync_directory(&staging)?;
        cx.disk.rename(&staging, &store)?;
        cx.disk.sync_directory(self.paths.root())?;
        cx.disk.sync_directory(cx.directory.path())?;
        state.counts = manifest.counts;
        Ok(Step::Reached(Stage::Sealed))
    }

    /// Returns the outcomes of all records; `None` if stopped. Everything that it writes is written again when it runs
    /// again.
    fn build_indexes(&self, cx: &Context<'_>, state: &mut RunState) -> Result<Option<Counts>, Error> {
        let scratch = self.paths.scratch();
        remove_tree(&**cx.disk, &scratch)?;
        for part in SCRATCH_PARTS {
            create_directory_durable(&**cx.disk, &scratch.join(part))?;
        }
        let mut findings = FindingsLog::open(&**cx.disk, &cx.directory.findings_path(), state.findings_bytes)?;
        let staging = self.paths.staging();
        let input = IndexInput {
            disk: cx.disk.clone(),
            staging: &staging,
            scratch: scratch.clone(),
            memory_bytes: cx.options.sort_memory_bytes(cx.options.memory_budget_bytes),
            policies: state.rules.policies,
            records: &RecordLookup::new(&self.source),
            stop: cx.control.stop,
            observer: cx.control.observer,
        };
        let expected = Expected::both(state.records, state.progress.source.framed);
        let built = cx.control.phase(Phase::Index, expected, || index::build(&input, &mut findings))?;
        let Some(built) = built else { return Ok(None) };
        remove_tree(&**cx.disk, &scratch)?;
        state.findings_bytes = findings.flush()?;
        findings.file().sync()?;
        let fatal_findings = state.progress.fatal_findings + built.fatal_findings;
        if fatal_findings > 0 {
            return Err(Error::Findings {
                count: fatal_findings,
                report: cx.directory.report_path(),
                next: "read the report, then choose a policy for what it names, for example --corruption skip".into(),
            });
        }
        let mut counts = state.counts;
        counts.merge(&built.counts);
        Ok(Some(counts))
    }

    fn verify(&self, cx: &Context<'_>, state: &RunState) -> Result<Step, Error> {
        let store = DualSpace::open_on(cx.disk.clone(), &self.paths.store(&state.progress.store))?;
        // The limit protects the source, which is not read here.
        let engine = RunOptions { rate_limit: None, ..*cx.options }.engine();
        let depth = self.options.verify_depth;
        match verify_store(Arc::new(store), depth, Subset::ALL, None, &engine, cx.control)? {
            Some(_) => Ok(Step::Reached(Stage::Verified)),
            None => Ok(Step::Stopped),
        }
    }

    fn publish(&self, cx: &Context<'_>, state: &RunState) -> Result<Step, Error> {
        self.source.check_unchanged()?;
        pointer::publish(&**cx.disk, self.paths.root(), &state.progress.store)?;
        Ok(Step::Reached(Stage::Published))
    }
}
