//! The migration of an object store, as the life cycle calls it step by step.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::accounting::check_complete;
use super::convert::ObjectConverter;
use super::crash_cleanup::remove_unfinished;
use super::known_objects::KnownObjects;
use super::large_blobs::BlobStaging;
use super::object_log::ObjectLog;
use super::outcome_check::check_outcomes;
use super::placer::{MergeTarget, Placer, objects_path};
use super::placing::ObjectPlacing;
use super::plan::{Plan, plan_of};
use super::publish::staged_check::{check_map, check_staged};
use super::publish::swap::{Swap, marked_by};
use super::publish::{abandon, check_target, has_begun, publish};
use super::replaced_check::check_drop;
use super::seal::{SealInput, seal};
use super::writer::{ObjectWriter, StagedStore};
use crate::cas::algorithm_counts::AlgorithmCounts;
use crate::cas::map::reverse_path;
use crate::cas::options::{CasRules, MigrateOptions, Placement, ReadBack};
use crate::cas::outcome::Counts;
use crate::cas::paths::{INDEX_NAME, TargetPaths, check_outside};
use crate::cas::source::inventory::InventoryBuilder;
use crate::cas::source::nothing_found::check_found;
use crate::cas::source::reader::SourceReader;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::walk::{Walked, walk};
use crate::cas::source::{Inventory, SourceRoot};
use crate::cas::state::{CHECKPOINT_KIND, Progress, RunState, written};
use crate::cas::store::index_keys::IndexKeys;
use crate::cas::verify::VerifyRequest;
use crate::cas::verify::run::verify_held;
use crate::durable::{
    DiskFileSystem, FaultClass, GroupSync, NewModes, ReaderKind, SourceFile, create_directory_durable,
    file_digest_if_present, remove_large_tree, remove_tree,
};
use crate::migration::checkpoint::Kind;
use crate::migration::plan::escape_name;
use crate::migration::report::parts::Next;
use crate::migration::{
    Check, Context, Durability, Error, Findings, FindingsCount, FindingsLog, FirstFindings, Migration, OutcomeCounts,
    Places, SourceBytes, Stage, Step, Summary, clock, shell_word,
};
use crate::pipeline::{Ended, Expected, run_placing};

/// The migration of an object store.
pub(super) struct CasMigration<'a> {
    pub(super) root: SourceRoot,
    pub(super) paths: &'a TargetPaths,
    pub(super) options: &'a MigrateOptions,
    /// What the walk found. Set when the plan is made.
    found: Option<FoundInSource>,
    /// The file system of the target. It is opened before the first write, because its sync reports lost writes only
    /// from then on.
    file_system: Option<Arc<dyn DiskFileSystem>>,
    /// True if this process has staged every object.
    has_staged_all: bool,
    /// Whether what an earlier run has migrated is not read again. Set when the target is checked.
    pub(super) is_second_pass: Cell<bool>,
}

/// What the walk through the source found.
pub(super) struct FoundInSource {
    pub sums: ScanSums,
    /// The objects, until they are moved.
    pub inventory: Option<Inventory>,
    /// The path of an object that is a file with content, if the source has one.
    sample: Option<PathBuf>,
    /// Outcomes of the entries that are not objects.
    pub counts: Counts,
    /// Findings about these entries, unless they are in the log of a run that begins.
    pub findings: FirstFindings,
    /// The length of that log.
    findings_bytes: u64,
}

impl<'a> CasMigration<'a> {
    /// Opens the source.
    pub fn open(source: &Path, paths: &'a TargetPaths, options: &'a MigrateOptions) -> Result<Self, Error> {
        let root = SourceRoot::open(source)?;
        Ok(Self {
            root,
            paths,
            options,
            found: None,
            file_system: None,
            has_staged_all: false,
            is_second_pass: Cell::new(false),
        })
    }

    /// Returns the number of objects in the source, after it was walked.
    pub fn objects_found(&self) -> Option<u64> {
        self.found.as_ref().map(|found| found.sums.objects)
    }

    /// Returns true if what an earlier run has migrated is not read again.
    pub fn is_second_pass(&self) -> bool {
        self.is_second_pass.get()
    }

    /// Returns the source and what [`plan`](Migration::plan) found in it.
    pub fn into_found(self) -> (SourceRoot, FoundInSource) {
        (self.root, self.found.expect("the plan is made"))
    }

    fn found(&self) -> &FoundInSource {
        self.found.as_ref().expect("the plan is made before the run")
    }

    fn file_system(&self) -> Arc<dyn DiskFileSystem> {
        self.file_system.clone().expect("a run opens it before it writes")
    }

    /// Walks through the source. A run sorts the inventory on the disk. If it begins, it writes the findings to its
    /// log; if it continues, they are in the log already.
    fn walk(&mut self, cx: &Context<'_>, begins: bool) -> Result<Option<FoundInSource>, Error> {
        let (mut log, builder) = match cx.lock {
            None => (None, InventoryBuilder::in_memory()),
            Some(_) => {
                let log = begins.then(|| FindingsLog::open(&**cx.disk, &cx.directory.findings_path(), 0));
                let scratch = self.paths.scratch();
                remove_tree(&**cx.disk, &scratch)?;
                let sort_directory = scratch.join("inventory");
                create_directory_durable(&**cx.disk, &sort_directory)?;
                let memory_bytes = self.options.sort_memory_bytes();
                (
                    log.transpose()?,
                    InventoryBuilder::new(cx.disk.clone(), sort_directory, memory_bytes).stopped_by(cx.control.stop),
                )
            }
        };
        let (mut counts, mut findings) = (Counts::default(), FirstFindings::default());
        for note in self.notes_on_owners() {
            match &mut log {
                Some(log) => log.append(&note)?,
                None => findings.push(note),
            }
        }
        let walked = walk(&self.root, builder, cx.options.parallel_workers.get(), cx.control, |other| {
            counts.add(other.outcome);
            match &mut log {
                Some(log) => log.append(&other.finding),
                None => {
                    findings.push(other.finding);
                    Ok(())
                }
            }
        })?;
        let Some(Walked { sums, inventory, sample }) = walked else { return Ok(None) };
        let mut findings_bytes = 0;
        if let Some(log) = &mut log {
            findings_bytes = log.flush()?;
            log.file().sync()?;
        }
        Ok(Some(FoundInSource { sums, inventory: Some(inventory), sample, counts, findings, findings_bytes }))
    }

    /// Renames a map. The reverse file is renamed first, because it can be built again from the map.
    fn move_map(&self, cx: &Context<'_>, map: PathBuf, to: PathBuf) -> Result<(), Error> {
        for (from, to) in [(reverse_path(&map), reverse_path(&to)), (map, to)] {
            if cx.disk.kind(&from)?.is_some() {
                cx.disk.rename(&from, &to)?;
                cx.disk.sync_directory(cx.directory.path())?;
            }
        }
        Ok(())
    }

    /// Gives the map of the last run a name of its own, because only this map leads from the old keys of that run to
    /// objects of the target. A reverse file without its map is left where it is.
    fn keep_map(&self, cx: &Context<'_>) -> Result<(), Error> {
        let map = self.paths.map();
        if cx.disk.kind(&map)?.is_none() {
            return Ok(());
        }
        let state = cx.lock.map_or(Ok(None), |lock| lock.readable_state::<RunState>(&**cx.disk))?;
        let run_id = state.map_or_else(clock::new_run_id, |state| Ok(state.run_id))?;
        self.move_map(cx, map, self.paths.earlier_map(&run_id))
    }
}

impl Migration for CasMigration<'_> {
    const NOUN: &'static str = "cas";
    const KIND: Kind = CHECKPOINT_KIND;
    const PLAN_PARTS: &'static str = "source, --compress, --strict or placement";
    type Rules = CasRules;
    type Progress = Progress;
    type Counts = Counts;
    type Plan = Plan;

    fn modes(&self) -> Result<NewModes, Error> {
        let limit = self.root.modes()?;
        Ok(if self.options.placement == Placement::New { limit } else { self.paths.new_modes(limit) })
    }

    fn rules(&self) -> CasRules {
        self.options.rules()
    }

    fn durability(&self) -> Durability {
        self.options.durability
    }

    fn synced_as_a_whole(&self, cx: &Context<'_>) -> Vec<PathBuf> {
        vec![cx.directory.path().to_path_buf()]
    }

    /// The target and what is staged for it lie on one file system. Where its sync does not reach the medium, the files
    /// that an earlier attempt has written are not known any more.
    fn sync_behind(&mut self, cx: &Context<'_>) -> Result<bool, Error> {
        let file_system = cx.disk.file_system(cx.directory.path())?;
        file_system.sync()?;
        Ok(file_system.group_sync() == GroupSync::Reaches)
    }

    fn preflight(&self, cx: &Context<'_>, check: Check<'_, RunState>) -> Result<Ended, Error> {
        self.check(cx, check)
    }

    fn end_publication(&mut self, cx: &Context<'_>, last: Option<&RunState>) -> Result<(), Error> {
        match last {
            Some(state) => abandon(&**cx.disk, self.paths, state, cx.control.stop),
            // The staged directory may be the store that was replaced, no matter which run replaced it.
            None => match marked_by(&**cx.disk, self.paths.target())? {
                Some(run_id) => Swap { disk: &**cx.disk, paths: self.paths, run_id: &run_id }.finish(),
                None => Ok(()),
            },
        }
    }

    fn discard(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        self.keep_map(cx)?;
        cx.checkpoint.remove(&**cx.disk)
    }

    fn clear(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let paths = self.paths;
        for path in [paths.staging(), paths.object_log(), paths.incoming(), paths.index_before(), paths.withdrawn()] {
            remove_large_tree(&**cx.disk, &path, &cx.control.stop.check())?;
        }
        Ok(())
    }

    fn plan(&mut self, cx: &Context<'_>, begins: bool) -> Result<Option<Plan>, Error> {
        if cx.lock.is_some() {
            self.file_system = Some(cx.disk.file_system(cx.directory.path())?);
        }
        self.found = self.walk(cx, begins)?;
        if let Some(found) = &self.found {
            check_outside(self.root.path(), self.paths, |(device, inode)| found.sums.has_directory(device, inode))?;
            check_found(&self.root, &found.sums, self.options.allow_empty)?;
        }
        let planned = |found: &FoundInSource| plan_of(&self.root, self.paths, &found.sums, self.options);
        Ok(self.found.as_ref().map(planned))
    }

    fn begin(&mut self, _cx: &Context<'_>, state: &mut RunState, _last: Option<&RunState>) -> Result<(), Error> {
        let found = self.found();
        state.records = found.counts.sum();
        state.counts = found.counts;
        state.findings_bytes = found.findings_bytes;
        state.progress.more.is_second_pass = self.is_second_pass.get();
        Ok(())
    }

    fn settle(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<(), Error> {
        // If a restart crashed before it discarded the run, the map still belongs to this run.
        self.move_map(cx, self.paths.earlier_map(&state.run_id), self.paths.map())
    }

    fn expected(&self, state: &RunState) -> Expected {
        if state.stage != Stage::Running {
            return Expected::UNKNOWN;
        }
        let (sums, progress) = (&self.found().sums, &state.progress);
        Expected::both(
            sums.objects.saturating_sub(progress.objects),
            sums.object_bytes.saturating_sub(progress.source_bytes),
        )
    }

    fn step(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        match state.stage {
            Stage::Running => self.move_objects(cx, state),
            Stage::Moved => self.seal(cx, state),
            Stage::Sealed => self.verify(cx, state),
            Stage::Verified | Stage::Published | Stage::RolledBack => self.publish(cx, state),
        }
    }

    fn places(&self, _state: &RunState) -> Places {
        Places { source: self.root.path().to_path_buf(), target: self.paths.target().to_path_buf() }
    }

    fn migrated(&self, state: &RunState) -> (u64, u64) {
        (state.progress.items, state.progress.source_bytes)
    }

    fn summary(&self, _cx: &Context<'_>, state: &RunState) -> Result<Summary, Error> {
        let Progress { source_bytes, generations, .. } = state.progress;
        let written: BTreeMap<_, _> =
            written(state).into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        Ok(Summary {
            source: escape_name(self.root.path().as_os_str()),
            target: escape_name(self.paths.target().as_os_str()),
            source_bytes: SourceBytes { framed: source_bytes, total: source_bytes, ..SourceBytes::default() },
            staging_bytes: written.values().sum(),
            written,
            digests: digests(state),
            verify: Some(if self.options.read_back == ReadBack::Full { "full" } else { "index" }.to_owned()),
            next: self.next(state),
            reader: None,
            details: json!({
                "link": self.options.link,
                "blobs": state.progress.more.blobs,
                "not_read_again": state.progress.more.not_read_again,
                "generations": AlgorithmCounts::from(generations),
                "map": escape_name(self.paths.map().as_os_str()),
            }),
        })
    }

    fn sweep(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        Ok(remove_tree(&**cx.disk, &self.paths.scratch())?)
    }
}

impl CasMigration<'_> {
    fn next(&self, state: &RunState) -> Next {
        let command = |verb| Some(format!("haul cas {verb} {}", shell_word(self.paths.target())));
        match state.stage {
            Stage::Published => Next { verify: command("verify"), rollback: command("rollback") },
            _ => Next::default(),
        }
    }

    fn move_objects(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        self.has_staged_all = state.progress.objects == 0;
        let found = self.found.as_mut().expect("the plan is made before the run");
        let inventory = found.inventory.take().expect("objects are moved once an attempt");
        let staging = self.paths.staging();
        create_directory_durable(&**cx.disk, &objects_path(&staging))?;
        remove_unfinished(cx.disk, self.paths, state, self.options.sort_memory_bytes())?;
        create_directory_durable(&**cx.disk, &self.paths.incoming())?;
        let blob_staging = BlobStaging::new(cx.disk.clone(), self.paths.incoming(), self.can_share_blocks(cx)?);
        let (objects, &MigrateOptions { compress, link, .. }) = (self.found().sums.objects, self.options);
        let (link, stop) = (link.is_wanted(), cx.control.stop);
        let is_second_pass = state.progress.more.is_second_pass;
        let known = is_second_pass.then(|| KnownObjects::open(&**cx.disk, self.paths)).transpose()?;
        let converter = ObjectConverter::new(&self.root, objects, compress, link, Some(&blob_staging), stop);
        let converter = converter.without(known.as_ref());
        let batch_records = cx.options.batch_records;
        let reader = SourceReader::new(inventory, state.progress.items, batch_records, self.options.compress)?;
        let placing = self.placing(cx, staging)?;
        let mut writer = self.writer(cx, state)?;
        let ended = match run_placing(reader, &converter, &placing, &mut writer, &self.options.engine(), cx.control) {
            // A stop inside of a large object: what is after the last checkpoint is moved again.
            Err(Error::Stopped { .. }) => {
                *state = cx.checkpoint.load(&**cx.disk)?.unwrap_or_else(|| state.clone());
                return Ok(Step::Stopped);
            }
            Err(error) => {
                self.discard_doubtful(cx, &error)?;
                return Err(error);
            }
            Ok(ended) => ended,
        };
        *state = writer.state;
        if ended == Ended::Stopped {
            return Ok(Step::Stopped);
        }
        self.check_complete(cx, state)?;
        if let Err(error) = self.found().sums.check_unchanged(&self.root) {
            self.discard_doubtful(cx, &error)?;
            return Err(error);
        }
        Ok(Step::Reached(Stage::Moved))
    }

    fn placing(&self, cx: &Context<'_>, staging: PathBuf) -> Result<ObjectPlacing<'_>, Error> {
        let (disk, stop) = (cx.disk.clone(), cx.control.stop.clone());
        let (merged_into, options) = (self.merged_into(cx)?, self.options);
        Ok(ObjectPlacing {
            root: &self.root,
            placer: Placer::new(disk, staging, merged_into, options.durability, options.link, stop),
            parallel_workers: options.run.parallel_workers.get(),
        })
    }

    fn writer(&self, cx: &Context<'_>, state: &RunState) -> Result<ObjectWriter<'_>, Error> {
        let durability = self.options.durability;
        let findings = Findings::new(cx.directory.findings_path(), state.findings_bytes);
        Ok(ObjectWriter {
            disk: cx.disk.clone(),
            root: &self.root,
            staged: StagedStore {
                placed: VecDeque::new(),
                log: ObjectLog::open(&**cx.disk, &self.paths.object_log(), state.progress.objects)?,
                findings: FindingsLog::open(&**cx.disk, &cx.directory.findings_path(), state.findings_bytes)?,
                findings_count: FindingsCount::of(&**cx.disk, &findings)?,
            },
            state: state.clone(),
            file_system: self.file_system(),
            checkpoint: cx.checkpoint.clone(),
            durability,
        })
    }

    fn merged_into(&self, cx: &Context<'_>) -> Result<Option<MergeTarget>, Error> {
        if self.options.placement != Placement::Merge {
            return Ok(None);
        }
        let (store, scratch) = (self.paths.target().to_path_buf(), self.paths.scratch().join("listed"));
        let listed = IndexKeys::of(cx.disk, &store, &scratch, self.options.sort_memory_bytes())?;
        Ok(Some(MergeTarget { store, listed }))
    }

    fn can_share_blocks(&self, cx: &Context<'_>) -> Result<bool, Error> {
        let sample = self.found().sample.as_ref();
        let Some(sample) = sample.filter(|_| !self.options.link.is_wanted()) else { return Ok(false) };
        match SourceFile::open(sample, ReaderKind::Pread) {
            Ok(sample) => Ok(cx.disk.can_reflink(&sample, &self.paths.incoming())?),
            Err(error) if error.fault_class() == FaultClass::Run => Err(error.into()),
            // Its neighbours decide when its turn comes.
            Err(_) => Ok(false),
        }
    }

    /// Checks that every entry that the walk found has an outcome, and that the store may be published with these.
    fn check_complete(&self, cx: &Context<'_>, state: &RunState) -> Result<(), Error> {
        check_complete(state, &self.found().sums)?;
        check_outcomes(self.options, &state.counts, cx.directory.report_path())
    }

    /// Discards the checkpoint of a run whose source has failed if it counts objects as unreadable: they may be whole, so
    /// the next run reads everything again.
    fn discard_doubtful(&self, cx: &Context<'_>, error: &Error) -> Result<(), Error> {
        let is_of_source = match error {
            Error::Disk(error) => error.path.starts_with(self.root.objects()),
            error => matches!(error, Error::SourceChanged { .. }),
        };
        if is_of_source
            && let Some(state) = cx.checkpoint.load::<RunState>(&**cx.disk)?
            && state.counts.refused_unreadable + state.counts.refused_changed > 0
        {
            cx.checkpoint.remove(&**cx.disk)?;
        }
        Ok(())
    }

    fn seal(&self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        let file_system = self.file_system();
        let input = SealInput {
            disk: cx.disk,
            paths: self.paths,
            state,
            options: self.options,
            file_system: &*file_system,
            control: cx.control,
        };
        let Some(index) = seal(&input)? else { return Ok(Step::Stopped) };
        state.progress.index = Some(index);
        Ok(Step::Reached(Stage::Sealed))
    }

    fn verify(&self, cx: &Context<'_>, state: &RunState) -> Result<Step, Error> {
        let sealed = state.progress.index.expect("a sealed run has an index");
        let path = self.paths.staging().join(INDEX_NAME);
        if file_digest_if_present(&**cx.disk, &path, &cx.control.stop.check())? != Some(sealed.file()) {
            return Err(not_as_sealed(format!("{} is not the index that the run sealed", path.display())));
        }
        // Readers of objects use the system's files, so they cannot read from a simulated disk.
        match self.options.read_back {
            ReadBack::Full if cx.disk.is_system() => self.read_back(cx),
            ReadBack::Full | ReadBack::Index => Ok(Step::Reached(Stage::Verified)),
        }
    }

    /// Reads every staged object again.
    fn read_back(&self, cx: &Context<'_>) -> Result<Step, Error> {
        let is_merge = self.options.placement == Placement::Merge;
        let merged_into = is_merge.then(|| self.paths.target().to_path_buf());
        let request = VerifyRequest { merged_into, ..VerifyRequest::WHOLE };
        let end = verify_held(cx.disk, self.paths, &self.paths.staging(), &request, self.options, cx.control)?;
        if end.stopped {
            return Ok(Step::Stopped);
        }
        match end.faults.first() {
            Some(fault) if end.errors > 0 => {
                Err(not_as_sealed(format!("{} errors in the staged store; {}: {}", end.errors, fault.path, fault.text)))
            }
            _ => Ok(Step::Reached(Stage::Verified)),
        }
    }

    fn publish(&self, cx: &Context<'_>, state: &RunState) -> Result<Step, Error> {
        let placement = state.rules.placement;
        // An earlier version sealed runs without this check.
        if !has_begun(&**cx.disk, self.paths, state, cx.control.stop)? {
            check_outcomes(self.options, &state.counts, cx.directory.report_path())?;
            if placement == Placement::Replace
                && !check_drop(&**cx.disk, self.paths, &state.counts, self.options, cx.control.stop)?
            {
                return Ok(Step::Stopped);
            }
            // A merge looks for each object when it moves it.
            if placement != Placement::Merge
                && !self.has_staged_all
                && check_staged(&**cx.disk, self.paths, state, cx.control.stop)? == Ended::Stopped
            {
                return Ok(Step::Stopped);
            }
        }
        check_map(&**cx.disk, self.paths, state)?;
        if placement == Placement::Replace && cx.disk.kind(&self.paths.replaced())?.is_none() {
            check_target(&**cx.disk, self.paths, placement)?;
        }
        match publish(&**cx.disk, self.paths, state, &*self.file_system(), cx.control.stop)? {
            Ended::Complete => Ok(Step::Reached(Stage::Published)),
            Ended::Stopped => Ok(Step::Stopped),
        }
    }
}

fn digests(state: &RunState) -> BTreeMap<String, String> {
    let hex = |digest: [u8; 32]| blake3::Hash::from_bytes(digest).to_hex().to_string();
    let index = state.progress.index.map(|index| ("index".to_owned(), hex(index.digest)));
    [("source".to_owned(), hex(state.progress.source_chain))].into_iter().chain(index).collect()
}

fn not_as_sealed(what: String) -> Error {
    Error::Verification { what, next: "check the disk, then start over with --restart".into(), source: None }
}
