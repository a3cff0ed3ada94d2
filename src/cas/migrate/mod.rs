//! A whole migration: from the walk through the source to the published store, resumable at every point.

pub mod accounting;
pub mod convert;
pub mod converted;
pub mod crash_cleanup;
pub mod dry_run;
pub mod estimate;
pub mod large_blobs;
pub mod object_log;
pub mod placer;
pub mod plan;
mod preflight;
pub mod publish;
pub mod read_only_pass;
pub mod rehash_source;
pub mod seal;
pub mod source_chain;
pub mod steps;
pub mod transcode;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use self::plan::{Plan, plan_of};
use self::preflight::{Preflight, placement_begun};
use self::publish::abandon;
use self::publish::swap::{Exchange, marked_by};
use self::steps::CasJob;
use super::format::key::Algorithm;
use super::map::reverse_path;
use super::options::{MigrateOptions, Placement, Start};
use super::outcome::Counts;
use super::paths::TargetPaths;
use super::source::SourceRoot;
use super::source::inventory::InventoryBuilder;
use super::source::walk::{Walked, walk};
use super::state::{CHECKPOINT_KIND, RunState};
use super::verify::run::verify_held;
use super::verify::{VerifyEnd, VerifyRequest};
use crate::durable::{Disk, DiskFileSystem, create_directory_durable, remove_tree, replace_file};
use crate::migration::plan::escape_name;
use crate::migration::{
    CheckpointFile, Error, Findings, FindingsCount, FindingsLog, HeldRun, OutcomeCounts, Report, SourceBytes, Stage,
    Step, advance, report_says, write_report,
};
use crate::pipeline::Control;

/// How a migration ended without an error.
#[derive(Debug, Clone, Serialize)]
pub struct MigrationEnd {
    /// The stage that is reached.
    pub stage: Stage,
    /// Everything found: objects, and names that are none.
    pub records: u64,
    /// Objects found.
    pub objects: u64,
    /// Outcomes of everything found.
    pub counts: Counts,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the blobs that the target has from this run.
    pub stored_bytes: u64,
    /// When what was written was made durable: `group`, `object`, `none`.
    pub durability: String,
    /// True if nothing had to be done.
    pub already_done: bool,
    /// True if an earlier run was continued.
    pub resumed: bool,
    /// True if the run was asked to stop.
    pub stopped: bool,
}

/// Objects by the algorithm of their old keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AlgorithmCounts {
    /// BLAKE2s-256.
    pub blake2s: u64,
    /// BLAKE3 without a prefix.
    pub blake3: u64,
    /// BLAKE3 behind `cas:`.
    pub cas: u64,
    /// SHA-256.
    pub sha256: u64,
}

impl From<[u64; 4]> for AlgorithmCounts {
    fn from(counts: [u64; 4]) -> Self {
        let count = |algorithm: Algorithm| counts[algorithm as usize];
        Self {
            blake2s: count(Algorithm::Blake2s),
            blake3: count(Algorithm::Blake3),
            cas: count(Algorithm::Cas),
            sha256: count(Algorithm::Sha256),
        }
    }
}

/// Migrates the store at `source`: resumes an earlier run of the same plan or begins one, and takes it to its goal.
pub fn migrate(
    disk: Arc<dyn Disk>,
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    let preflight = Preflight { disk: &*disk, source, paths, options };
    let root = preflight.open_source()?;
    let held = HeldRun::create(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    Session { disk: disk.clone(), preflight, root: &root, paths, options, held: &held, control }.run()
}

/// What one attempt works with, under the lock.
struct Session<'a> {
    disk: Arc<dyn Disk>,
    preflight: Preflight<'a>,
    root: &'a SourceRoot,
    paths: &'a TargetPaths,
    options: &'a MigrateOptions,
    held: &'a HeldRun,
    control: &'a Control<'a>,
}

/// What is known before the first object is read.
struct Begun {
    walked: Walked,
    /// Counts of what is no object.
    counts: Counts,
    findings_bytes: u64,
}

impl Session<'_> {
    fn run(&self) -> Result<MigrationEnd, Error> {
        let result = self.attempt();
        // Also where nothing was left to do but to walk the source.
        let removed = remove_tree(&*self.disk, &self.paths.scratch());
        let end = result?;
        Ok(removed.map(|()| end)?)
    }

    fn attempt(&self) -> Result<MigrationEnd, Error> {
        let earlier = self.preflight.earlier_run()?;
        if self.options.start == Start::Restart {
            self.end_publication()?;
        }
        if earlier.is_none() {
            if !self.preflight.check_target(|| self.verify_target())? {
                return Ok(self.stopped_before(None));
            }
            if self.options.start == Start::Restart {
                self.discard()?;
            }
        }
        let file_system = self.disk.file_system(self.paths.run_directory().path())?;
        let Some(begun) = self.walk(earlier.is_none())? else { return Ok(self.stopped_before(earlier)) };
        let plan = plan_of(self.root, self.paths, &begun.walked.sums, self.options);
        let resumed = earlier.is_some();
        let state = match earlier {
            Some(state) => self.resume(state, &plan)?,
            None => self.begin(&plan, &begun)?,
        };
        let end = self.carry_out(state, begun.walked, &plan, file_system, resumed)?;
        remove_tree(&*self.disk, &self.paths.scratch())?;
        Ok(end)
    }

    fn verify_target(&self) -> Result<VerifyEnd, Error> {
        let target = self.paths.target();
        verify_held(&self.disk, self.paths, target, &VerifyRequest::WHOLE, self.options, self.control)
    }

    /// Walks the source. The findings of the walk go into the log of a run that begins; of one that goes on they are
    /// there already.
    fn walk(&self, is_new: bool) -> Result<Option<Begun>, Error> {
        let scratch = self.paths.scratch();
        remove_tree(&*self.disk, &scratch)?;
        let sort_directory = scratch.join("inventory");
        create_directory_durable(&*self.disk, &sort_directory)?;
        let memory_bytes = self.options.sort_memory_bytes();
        let builder = InventoryBuilder::new(self.disk.clone(), sort_directory, memory_bytes);
        let findings_path = self.paths.run_directory().findings_path();
        let mut findings = match is_new {
            true => Some(FindingsLog::open(&*self.disk, &findings_path, 0)?),
            false => None,
        };
        let mut counts = Counts::default();
        let workers = self.options.parallel_workers.get();
        let walked = walk(self.root, builder, workers, self.control, |other| {
            counts.add(other.outcome);
            findings.as_mut().map_or(Ok(()), |findings| findings.append(&other.finding))
        })?;
        let Some(walked) = walked else { return Ok(None) };
        let mut findings_bytes = 0;
        if let Some(findings) = &mut findings {
            findings_bytes = findings.flush()?;
            findings.file().sync()?;
        }
        Ok(Some(Begun { walked, counts, findings_bytes }))
    }

    /// A new run: nothing staged is left over from one that had no checkpoint yet.
    fn begin(&self, plan: &Plan, begun: &Begun) -> Result<RunState, Error> {
        self.remove_leftovers()?;
        self.preflight.check_plan(None, plan)?;
        let text = serde_json::to_vec_pretty(plan).expect("plain data always serialises");
        replace_file(&*self.disk, &self.paths.run_directory().plan_path(), &text)?;
        let state = RunState {
            records: begun.counts.sum(),
            counts: begun.counts,
            findings_bytes: begun.findings_bytes,
            ..RunState::new(plan.digest_bytes, uuid::Uuid::now_v7().to_string(), self.options)
        };
        self.held.checkpoint.store(&*self.disk, &state)?;
        Ok(state)
    }

    fn resume(&self, state: RunState, plan: &Plan) -> Result<RunState, Error> {
        self.preflight.check_plan(Some(&state), plan)?;
        // A restart that died has not discarded the run after all.
        self.move_map(self.paths.earlier_map(&state.run_id), self.paths.map())?;
        Ok(state)
    }

    /// Brings what an earlier run, readable or not, was publishing to an end, before that run is discarded.
    fn end_publication(&self) -> Result<(), Error> {
        match self.held.readable_state::<RunState>(&*self.disk)? {
            Some(state) => match placement_begun(&self.held.checkpoint, &state)? {
                Some(placement) => abandon(&*self.disk, self.paths, &state, placement),
                None => Ok(()),
            },
            // What lies where the store is staged may be the one that was replaced, whatever run that was.
            None => match marked_by(&*self.disk, self.paths.target())? {
                Some(run_id) => Exchange { disk: &*self.disk, paths: self.paths, run_id: &run_id }.settle(),
                None => Ok(()),
            },
        }
    }

    /// Removes the state of an earlier run; what it has published stays. A run that starts over does so once it has its
    /// place, for a rollback needs that state. The checkpoint goes first: after a crash within, none speaks of what is
    /// half removed.
    fn discard(&self) -> Result<(), Error> {
        self.keep_map()?;
        self.held.checkpoint.remove(&*self.disk)?;
        self.remove_leftovers()
    }

    /// Gives the map of an earlier run a name of its own: nothing else leads from the old keys of that run to objects of
    /// the target. A reverse file alone belongs to no map.
    fn keep_map(&self) -> Result<(), Error> {
        let map = self.paths.map();
        if self.disk.kind(&map)?.is_none() {
            return Ok(());
        }
        let state = self.held.readable_state::<RunState>(&*self.disk)?;
        let run_id = state.map_or_else(|| uuid::Uuid::now_v7().to_string(), |state| state.run_id);
        self.move_map(map, self.paths.earlier_map(&run_id))
    }

    /// The reverse file goes first, for it can be made again.
    fn move_map(&self, map: PathBuf, to: PathBuf) -> Result<(), Error> {
        for (from, to) in [(reverse_path(&map), reverse_path(&to)), (map, to)] {
            if self.disk.kind(&from)?.is_some() {
                self.disk.rename(&from, &to)?;
                self.disk.sync_directory(self.paths.run_directory().path())?;
            }
        }
        Ok(())
    }

    /// Removes what an earlier run has made and not published.
    fn remove_leftovers(&self) -> Result<(), Error> {
        for path in [
            self.paths.staging(),
            self.paths.moved(),
            self.paths.incoming(),
            self.paths.index_before(),
            self.paths.withdrawn(),
        ] {
            remove_tree(&*self.disk, &path)?;
        }
        Ok(())
    }

    fn carry_out(
        &self,
        state: RunState,
        walked: Walked,
        plan: &Plan,
        file_system: Arc<dyn DiskFileSystem>,
        resumed: bool,
    ) -> Result<MigrationEnd, Error> {
        let goal = if self.options.publish { Stage::Published } else { Stage::Verified };
        let run_id = state.run_id.clone();
        if state.stage >= goal {
            let (path, outcome) = (self.paths.run_directory().report_path(), state.stage.to_string());
            if !report_says(&*self.disk, &path, &run_id, &outcome)? {
                self.report(&state, outcome, Instant::now())?;
            }
            return Ok(end(&state, walked.sums.objects, true, resumed, false));
        }
        let detail = json!({ "plan": plan.digest, "settings": self.options.text() });
        self.held.note(Some(&run_id), if resumed { "resumed" } else { "started" }, detail)?;
        let started = Instant::now();
        let mut job = CasJob {
            disk: self.disk.clone(),
            root: self.root,
            sums: &walked.sums,
            inventory: Some(walked.inventory),
            sample: walked.sample,
            paths: self.paths,
            options: self.options,
            control: *self.control,
            checkpoint: self.held.checkpoint.clone(),
            file_system,
            state,
        };
        let result = advance(&mut job, goal, &self.held.journal, &run_id);
        let outcome = match &result {
            Ok(Step::Done) => job.state.stage.to_string(),
            Ok(Step::Stopped) => "stopped".into(),
            Err(Error::Findings { .. }) => "failed: findings".into(),
            Err(_) => "failed".into(),
        };
        // A report that cannot be written, as on a full disk, must not hide why the run failed.
        let reported = self.report(&job.state, outcome, started);
        match result {
            Ok(step) => {
                reported?;
                Ok(end(&job.state, walked.sums.objects, false, resumed, step == Step::Stopped))
            }
            Err(error @ Error::Findings { .. }) => {
                reported?;
                self.discard()?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn stopped_before(&self, earlier: Option<RunState>) -> MigrationEnd {
        let resumed = earlier.is_some();
        let state = earlier.unwrap_or_else(|| RunState::new([0; 32], String::new(), self.options));
        end(&state, state.objects, false, resumed, true)
    }

    fn report(&self, state: &RunState, outcome: String, started: Instant) -> Result<(), Error> {
        let findings = Findings::new(self.paths.run_directory().findings_path(), state.findings_bytes);
        let findings_count = FindingsCount::of(&*self.disk, &findings)?;
        let report = Report {
            run_id: state.run_id.clone(),
            noun: "cas".into(),
            outcome,
            source: escape_name(self.root.path().as_os_str()),
            target: escape_name(self.paths.target().as_os_str()),
            records_read: state.records,
            counts: state.counts,
            source_bytes: SourceBytes { framed: state.source_bytes, total: state.source_bytes, ..Default::default() },
            target_bytes: state.stored_bytes,
            duration_ms: started.elapsed().as_millis() as u64,
            findings_count,
            policy: json!({
                "compress": self.options.compress.to_string(),
                "placement": self.options.placement,
                "strict": self.options.strict,
            }),
            details: json!({
                "stage": state.stage,
                "durability": state.durability,
                "link": self.options.link,
                "generations": AlgorithmCounts::from(state.generations),
                "map": escape_name(self.paths.map().as_os_str()),
            }),
        };
        write_report(&*self.disk, &self.paths.run_directory().report_path(), &report, &findings)
    }
}

fn end(state: &RunState, objects: u64, already_done: bool, resumed: bool, stopped: bool) -> MigrationEnd {
    MigrationEnd {
        stage: state.stage,
        records: state.records,
        objects,
        counts: state.counts,
        generations: state.generations.into(),
        stored_bytes: state.stored_bytes,
        durability: state.durability.clone(),
        already_done,
        resumed,
        stopped,
    }
}

/// Returns how the target of a run was to be placed.
///
/// # Errors
/// [`Error::State`] if the settings of the run are not understood. There is no default: a rollback that took a merge for
/// a new store would remove what was there before.
pub(super) fn placement_of(checkpoint: &CheckpointFile, state: &RunState) -> Result<Placement, Error> {
    match MigrateOptions::default().deciding_as(&state.settings) {
        Some(options) => Ok(options.placement),
        None => Err(Error::settings_not_understood(checkpoint.path(), &state.settings)),
    }
}
