//! A whole migration of a tree, resumable at every point.

mod already_done;
pub(crate) mod backup;
pub(crate) mod crash_recovery;
pub mod dry_run;
pub(crate) mod evaluate;
pub(crate) mod group_commit;
pub mod ledger;
pub(crate) mod ledger_by_file;
pub mod stage_file;
pub mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;

use self::already_done::scan_finished;
use self::crash_recovery::{Settled, Unsettled, settle};
use self::dry_run::DryRunEnd;
use self::group_commit::{GroupWriter, Replacer, RunAccounting};
use self::ledger::{Ledger, LedgerEntry, LedgerPosition};
use self::stage_file::{FileStager, NamedFile};
use self::state::{CHECKPOINT_KIND, RunState};
use super::Transformer;
use super::document::checksum::hex;
use super::outcome::Counts;
use super::run_options::{Durability, MigrateOptions, Start};
use super::tree::reader::EntryReader;
use crate::durable::{Disk, DiskFileSystem, DiskRoot, replace_file, sync_reports_errors, without_sync};
use crate::migration::plan::escape_name;
use crate::migration::{
    Error, Findings, FindingsCount, FindingsLog, FirstFindings, HeldRun, OutcomeCounts, Report, RunDirectory,
    SourceBytes, Stage, plan_digest, report_says, write_report,
};
use crate::pipeline::{Control, Ended, Event, Phase, run};

/// The directory of the state of runs, below the application's root.
pub const STATE: &str = "migration";
const FORMAT_VERSION: u32 = 1;
/// How the report of a run that came to its end calls that.
const FINISHED: &str = "finished";

/// How a migration ended without an error.
#[derive(Debug, Clone, Serialize)]
pub struct MigrationEnd {
    /// Which run.
    pub run_id: String,
    /// The version that files were taken to.
    pub target_version: String,
    /// The instant of every history record.
    pub now: String,
    /// Everything found.
    pub records: u64,
    /// Files that were looked into.
    pub manifests: u64,
    /// Outcomes of everything found.
    pub counts: Counts,
    /// Bytes of manifests that were written.
    pub written_bytes: u64,
    /// When what was written was made durable.
    pub durability: String,
    /// True if nothing had to be done: the run is the last one that has finished.
    pub already_done: bool,
    /// True if an earlier run was continued.
    pub resumed: bool,
    /// True if the run was asked to stop.
    pub stopped: bool,
    /// What there is to say of single files.
    #[serde(skip)]
    pub findings: FirstFindings,
    /// What was done to the file that the operator named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<NamedFile>,
}

/// The run directory of the tree at `root`.
pub fn run_directory(root: &Path) -> RunDirectory {
    RunDirectory::new(root.join(STATE))
}

/// Migrates the tree at `root`: goes on with an earlier run of the same plan that has not ended, or begins one.
///
/// Files are replaced one by one, each after its backup; what is refused is named in the findings and in the report.
pub fn migrate(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    // Before any file is opened: an unknown target is one error, not one a file (docs/source-sigilzero.md, D16).
    options.transformer(Timestamp::UNIX_EPOCH)?;
    let disk = match options.durability {
        Durability::None => without_sync(disk),
        Durability::Batch | Durability::Each => disk,
    };
    let tree = disk.root(root)?;
    let file_system = disk.file_system(root)?;
    let held = HeldRun::create(&disk, &run_directory(root), CHECKPOINT_KIND)?;
    Session { disk, root, tree, file_system, options, held: &held, control }.run()
}

/// What one attempt works with, under the lock.
struct Session<'a> {
    disk: Arc<dyn Disk>,
    root: &'a Path,
    tree: Arc<dyn DiskRoot>,
    file_system: Arc<dyn DiskFileSystem>,
    options: &'a MigrateOptions,
    held: &'a HeldRun,
    control: &'a Control<'a>,
}

/// What a look at the earlier run and at the tree came to.
enum Prospect {
    /// A run is to be carried out.
    Run(Box<Ready>),
    /// The last run has finished, and there is nothing to do.
    AlreadyDone(Box<MigrationEnd>),
}

/// A run that is to be carried out.
struct Ready {
    state: RunState,
    ledger: Ledger,
    settled: Settled,
    resumed: bool,
}

impl Session<'_> {
    fn run(&self) -> Result<MigrationEnd, Error> {
        let started = Instant::now();
        let ready = match self.ready()? {
            Prospect::Run(ready) => *ready,
            Prospect::AlreadyDone(end) => return Ok(*end),
        };
        let resumed = ready.resumed;
        let run_id = ready.state.run_id.clone();
        let transformer = self.options.transformer(ready.state.now())?;
        let detail = json!({ "settings": ready.state.settings, "target": ready.state.target });
        self.held.note(Some(&run_id), if resumed { "resumed" } else { "started" }, detail)?;
        let named = self.options.manifest.as_ref().map(|_| Arc::new(Mutex::new(NamedFile::default())));
        let (result, state) = self.carry_out(ready, transformer, named.clone());
        let outcome = match &result {
            Ok(Ended::Complete) => FINISHED,
            Ok(Ended::Stopped) => "stopped",
            Err(_) => "failed",
        };
        // Neither a report nor a note that a full disk does not take may hide why the run failed.
        let noted = self.held.note(Some(&run_id), outcome, json!({ "migrated": state.counts.migrated }));
        let reported = self.report(&state, outcome, started);
        let stopped = result? == Ended::Stopped;
        noted.and(reported)?;
        self.end(&state, resumed, stopped, named)
    }

    fn directory(&self) -> RunDirectory {
        run_directory(self.root)
    }

    /// Settles what an earlier run left, then goes on with it or begins a new one.
    fn ready(&self) -> Result<Prospect, Error> {
        let earlier = match self.options.start {
            Start::Restart => self.held.readable_state::<RunState>(&*self.disk)?,
            Start::Auto | Start::Resume => self.held.checkpoint.load::<RunState>(&*self.disk)?,
        };
        let known = earlier.as_ref().map_or(LedgerPosition::START, |state| state.ledger);
        let mut begun = Unsettled::default();
        let mut ledger = Ledger::open(&*self.disk, self.directory().path(), "", known, |line| {
            begun.take(line);
            Ok(())
        })?;
        let (unfinished, ended) = match earlier {
            Some(state) if state.stage == Stage::Running => (Some(state), None),
            ended => (None, ended),
        };
        if let Some(state) = &unfinished {
            ledger.begin_run(&state.run_id);
            if self.options.start != Start::Restart {
                self.check_resumable(state)?;
            }
        }
        let settled = settle(&*self.tree, &begun, &mut ledger)?;
        self.file_system.sync()?;
        let ready = match (unfinished, self.options.start) {
            (Some(state), Start::Auto | Start::Resume) => self.resume(state, ledger, settled)?,
            (None, Start::Resume) => {
                return Err(Error::Usage {
                    what: "there is no earlier run to resume".into(),
                    next: "leave out --resume".into(),
                });
            }
            (None, Start::Auto) => match self.already_done(ended)? {
                Some(end) => return Ok(Prospect::AlreadyDone(Box::new(end))),
                None => self.begin(ledger)?,
            },
            (_, Start::Restart) => self.begin(ledger)?,
        };
        Ok(Prospect::Run(Box::new(ready)))
    }

    /// Returns the end of a migration that has nothing to do because the last run has done it.
    fn already_done(&self, ended: Option<RunState>) -> Result<Option<MigrationEnd>, Error> {
        let is_same = |state: &RunState| state.stage == Stage::Published && state.plan_digest == self.plan_digest();
        let Some(state) = ended.filter(is_same) else { return Ok(None) };
        let Some(scanned) = scan_finished(&self.tree, &state, self.options, self.control)? else { return Ok(None) };
        let path = self.directory().report_path();
        if !scanned.stopped && !report_says(&*self.disk, &path, &state.run_id, FINISHED)? {
            self.report(&state, FINISHED, Instant::now())?;
        }
        Ok(Some(end_of_scan(state, scanned)))
    }

    fn plan_digest(&self) -> [u8; 32] {
        plan_digest(CHECKPOINT_KIND, FORMAT_VERSION, &[], &self.options.text())
    }

    fn check_resumable(&self, state: &RunState) -> Result<(), Error> {
        let is_other_instant = self.options.now.is_some_and(|now| now != state.now());
        if state.plan_digest == self.plan_digest() && !is_other_instant {
            return Ok(());
        }
        Err(Error::State {
            path: self.held.checkpoint.path(),
            what: "an earlier run under other settings or steps has not ended".into(),
            next: format!("use the settings of that run ({}), or begin anew with --restart", state.settings),
            damaged: false,
        })
    }

    fn resume(&self, mut state: RunState, mut ledger: Ledger, settled: Settled) -> Result<Ready, Error> {
        let files = settled.files.len() as u64;
        state.counts.migrated += files;
        state.records += files;
        state.source_bytes += settled.source_bytes;
        state.written_bytes += settled.written_bytes;
        state.durability = weaker(&state.durability, self.options.durability);
        state.ledger = ledger.sync()?;
        // The files that are settled are not behind the place: this attempt passes over them, a later one finds them
        // at the target.
        Ok(Ready { state, ledger, settled, resumed: true })
    }

    fn begin(&self, mut ledger: Ledger) -> Result<Ready, Error> {
        let now = self.options.now.unwrap_or_else(Timestamp::now);
        let run_id = uuid::Uuid::now_v7().to_string();
        let plan = json!({
            "run_id": run_id,
            "root": escape_name(self.root.as_os_str()),
            "target_version": self.options.target().to_string(),
            "settings": self.options.text(),
            "steps": hex(&self.options.registry.digest()),
            "digest": hex(&self.plan_digest()),
            "now": now.to_string(),
        });
        let text = serde_json::to_vec_pretty(&plan).expect("plain data always serialises");
        replace_file(&*self.disk, &self.directory().plan_path(), &text)?;
        ledger.begin_run(&run_id);
        ledger.append(LedgerEntry::Began {
            target: self.options.target().to_string(),
            now: now.to_string(),
            settings: self.options.text(),
        })?;
        let position = ledger.sync()?;
        let state = RunState::new(self.plan_digest(), run_id, now, self.options, position);
        self.held.checkpoint.store(&*self.disk, &state)?;
        Ok(Ready { state, ledger, settled: Settled::default(), resumed: false })
    }

    /// Runs the engine to its end, and gives the state that was reached, whatever the end.
    fn carry_out(
        &self,
        ready: Ready,
        transformer: Transformer,
        named: Option<Arc<Mutex<NamedFile>>>,
    ) -> (Result<Ended, Error>, RunState) {
        let reached = ready.state.clone();
        match self.try_carry_out(ready, transformer, named) {
            Ok((result, state)) => (result, state),
            Err(error) => (Err(error), reached),
        }
    }

    fn try_carry_out(
        &self,
        ready: Ready,
        transformer: Transformer,
        named: Option<Arc<Mutex<NamedFile>>>,
    ) -> Result<(Result<Ended, Error>, RunState), Error> {
        let Ready { state, ledger, settled, .. } = ready;
        // A kernel that keeps lost bytes to itself is not asked about all files at once.
        let durability = match self.options.durability {
            Durability::Batch if self.disk.is_system() && !sync_reports_errors() => Durability::Each,
            asked => asked,
        };
        let findings = FindingsLog::open(&*self.disk, &self.directory().findings_path(), state.findings_bytes)?;
        let reader = EntryReader::new(
            self.disk.root(self.root)?,
            (self.options.layout, self.options.manifest.as_deref()),
            state.place.clone(),
            self.options.batch_records,
        )?
        .after_crash(settled.files, self.tree.clone());
        let preparer = FileStager {
            root: self.tree.clone(),
            transformer,
            mode: self.options.transform.mode,
            break_links: self.options.break_links,
            synced: durability == Durability::Each,
            named,
        };
        let accounting = RunAccounting { state, findings, ledger, checkpoint: self.held.checkpoint.clone() };
        let places = (self.tree.clone(), self.file_system.clone());
        let pending_max = self.options.checkpoint_interval_records;
        let replacer = Arc::new(Replacer::new(self.disk.clone(), places, durability, accounting, pending_max));
        let observer = self.control.observer;
        observer.observe(&Event::PhaseStarted { phase: Phase::Run, records_expected: None, bytes_expected: None });
        let mut writer = GroupWriter::new(replacer.clone());
        let mut result = run(reader, &preparer, &mut writer, &self.options.engine(), self.control);
        observer.observe(&Event::PhaseEnded { phase: Phase::Run });
        let mut accounting = replacer.accounting.lock();
        if let Ok(Ended::Complete) = result {
            result = self.complete(&mut accounting).map(|()| Ended::Complete);
        }
        Ok((result, accounting.state.clone()))
    }

    fn complete(&self, accounting: &mut RunAccounting) -> Result<(), Error> {
        accounting.state.counts.check_sum(accounting.state.records)?;
        accounting.ledger.append(LedgerEntry::Ended { migrated: accounting.state.counts.migrated })?;
        accounting.state.ledger = accounting.ledger.sync()?;
        accounting.state.stage = Stage::Published;
        accounting.checkpoint.store(&*self.disk, &accounting.state)
    }

    fn findings(&self, state: &RunState) -> Findings {
        Findings::new(self.directory().findings_path(), state.findings_bytes)
    }

    fn report(&self, state: &RunState, outcome: &str, started: Instant) -> Result<(), Error> {
        let findings = self.findings(state);
        let bytes = state.source_bytes;
        let report = Report {
            run_id: state.run_id.clone(),
            noun: "manifest".into(),
            outcome: outcome.into(),
            source: escape_name(self.root.as_os_str()),
            target: state.target.clone(),
            records_read: state.records,
            counts: state.counts,
            source_bytes: SourceBytes { framed: bytes, total: bytes, ..Default::default() },
            target_bytes: state.written_bytes,
            duration_ms: started.elapsed().as_millis() as u64,
            findings_count: FindingsCount::of(&*self.disk, &findings)?,
            policy: json!(state.settings),
            details: json!({ "now": state.now().to_string(), "durability": state.durability }),
        };
        write_report(&*self.disk, &self.directory().report_path(), &report, &findings)
    }

    fn end(
        &self,
        state: &RunState,
        resumed: bool,
        stopped: bool,
        named: Option<Arc<Mutex<NamedFile>>>,
    ) -> Result<MigrationEnd, Error> {
        let mut findings = FirstFindings::default();
        self.findings(state).for_each(&*self.disk, |finding| {
            findings.push(finding);
            Ok(())
        })?;
        Ok(MigrationEnd {
            run_id: state.run_id.clone(),
            target_version: state.target.clone(),
            now: state.now().to_string(),
            records: state.records,
            manifests: state.counts.manifests(),
            counts: state.counts,
            written_bytes: state.written_bytes,
            durability: state.durability.clone(),
            already_done: false,
            resumed,
            stopped,
            findings,
            named: named.map(|named| named.lock().clone()),
        })
    }
}

/// The run is the one that has finished; what is counted is the tree as it is now.
fn end_of_scan(state: RunState, scanned: DryRunEnd) -> MigrationEnd {
    MigrationEnd {
        now: state.now().to_string(),
        run_id: state.run_id,
        target_version: scanned.target_version,
        records: scanned.records,
        manifests: scanned.manifests,
        counts: scanned.counts,
        written_bytes: 0,
        durability: state.durability,
        already_done: !scanned.stopped,
        resumed: false,
        stopped: scanned.stopped,
        findings: scanned.findings,
        named: scanned.named,
    }
}

/// What is guaranteed of a run of which a part was durable so, and the rest as asked now.
fn weaker(before: &str, now: Durability) -> String {
    let rank = |text: &str| ["none", "batch", "each"].iter().position(|name| *name == text);
    let now = now.to_string();
    if rank(before) < rank(&now) { before.to_owned() } else { now }
}
