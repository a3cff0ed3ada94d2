//! The migration of a space: what its life cycle needs of the store, step by step.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::convert::LogConverter;
use super::plan::{Plan, check_directory, others, plan};
use super::writer::{StagingPaths, StoreWriter};
use crate::durable::{DiskError, FaultClass, NewModes, create_directory_durable, remove_large_tree, remove_tree};
use crate::migration::checkpoint::Kind;
use crate::migration::report::parts::Next;
use crate::migration::{
    Check, Context, Error, FindingsLog, LastRun, Migration, OutcomeCounts, Places, RunOptions, Stage, Start, Step,
    Subset, Summary, pointer, retire, shell_word,
};
use crate::pipeline::{Ended, Expected, Phase, run};
use crate::space::apart::{check_log_apart, check_places_free};
use crate::space::current_store::live_store;
use crate::space::engine::check_engine_is_stopped;
use crate::space::leftovers::{SCRATCH_PARTS, check_leftovers};
use crate::space::log::reader::{Cursor, LogReader};
use crate::space::log::source::WalSource;
use crate::space::only_copy::{check_log, check_trade};
use crate::space::options::{MigrateOptions, SpaceRules};
use crate::space::outcome::Counts;
use crate::space::paths::SpacePaths;
use crate::space::state::{CHECKPOINT_KIND, Progress, RunState, StoreName};
use crate::space::store::index::{self, IndexInput};
use crate::space::store::layout::SEGMENT_HEADER_BYTES;
use crate::space::store::manifest::Manifest;
use crate::space::store::names::{MANIFEST, POINTER_TO_LOG, free_generation, generation};
use crate::space::store::parts::bytes_by_part;
use crate::space::store::reader::DualSpace;
use crate::space::store::record_lookup::RecordLookup;
use crate::space::store::seal::{SealInput, seal};
use crate::space::store::whole::{check_files, foreign_part};
use crate::space::verify::{verify_source, verify_store};

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
        check_log_apart(paths)?;
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

    /// Removes the store of the last run, unless it is live or cannot be proved to be a store. Nothing is removed while
    /// the pointer names a store that is not there: what is left may be the only copy.
    fn remove_last_store(&self, cx: &Context<'_>, last: &RunState) -> Result<(), Error> {
        let (disk, name) = (&**cx.disk, &last.progress.store);
        let store = self.paths.store(name);
        let Ok(live) = live_store(disk, self.paths) else { return Ok(()) };
        if live.as_deref() == Some(&**name) || last.stage < Stage::Moved || disk.kind(&store)?.is_none() {
            return Ok(());
        }
        match foreign_part(disk, &store)? {
            None => left_behind(cx, retire(disk, cx.directory, &store)),
            Some(why) => {
                cx.control.note(format!("{} is left where it is: it {why}", store.display()));
                Ok(())
            }
        }
    }

    /// Fails if the space is in use, or if a finished store could not be renamed to its place.
    fn check_place(&self, cx: &Context<'_>) -> Result<(), Error> {
        let (disk, root, state) = (&**cx.disk, self.paths.root(), cx.directory.path());
        if disk.kind(state)?.is_some() && !disk.can_rename_between(root, state)? {
            return Err(Error::Usage {
                what: format!(
                    "{} is on another file system than {}, so a finished store cannot be renamed to its place",
                    state.display(),
                    root.display()
                ),
                next: "unmount it or move it away, so that it is an ordinary directory of the space".into(),
            });
        }
        if disk.is_system() {
            check_places_free(self.paths)?;
        }
        check_leftovers(disk, self.paths)?;
        check_log(disk, self.paths, self.options.allow_empty)?;
        self.say_what_is_not_read(cx);
        self.check_engine(cx)
    }

    /// What lies next to the log may be a log that somebody has moved away or compressed.
    fn say_what_is_not_read(&self, cx: &Context<'_>) {
        let others = others(&self.source);
        if let Some(first) = others.first() {
            let more = if others.len() > 1 { format!(" and {} more", others.len() - 1) } else { String::new() };
            let path = self.source.directory().join(&first.name);
            cx.control.note(format!("{}{more}: not read, because Engram does not read it", path.display()));
        }
    }

    fn check_engine(&self, cx: &Context<'_>) -> Result<(), Error> {
        if self.options.engine_stopped || !cx.disk.is_system() {
            return Ok(());
        }
        check_engine_is_stopped(self.paths, |text| cx.control.note(text))
    }

    /// Fails unless the pointer names what is there and the store that the run has sealed has all of its files.
    fn check_found(&self, cx: &Context<'_>, state: &RunState) -> Result<(), Error> {
        live_store(&**cx.disk, self.paths)?;
        if state.stage >= Stage::Sealed {
            check_files(&**cx.disk, &self.paths.store(&state.progress.store))?;
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

    fn modes(&self) -> Result<NewModes, Error> {
        self.paths.modes()
    }

    fn preflight(&self, cx: &Context<'_>, check: Check<'_, RunState>) -> Result<Ended, Error> {
        match check {
            Check::Continued(state) => self.check_found(cx, state)?,
            Check::Target if cx.options.start != Start::Restart => _ = live_store(&**cx.disk, self.paths)?,
            Check::Places => self.check_place(cx)?,
            Check::Target => {}
        }
        Ok(Ended::Complete)
    }

    fn discard(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        cx.checkpoint.remove(&**cx.disk)?;
        Ok(remove_tree(&**cx.disk, &self.paths.scratch())?)
    }

    /// Also removes the store of that run, if it is not live.
    fn restart(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        // A pointer that cannot be read must not cost the store that it names, nor the checkpoint.
        pointer::read(&**cx.disk, self.paths.root())?;
        let last = LastRun::load(&**cx.disk, &cx.checkpoint)?;
        cx.checkpoint.remove(&**cx.disk)?;
        if let LastRun::Known(last) = last {
            self.remove_last_store(cx, &last)?;
        }
        Ok(remove_tree(&**cx.disk, &self.paths.scratch())?)
    }

    fn clear(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let stop = cx.control.stop.check();
        remove_large_tree(&**cx.disk, &self.paths.staging(), &stop)?;
        left_behind(cx, remove_large_tree(&**cx.disk, &cx.directory.retired_path(), &stop))
    }

    fn plan(&mut self, _cx: &Context<'_>, _begins: bool) -> Result<Option<Plan>, Error> {
        plan(self.paths, &self.source, self.options).map(Some)
    }

    /// Only the store proves it, byte by byte: a run that has none yet is not continued with files of another time.
    fn proves_source(&mut self, cx: &Context<'_>, state: &RunState) -> Result<bool, Error> {
        if state.stage < Stage::Sealed || state.rules != self.options.rules() {
            return Ok(false);
        }
        let manifest = check_files(&**cx.disk, &self.paths.store(&state.progress.store))?;
        let found = self.source.names().iter().zip(self.source.files());
        let is_alike = found
            .map(|(name, file)| (name.as_str(), file.identity().len_bytes))
            .eq(manifest.sources.iter().map(|file| (file.name.as_str(), file.bytes)));
        if !is_alike {
            return Ok(false);
        }
        cx.control.note("the log has other times than when it was read: its bytes are compared with the store");
        let store = DualSpace::open_on(cx.disk.clone(), &self.paths.store(&state.progress.store))?;
        let expected = Expected::both(state.records, self.source.total_bytes());
        let engine = cx.options.engine();
        let proof = cx
            .control
            .phase(Phase::Verify, expected, || verify_source(self.source.clone(), &store, &engine, cx.control))?;
        proof.map(|_| true).ok_or_else(Error::stopped)
    }

    fn begin(&mut self, cx: &Context<'_>, state: &mut RunState, _last: Option<&RunState>) -> Result<(), Error> {
        let taken: Vec<_> = self.stores(cx)?.iter().filter_map(|name| generation(name)).collect();
        let free = free_generation(&taken).ok_or_else(|| Error::Usage {
            what: format!("{} has no free name for a store: all are taken", self.paths.root().display()),
            next: "move away what is named dual-NNNNNN and is not needed".into(),
        })?;
        state.progress.store = StoreName::of_generation(free);
        state.progress.segment_bytes = SEGMENT_HEADER_BYTES;
        Ok(())
    }

    /// The pointer alone says what is live; the stage follows it.
    fn settle(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<(), Error> {
        self.check_found(cx, state)?;
        let is_to_be_published = match state.stage {
            Stage::Published => live_store(&**cx.disk, self.paths)?.as_deref() != Some(&*state.progress.store),
            Stage::Verified => self.options.publish,
            stage => stage == Stage::RolledBack,
        };
        if is_to_be_published {
            // Anything may have happened to the store since another process verified it.
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

    fn places(&self, state: &RunState) -> Places {
        Places { source: self.source.directory().to_path_buf(), target: self.paths.store(&state.progress.store) }
    }

    fn leaves_out(&self, state: &RunState) -> bool {
        state.counts.refused() > 0 || state.progress.source.damaged > 0
    }

    fn migrated(&self, state: &RunState) -> (u64, u64) {
        (state.records, state.progress.source.total)
    }

    fn summary(&self, cx: &Context<'_>, state: &RunState) -> Result<Summary, Error> {
        let store = self.paths.store(&state.progress.store);
        let target = if state.stage >= Stage::Sealed { store } else { self.paths.staging() };
        let live = pointer::read(&**cx.disk, self.paths.root())?;
        // A report is worth having without it.
        let written = bytes_by_part(&**cx.disk, &target).unwrap_or_default();
        Ok(Summary {
            source: self.source.directory().display().to_string(),
            target: target.display().to_string(),
            source_bytes: state.progress.source,
            staging_bytes: written.values().sum(),
            written,
            digests: self.digests(cx, state),
            reader: Some(self.options.reader.to_string()),
            verify: Some(self.options.verify_depth.name().to_owned()),
            next: self.next(state),
            details: json!({
                "live": live.unwrap_or_else(|| POINTER_TO_LOG.to_owned()),
                "not_read": others(&self.source),
                "linked": self.source.linked(),
            }),
        })
    }
}

impl SpaceMigration<'_> {
    /// Returns the digests that the store's manifest seals.
    fn digests(&self, cx: &Context<'_>, state: &RunState) -> BTreeMap<String, String> {
        let store = self.paths.store(&state.progress.store);
        match Manifest::read(&**cx.disk, &store) {
            Ok(manifest) if state.stage >= Stage::Sealed => {
                let sources = manifest.sources.into_iter().map(|file| (format!("source:{}", file.name), file.digest));
                sources.chain([("root".to_owned(), manifest.root)]).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    fn next(&self, state: &RunState) -> Next {
        let command = |verb: &str| Some(format!("haul space {verb} --space {}", shell_word(self.paths.root())));
        match state.stage {
            Stage::Published => Next { verify: command("verify --full"), rollback: command("rollback") },
            Stage::Sealed | Stage::Verified => Next { verify: command("verify --full"), rollback: None },
            _ => Next::default(),
        }
    }

    fn move_records(&self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        let staging = self.paths.staging();
        if state.progress.cursor == Cursor::default() {
            // The first checkpoint comes before the staged files, so a crash may leave any part of their headers.
            remove_large_tree(&**cx.disk, &staging, &cx.control.stop.check())?;
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
        let converter = LogConverter::new(state.rules.policies, names, cx.control.stop);
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
            stop: cx.control.stop,
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
        let built = cx.control.phase(Phase::Index, expected, || index::build(&input, &mut findings));
        let Some(built) = Error::unless_stopped(built)? else { return Ok(None) };
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
        // It may have been started since the run began.
        self.check_engine(cx)?;
        self.source.check_unchanged()?;
        check_trade(&**cx.disk, self.paths, &state.progress.store, self.options.allow_empty)?;
        pointer::publish(&**cx.disk, self.paths.root(), &state.progress.store)?;
        Ok(Step::Reached(Stage::Published))
    }
}

/// Passes over a removal that one of its entries has stopped: the rest of an old store is in nobody's way.
fn left_behind(cx: &Context<'_>, removed: Result<(), DiskError>) -> Result<(), Error> {
    match removed {
        Err(error) if error.fault_class() == FaultClass::Item => {
            cx.control.note(format!("{error}; what is left of an old store stays"));
            Ok(())
        }
        removed => Ok(removed?),
    }
}
