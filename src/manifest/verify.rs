//! A tree read again: checksums from the history, shapes, snapshots, run ids, doctrine, and every line of the ledger
//! (§11).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::Registry;
use super::assess::{MANIFEST_BYTES_MAX, disk_refusal, finding};
use super::beside::Beside;
use super::by_file::{ByFile, Noted};
use super::examine::examine;
use super::ledger::{Entry, Ledger, Position, Written, for_each_line};
use super::migrate::run_directory;
use super::reader::EntryReader;
use super::run_options::MigrateOptions;
use super::scan::{Entry as Seen, Found};
use super::settle::digest_of;
use super::state::CHECKPOINT_KIND;
use crate::durable::{Disk, ReadRoot};
use crate::migration::{Error, Finding, FirstFindings, HeldRun, Severity, SortSpace};
use crate::pipeline::{Control, Converter, Ended, Event, NothingToCommit, Phase, Writer, run};

/// What a verification found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyEnd {
    /// Manifests that were read.
    pub manifests: u64,
    /// Of these, those whose last history record was recomputed and is right.
    pub checksums: u64,
    /// Those without snapshots, written before there were any: nothing is wrong with them (D11).
    pub legacy_no_snapshots: u64,
    /// Snapshot files that were hashed.
    pub snapshots: u64,
    /// Lines of the ledger.
    pub ledger_lines: u64,
    /// Files whose bytes are those that the ledger names.
    pub ledger_files: u64,
    /// Backups that are what the ledger says.
    pub backups: u64,
    /// Runs that are verified by this.
    pub verified_runs: u64,
    /// True if it was asked to stop.
    pub stopped: bool,
    /// Everything that is wrong.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// Reads every manifest, snapshot and backup of the tree again. A run of which nothing is wrong is marked as verified in
/// the ledger, where that can be written.
pub fn verify(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let tree: Arc<dyn ReadRoot> = disk.root(root)?;
    let reader = EntryReader::new(tree.clone(), (options.layout, None), Vec::new(), options.batch_records)?;
    let mut sums = VerifyEnd::default();
    let observer = control.observer;
    observer.observe(&Event::PhaseStarted { phase: Phase::Verify, records_expected: None, bytes_expected: None });
    let examiner = Examiner { root: &*tree, registry: &options.registry };
    let ended = run(reader, &examiner, &mut sums, &options.engine(), control)?;
    let runs = verify_ledger(&disk, root, &*tree, &mut sums)?;
    observer.observe(&Event::PhaseEnded { phase: Phase::Verify });
    sums.stopped = ended == Ended::Stopped;
    if !sums.stopped && sums.findings.count.fatal == 0 && !runs.is_empty() {
        sums.verified_runs = mark_verified(&disk, root, &runs)?;
    }
    Ok(sums)
}

/// Says in the ledger that the runs are verified, and of how many.
fn mark_verified(disk: &Arc<dyn Disk>, root: &Path, runs: &BTreeSet<String>) -> Result<u64, Error> {
    let directory = run_directory(root);
    let Some(_held) = HeldRun::create_if_writable(disk, &directory, CHECKPOINT_KIND)? else { return Ok(0) };
    let mut ledger = Ledger::open(&**disk, directory.path(), "", Position::START, |_| Ok(()))?;
    for run in runs {
        ledger.begin_run(run);
        ledger.append(Entry::Verified)?;
    }
    ledger.sync()?;
    Ok(runs.len() as u64)
}

/// Holds every line of the ledger against the files. Gives the runs that ended and are not marked as verified.
fn verify_ledger(
    disk: &Arc<dyn Disk>,
    root: &Path,
    tree: &dyn ReadRoot,
    sums: &mut VerifyEnd,
) -> Result<BTreeSet<String>, Error> {
    let directory = run_directory(root);
    let sorts = SortSpace::temporary(disk)?;
    let mut runs = BTreeSet::new();
    let mut by_file = ByFile::new(&sorts)?;
    for_each_line(&**disk, directory.path(), |line| {
        sums.ledger_lines += 1;
        let number = line.number;
        let (file, mark, about) = match line.entry {
            Entry::Written(written) => (written.file, WRITTEN, 0),
            Entry::Withdrawn { file, line } | Entry::Restored { file, line } => (file, UNDONE, line),
            Entry::Removed { file, line } => (file, BACKUP_REMOVED, line),
            Entry::Ended { .. } => return Ok(_ = runs.insert(line.run)),
            Entry::Verified => return Ok(_ = runs.remove(&line.run)),
            Entry::Began { .. } => return Ok(()),
        };
        by_file.note(Path::new(&file), Noted { line: number, mark, about })
    })?;
    let mut in_force = by_file.choose(choose_in_force)?;
    for_each_line(&**disk, directory.path(), |line| {
        let Some(mark) = in_force.mark(line.number)? else { return Ok(()) };
        let Entry::Written(written) = line.entry else { return Ok(()) };
        verify_written(tree, &written, line.number, mark, sums)
    })?;
    Ok(runs)
}

// What is noted of a line.
const WRITTEN: u8 = 0;
const UNDONE: u8 = 1;
const BACKUP_REMOVED: u8 = 2;

// What the files must be for a line that was not undone.
const HAS_BACKUP: u8 = 1;
/// No later line wrote the file.
const IS_LAST: u8 = 2;

fn choose_in_force(of_file: &[Noted], chosen: &mut Vec<(u64, u8)>) {
    let is = |mark, line| of_file.iter().any(|noted| noted.mark == mark && noted.about == line);
    let mut is_last = IS_LAST;
    for written in of_file.iter().rev().filter(|noted| noted.mark == WRITTEN && !is(UNDONE, noted.line)) {
        let has_backup = if is(BACKUP_REMOVED, written.line) { 0 } else { HAS_BACKUP };
        chosen.push((written.line, has_backup | is_last));
        is_last = 0;
    }
}

fn verify_written(
    tree: &dyn ReadRoot,
    written: &Written,
    line: u64,
    mark: u8,
    sums: &mut VerifyEnd,
) -> Result<(), Error> {
    let path = written.path().unwrap_or_default();
    if mark & IS_LAST > 0 {
        if is_content(tree, &path, &written.after)? {
            sums.ledger_files += 1;
        } else if mark & HAS_BACKUP > 0 {
            let text = format!("its bytes are not those of line {line} of the ledger: it was written to since");
            sums.findings.push(finding(Severity::Note, &path, "W_CHANGED", text));
        }
    }
    if mark & HAS_BACKUP > 0 {
        let backup = written.backup_path().unwrap_or_default();
        if is_content(tree, &backup, &written.before)? {
            sums.backups += 1;
        } else {
            let text = format!("this backup of line {line} of the ledger is missing or has other bytes");
            sums.findings.push(finding(Severity::Fatal, &backup, "E_BACKUP", text));
        }
    }
    Ok(())
}

fn is_content(tree: &dyn ReadRoot, path: &Path, digest: &str) -> Result<bool, Error> {
    Ok(digest_of(tree, path)?.is_some_and(|(found, _)| found == digest))
}

struct Examiner<'a> {
    root: &'a dyn ReadRoot,
    registry: &'a Registry,
}

/// What was found of some files.
#[derive(Debug, Default)]
pub struct Examined {
    /// See [`VerifyEnd::manifests`].
    pub manifests: u64,
    /// See [`VerifyEnd::checksums`].
    pub checksums: u64,
    /// See [`VerifyEnd::legacy_no_snapshots`].
    pub legacy_no_snapshots: u64,
    /// See [`VerifyEnd::snapshots`].
    pub snapshots: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Converter for Examiner<'_> {
    type Batch = Vec<Seen>;
    type Output = Examined;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<Seen>) -> Result<Examined, Error> {
        let mut examined = Examined::default();
        for Seen { path, found } in entries {
            let error = match found {
                Found::PassedOver(_) | Found::Leftover => continue,
                Found::Unreadable(error) => error,
                Found::Manifest => match self.root.read_file(&path, MANIFEST_BYTES_MAX, scratch) {
                    Ok(_) => {
                        examined.manifests += 1;
                        let beside = Beside { root: self.root, manifest: &path };
                        examine(scratch, &path, &beside, self.registry, &mut examined);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            let refusal = disk_refusal(&error);
            examined.findings.push(finding(Severity::Fatal, &path, refusal.code.name(), refusal.text));
        }
        Ok(examined)
    }
}

impl Writer for VerifyEnd {
    type Output = Examined;
    type Error = Error;
    type Commit = NothingToCommit<Error>;

    fn write(&mut self, examined: Examined) -> Result<(), Error> {
        self.manifests += examined.manifests;
        self.checksums += examined.checksums;
        self.legacy_no_snapshots += examined.legacy_no_snapshots;
        self.snapshots += examined.snapshots;
        examined.findings.into_iter().for_each(|finding| self.findings.push(finding));
        Ok(())
    }

    fn commit_point(&mut self) -> Result<NothingToCommit<Error>, Error> {
        Ok(NothingToCommit::default())
    }
}
