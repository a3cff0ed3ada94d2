//! The migration of a tree: what its life cycle needs of the tree. There is one step, from running to published, because
//! every file is published as soon as it is replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

use super::already_done::scan_finished;
use super::crash_recovery::{Settled, Unsettled, settle};
use super::document_reader::DocumentReader;
use super::end::{EndDetails, MigrationEnd, modes_of_tree};
use super::evaluation_pass::DryRunEnd;
use super::group_commit::{GroupWriter, MANIFESTS, Replacer, RunAccounting};
use super::ledger::{Ledger, LedgerEntry, LedgerPosition};
use super::plan::{Plan, digest};
use super::selector::Selector;
use super::stage_file::{FileStager, NamedFile};
use super::state::{CHECKPOINT_KIND, Progress, RunState, check_ledger_length};
use crate::durable::{Disk, NewModes, ReadRoot};
use crate::manifest::document::checksum::hex;
use crate::manifest::nothing_found::check_found;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::{ManifestRules, MigrateOptions};
use crate::manifest::tree::count::Ahead;
use crate::manifest::tree::reader::EntryReader;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::tree::writable::WritableTree;
use crate::migration::checkpoint::Kind;
use crate::migration::plan::escape_name;
use crate::migration::report::parts::Next;
use crate::migration::{
    Check, Context, Durability, Error, Findings, FindingsCount, FindingsLog, Finished, FirstFindings, Migration,
    OutcomeCounts, Places, RunDirectory, SourceBytes, Stage, Standing, Start, Step, Summary, clock, shell_word,
};
use crate::pipeline::{Ended, run};

/// The migration of a tree.
pub(super) struct ManifestMigration<'a> {
    root: &'a Path,
    options: &'a MigrateOptions,
    /// The instant of the history records of a run that begins.
    now: Timestamp,
    /// What a run writes through; a dry run has none.
    tree: Option<Arc<WritableTree>>,
    /// Open for appending, once the run has begun or is continued.
    ledger: Option<Ledger>,
    /// Files that a run which died has replaced and not counted.
    settled: Vec<PathBuf>,
    /// The tree as it is now, if the last run has finished.
    scanned: Option<DryRunEnd>,
    named: Option<Arc<Mutex<NamedFile>>>,
}

impl<'a> ManifestMigration<'a> {
    /// Returns a migration that only looks.
    pub fn new(root: &'a Path, options: &'a MigrateOptions) -> Self {
        Self {
            root,
            options,
            now: options.now.unwrap_or_else(clock::now_or_nearest),
            tree: None,
            ledger: None,
            settled: Vec::new(),
            scanned: None,
            named: options.manifest.as_ref().map(|_| Arc::default()),
        }
    }

    /// Opens the tree for writing.
    pub fn open(disk: &Arc<dyn Disk>, root: &'a Path, options: &'a MigrateOptions) -> Result<Self, Error> {
        let tree = WritableTree::open(&**disk, root, options.durability)?;
        Ok(Self { tree: Some(Arc::new(tree)), ..Self::new(root, options) })
    }

    /// Opens the tree again on the disk of a run that has the lock, before it is written to.
    fn open_under_lock(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        self.tree = Some(Arc::new(WritableTree::open(&**cx.disk, self.root, self.options.durability)?));
        Ok(())
    }

    fn tree(&self) -> &Arc<WritableTree> {
        self.tree.as_ref().expect("a run opens the tree")
    }

    /// Opens the ledger behind `last`, and brings every replacement that was begun since to an end, durably.
    fn settle_begun(&self, cx: &Context<'_>, last: Option<&RunState>) -> Result<(Ledger, Settled), Error> {
        let known = last.map_or(LedgerPosition::START, |last| last.progress.ledger);
        let mut begun = Unsettled::default();
        let take = |line| {
            begun.take(line);
            Ok(())
        };
        let mut ledger = match cx.options.start {
            Start::Auto | Start::Resume => Ledger::open(&**cx.disk, cx.directory.path(), "", known, take)?,
            Start::Restart => {
                let (ledger, lost) = Ledger::salvage(&**cx.disk, cx.directory.path(), known, take)?;
                if let Some(lost) = lost {
                    cx.control.note(format!("{lost}; what is missing of it cannot be rolled back"));
                }
                ledger
            }
        };
        if let Some(unfinished) = last.filter(|last| last.stage == Stage::Running) {
            ledger.begin_run(&unfinished.run_id);
        }
        let settled = settle(self.tree(), &begun, &mut ledger, cx.control.stop)?;
        Ok((ledger, settled))
    }

    /// Returns the end for the caller.
    pub fn end(
        self,
        disk: &dyn Disk,
        directory: &RunDirectory,
        mut finished: Finished<Self>,
    ) -> Result<MigrationEnd, Error> {
        let state = &mut finished.state;
        let mut details = EndDetails {
            target_version: state.rules.target_version.to_string(),
            now: state.progress.now().to_string(),
            manifests: state.counts.manifests(),
            written_bytes: state.progress.written_bytes,
            findings: FirstFindings::default(),
            named: self.named.map(|named| named.lock().clone()),
        };
        match self.scanned {
            Some(DryRunEnd { records, counts, manifests, findings, named, .. }) => {
                (state.records, state.counts) = (records, counts);
                details = EndDetails { manifests, written_bytes: 0, findings, named, ..details };
            }
            None => Findings::new(directory.findings_path(), state.findings_bytes).for_each(disk, |finding| {
                details.findings.push(finding);
                Ok(())
            })?,
        }
        Ok(finished.with(details))
    }
}

impl Migration for ManifestMigration<'_> {
    const NOUN: &'static str = "manifest";
    const KIND: Kind = CHECKPOINT_KIND;
    const PLAN_PARTS: &'static str = "the settings, the selection or the steps";
    type Rules = ManifestRules;
    type Progress = Progress;
    type Counts = Counts;
    type Plan = Plan;

    fn modes(&self) -> Result<NewModes, Error> {
        Ok(modes_of_tree(self.root)?)
    }

    fn rules(&self) -> ManifestRules {
        self.options.rules()
    }

    fn durability(&self) -> Durability {
        self.options.durability
    }

    fn synced_as_a_whole(&self, _cx: &Context<'_>) -> Vec<PathBuf> {
        let artifacts = self.root.join(ARTIFACTS);
        vec![if artifacts.is_dir() { artifacts } else { self.root.to_path_buf() }]
    }

    fn preflight(&self, cx: &Context<'_>, check: Check<'_, RunState>) -> Result<Ended, Error> {
        match check {
            // Before any file is opened: an unknown target is one error, not one for each file (docs/source-sigilzero.md,
            // D16).
            Check::Places => {
                self.options.transformer(Timestamp::UNIX_EPOCH)?;
                // A run that is done, and a dry run, would not open the ledger, and then say that nothing is wrong.
                if cx.options.start != Start::Restart {
                    check_ledger_length(&**cx.disk, cx.directory.path())?;
                }
                let root: Arc<dyn ReadRoot> = cx.disk.root(self.root)?;
                return check_found(&root, self.options, cx.control.stop);
            }
            Check::Target => {}
            Check::Continued(state) => {
                let earlier = state.progress.now();
                if state.stage == Stage::Running && self.options.now.is_some_and(|now| now != earlier) {
                    return Err(Error::State {
                        path: cx.checkpoint.path(),
                        what: "an earlier run with another instant of its history records has not ended".into(),
                        next: format!("use the instant of that run (--now {earlier}), or start over with --restart"),
                        damaged: false,
                        source: None,
                    });
                }
            }
        }
        Ok(Ended::Complete)
    }

    /// A run that has finished is over, unless the tree is still as that run left it.
    fn standing(&mut self, cx: &Context<'_>, state: &RunState) -> Result<Standing, Error> {
        if state.stage == Stage::Running {
            return Ok(Standing::Continues);
        }
        let may_be_done = state.stage == Stage::Published && state.plan_digest == digest(self.options);
        // A dry run reads the tree anyway.
        let Some(tree) = self.tree.as_ref().filter(|_| may_be_done) else { return Ok(Standing::Over) };
        let Some(scanned) = scan_finished(&tree.root, state, self.options, cx.control)? else {
            return Ok(Standing::Over);
        };
        let standing = if scanned.stopped { Standing::Stopped } else { Standing::Continues };
        self.scanned = Some(scanned);
        Ok(standing)
    }

    /// Leaves everything: files that were replaced stay so, and the checkpoint is needed to settle what was begun.
    fn discard(&mut self, _cx: &Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn clear(&mut self, _cx: &Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn plan(&mut self, _cx: &Context<'_>, _begins: bool) -> Result<Option<Plan>, Error> {
        Ok(Some(Plan::new(self.root, self.options, self.now)))
    }

    fn begin(&mut self, cx: &Context<'_>, state: &mut RunState, last: Option<&RunState>) -> Result<(), Error> {
        self.open_under_lock(cx)?;
        let (mut ledger, _) = self.settle_begun(cx, last)?;
        ledger.begin_run(&state.run_id);
        ledger.append(LedgerEntry::Began {
            target: self.options.target().to_string(),
            now: self.now.to_string(),
            settings: state.rules.to_string(),
            mode: Some(state.rules.mode),
        })?;
        state.progress =
            Progress { now_nanos: self.now.as_nanosecond(), ledger: ledger.sync()?, ..Progress::default() };
        self.ledger = Some(ledger);
        Ok(())
    }

    fn settle(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<(), Error> {
        if state.stage != Stage::Running {
            return Ok(());
        }
        self.open_under_lock(cx)?;
        let (mut ledger, settled) = self.settle_begun(cx, Some(state))?;
        let files = settled.files.len() as u64;
        state.counts.migrated += files;
        state.records += files;
        state.progress.source_bytes += settled.source_bytes;
        state.progress.written_bytes += settled.written_bytes;
        state.progress.ledger = ledger.sync()?;
        self.ledger = Some(ledger);
        // These files are not behind the place: this attempt passes over them, and a later one finds them at the target.
        self.settled = settled.files;
        Ok(())
    }

    fn step(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        let replacer = Arc::new(self.replacer(cx, state)?);
        let ended = self.replace_files(cx, state, &replacer);
        // What was replaced counts, whatever the end.
        let mut accounting = replacer.accounting.lock();
        *state = accounting.state.clone();
        if ended? == Ended::Stopped {
            return Ok(Step::Stopped);
        }
        state.counts.check_sum(state.records)?;
        accounting.ledger.append(LedgerEntry::Ended { migrated: state.counts.migrated })?;
        state.progress.ledger = accounting.ledger.sync()?;
        Ok(Step::Reached(Stage::Published))
    }

    fn places(&self, _state: &RunState) -> Places {
        Places { source: self.root.to_path_buf(), target: self.root.to_path_buf() }
    }

    fn migrated(&self, state: &RunState) -> (u64, u64) {
        (state.records, state.progress.source_bytes)
    }

    fn summary(&self, _cx: &Context<'_>, state: &RunState) -> Result<Summary, Error> {
        let Progress { source_bytes, written_bytes, .. } = state.progress;
        let root = escape_name(self.root.as_os_str());
        Ok(Summary {
            source: root.clone(),
            target: root,
            source_bytes: SourceBytes { framed: source_bytes, total: source_bytes, ..SourceBytes::default() },
            written: [(MANIFESTS.to_owned(), written_bytes)].into(),
            digests: [("ledger".to_owned(), hex(&state.progress.ledger.digest))].into(),
            next: self.next(state),
            details: json!({
                "target_version": state.rules.target_version,
                "now": state.progress.now().to_string(),
            }),
            ..Summary::default()
        })
    }
}

impl ManifestMigration<'_> {
    fn next(&self, state: &RunState) -> Next {
        let root = shell_word(self.root);
        let rollback = format!("haul manifest rollback {root} --run {}", state.run_id);
        Next { verify: Some(format!("haul manifest verify {root}")), rollback: Some(rollback) }
    }

    fn replacer(&mut self, cx: &Context<'_>, state: &RunState) -> Result<Replacer, Error> {
        let findings = Findings::new(cx.directory.findings_path(), state.findings_bytes);
        let accounting = RunAccounting {
            state: state.clone(),
            findings: FindingsLog::open(&**cx.disk, &cx.directory.findings_path(), state.findings_bytes)?,
            findings_count: FindingsCount::of(&**cx.disk, &findings)?,
            ledger: self.ledger.take().expect("a run begins or is settled before its step"),
            checkpoint: cx.checkpoint.clone(),
        };
        let pending_max = cx.options.checkpoint_interval_records;
        Ok(Replacer::new(cx.disk.clone(), self.tree().clone(), accounting, pending_max))
    }

    fn replace_files(&mut self, cx: &Context<'_>, state: &RunState, replacer: &Arc<Replacer>) -> Result<Ended, Error> {
        let options = self.options;
        let settled = std::mem::take(&mut self.settled);
        let tree = self.tree();
        let places = (options.layout, options.manifest.as_deref());
        let place = state.progress.place.clone();
        let documents = Arc::new(DocumentReader::new(cx.options, options.transform.depth_max));
        let root: Arc<dyn ReadRoot> = cx.disk.root(self.root)?;
        let begun = (state.progress.now(), state.counts.migrated);
        let selector = Selector::of_migration(&root, options, &documents, begun)?;
        let ahead =
            Ahead { root: root.clone(), layout: options.layout, after: place.clone(), settled: settled.clone() };
        let reader = EntryReader::new(root, places, place, cx.options.batch_records)?
            .after_crash(settled, tree.root.clone())
            .selecting(selector);
        let stager = FileStager {
            tree: tree.clone(),
            transformer: options.transformer(state.progress.now())?,
            mode: options.transform.mode,
            break_links: options.break_links,
            named: self.named.clone(),
            documents,
        };
        let mut writer = GroupWriter::new(replacer.clone());
        let work = || run(reader, &stager, &mut writer, &cx.options.engine(), cx.control);
        // One file needs no counting.
        if options.manifest.is_some() { work() } else { ahead.counted_during(cx.control, work)? }
    }
}
