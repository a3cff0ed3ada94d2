//! A whole migration: from the walk through the source to the published store, resumable at every point.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::job::CasJob;
use super::key::Algorithm;
use super::merge_check::check_before_merge;
use super::options::{MigrateOptions, Placement, Start};
use super::outcome::{Counts, Outcome};
use super::paths::{TargetPaths, check_apart};
use super::plan::{Plan, plan_of};
use super::proof::CHAIN_START;
use super::publish::{check_target, is_live};
use super::source::inventory::{EntryKind, InventoryBuilder};
use super::source::scan::{Found, ScanSums, scan_watched};
use super::source::{Inventory, SourceRoot};
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, DiskFileSystem, create_directory_durable, remove_tree, replace_file};
use crate::migration::plan::escape_name;
use crate::migration::{
    Error, Finding, Findings, FindingsCount, FindingsLog, HeldRun, OutcomeCounts, Report, Severity, SourceBytes, Stage,
    Step, advance, free_space_check, report_says, write_report,
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
    pub generations: Generations,
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
pub struct Generations {
    /// BLAKE2s-256.
    pub blake2s: u64,
    /// BLAKE3 without a prefix.
    pub blake3: u64,
    /// BLAKE3 behind `cas:`.
    pub cas: u64,
    /// SHA-256.
    pub sha256: u64,
}

impl From<[u64; 4]> for Generations {
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
    let root = SourceRoot::open(source)?;
    check_apart(source, paths)?;
    let held = HeldRun::create(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let session = Session { disk, root: &root, paths, options, held: &held, control };
    session.run()
}

/// What one attempt works with, under the lock.
struct Session<'a> {
    disk: Arc<dyn Disk>,
    root: &'a SourceRoot,
    paths: &'a TargetPaths,
    options: &'a MigrateOptions,
    held: &'a HeldRun,
    control: &'a Control<'a>,
}

/// What the walk through the source gave.
struct Walked {
    sums: ScanSums,
    inventory: Inventory,
    sample: Option<PathBuf>,
    /// Counts of what is no object.
    counts: Counts,
    findings_bytes: u64,
}

impl Session<'_> {
    fn run(&self) -> Result<MigrationEnd, Error> {
        if self.options.start == Start::Restart {
            self.restart()?;
        }
        let earlier = self.held.checkpoint.load::<RunState>(&*self.disk)?;
        if earlier.is_none() && self.options.start == Start::Resume {
            return Err(Error::Usage {
                what: "there is no earlier run to resume".into(),
                next: "leave out --resume".into(),
            });
        }
        if earlier.is_none() {
            check_target(&*self.disk, self.paths, self.options.placement)?;
            if self.options.placement == Placement::Merge
                && !check_before_merge(&self.disk, self.paths, self.options, self.control)?
            {
                return Ok(self.stopped_before(None));
            }
        }
        let file_system = self.disk.file_system(self.paths.run_directory().path())?;
        let Some(walked) = self.walk(earlier.is_none())? else { return Ok(self.stopped_before(earlier)) };
        let plan = plan_of(self.root, self.paths, &walked.sums, self.options);
        let resumed = earlier.is_some();
        let state = match earlier {
            Some(state) => self.resume(state, &plan)?,
            None => self.begin(&plan, &walked)?,
        };
        self.carry_out(state, walked, &plan, file_system, resumed)
    }

    /// Walks the source. The findings of the walk go into the log of a run that begins; of one that goes on they are
    /// there already.
    fn walk(&self, is_new: bool) -> Result<Option<Walked>, Error> {
        let scratch = self.paths.scratch();
        remove_tree(&*self.disk, &scratch)?;
        let sort_directory = scratch.join("inventory");
        create_directory_durable(&*self.disk, &sort_directory)?;
        let memory_bytes = self.options.sort_memory_bytes();
        let mut builder = InventoryBuilder::new(self.disk.clone(), sort_directory, memory_bytes);
        let findings_path = self.paths.run_directory().findings_path();
        let mut findings = match is_new {
            true => Some(FindingsLog::open(&*self.disk, &findings_path, 0)?),
            false => None,
        };
        let (mut counts, mut sample) = (Counts::default(), None);
        let workers = self.options.parallel_workers.get();
        let scanned = scan_watched(self.root, workers, self.control, |found| {
            if sample.is_none() {
                sample = sample_of(self.root, &found);
            }
            take_found(found, &mut builder, &mut counts, findings.as_mut())
        });
        let Some(sums) = scanned? else { return Ok(None) };
        let mut findings_bytes = 0;
        if let Some(findings) = &mut findings {
            findings_bytes = findings.flush()?;
            findings.file().sync()?;
        }
        Ok(Some(Walked { sums, inventory: builder.finish()?, sample, counts, findings_bytes }))
    }

    /// A new run: nothing staged is left over from one that had no checkpoint yet.
    fn begin(&self, plan: &Plan, walked: &Walked) -> Result<RunState, Error> {
        remove_tree(&*self.disk, &self.paths.staging())?;
        remove_tree(&*self.disk, &self.paths.moved())?;
        free_space_check(&*self.disk, self.paths.run_directory().path(), plan.space_needed_bytes)?;
        let text = serde_json::to_vec_pretty(plan).expect("plain data always serialises");
        replace_file(&*self.disk, &self.paths.run_directory().plan_path(), &text)?;
        let state = RunState {
            plan_digest: plan.digest_bytes,
            run_id: uuid::Uuid::now_v7().to_string(),
            settings: self.options.text(),
            durability: self.options.durability.to_string(),
            stage: Stage::Running,
            items: 0,
            objects: 0,
            records: walked.counts.sum(),
            counts: walked.counts,
            generations: [0; 4],
            findings_bytes: walked.findings_bytes,
            source_bytes: 0,
            stored_bytes: 0,
            source_chain: CHAIN_START,
            index: None,
        };
        self.held.checkpoint.store(&*self.disk, &state)?;
        Ok(state)
    }

    /// Checks that an earlier run belongs to the plan and brings its stage up to what stands at the target.
    fn resume(&self, mut state: RunState, plan: &Plan) -> Result<RunState, Error> {
        if state.plan_digest != plan.digest_bytes {
            return Err(Error::State {
                path: self.held.checkpoint.path(),
                what: "the checkpoint belongs to another plan: source, --compress, --strict or placement differ".into(),
                next: format!("use the settings of that run ({}), or start over with --restart", state.settings),
                damaged: false,
            });
        }
        if state.stage == Stage::RolledBack {
            return Err(Error::State {
                path: self.held.checkpoint.path(),
                what: "that run was rolled back, and what it had made is removed".into(),
                next: "migrate again with --restart".into(),
                damaged: false,
            });
        }
        if state.stage == Stage::Published && !is_live(&*self.disk, self.paths, &state)? {
            // A merge or a put after the run changes the index; only a target that is gone is to be made again.
            if self.disk.kind(self.paths.target())?.is_none() {
                state.stage = Stage::RolledBack;
                return self.resume(state, plan);
            }
        }
        Ok(state)
    }

    /// Discards the earlier run, readable or not; what it has published stays.
    ///
    /// The checkpoint goes first: after a crash within, none speaks of what is half removed.
    fn restart(&self) -> Result<(), Error> {
        self.held.checkpoint.remove(&*self.disk)?;
        for path in [
            self.paths.staging(),
            self.paths.moved(),
            self.paths.incoming(),
            self.paths.scratch(),
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
                self.restart()?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn stopped_before(&self, earlier: Option<RunState>) -> MigrationEnd {
        let resumed = earlier.is_some();
        let nothing = RunState {
            plan_digest: [0; 32],
            run_id: String::new(),
            settings: String::new(),
            durability: self.options.durability.to_string(),
            stage: Stage::Running,
            items: 0,
            objects: 0,
            records: 0,
            counts: Counts::default(),
            generations: [0; 4],
            findings_bytes: 0,
            source_bytes: 0,
            stored_bytes: 0,
            source_chain: CHAIN_START,
            index: None,
        };
        let state = earlier.unwrap_or(nothing);
        end(&state, state.objects, false, resumed, true)
    }

    fn report(&self, state: &RunState, outcome: String, started: Instant) -> Result<(), Error> {
        let findings = Findings::new(self.paths.run_directory().findings_path(), state.findings_bytes);
        let mut findings_count = FindingsCount::default();
        findings.for_each(&*self.disk, |finding| {
            match finding.severity {
                Severity::Note => findings_count.note += 1,
                Severity::Refused => findings_count.refused += 1,
                Severity::Fatal => findings_count.fatal += 1,
            }
            Ok(())
        })?;
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
                "generations": Generations::from(state.generations),
                "map": self.paths.map(),
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

/// The path of an object that is a file with content.
fn sample_of(root: &SourceRoot, found: &Found) -> Option<PathBuf> {
    match found {
        Found::Object(entry) if entry.kind == EntryKind::File && entry.len_bytes > 0 => {
            Some(root.blob(&entry.location))
        }
        _ => None,
    }
}

/// Takes what the walk found into the inventory, or into the counts and the findings.
pub(super) fn take_found(
    found: Found,
    builder: &mut InventoryBuilder,
    counts: &mut Counts,
    findings: Option<&mut FindingsLog>,
) -> Result<(), Error> {
    let (outcome, severity, path, reason) = match found {
        Found::Object(entry) => return Ok(builder.push_object(&entry)?),
        Found::Sidecar(location) => return Ok(builder.push_sidecar(&location)?),
        Found::Skipped { path, reason } => {
            (Outcome::Skipped(reason), Severity::Note, path, format!("no object: {}", reason.text()))
        }
        Found::Refused { path, reason, text } => (Outcome::Refused(reason), Severity::Refused, path, text),
    };
    counts.add(outcome);
    let Some(findings) = findings else { return Ok(()) };
    let file = escape_name(path.as_os_str());
    let finding = Finding { severity, file, offset: 0, length: 0, reason, id: None, sequence: None, related: None };
    findings.append(&finding)
}

/// How the target of a run was to be placed.
pub(super) fn placement_of(state: &RunState) -> Placement {
    MigrateOptions::default().deciding_as(&state.settings).map_or(Placement::New, |options| options.placement)
}
