//! Compares the ledger with the files: each file and its backup must have the recorded bytes, unless a later line
//! explains the difference (docs/source-sigilzero.md, "Verification and index").

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::{FaultyFiles, VerifyEnd};
use crate::durable::{Disk, DiskError, ReadRoot, SourceNameKind};
use crate::manifest::accept::Accepted;
use crate::manifest::migrate::crash_recovery::digest_of;
use crate::manifest::migrate::evaluate::{disk_refusal, finding};
use crate::manifest::migrate::ledger::{
    FILE_NAME, LedgerEntry, LedgerPosition, NEXT_WITHOUT, WholeCheck, WrittenFile, file_text, for_each_line,
};
use crate::manifest::migrate::ledger_by_file::{LedgerByFile, NotedLine};
use crate::manifest::migrate::run_directory;
use crate::manifest::migrate::share::PathShare;
use crate::manifest::migrate::state::{CHECKPOINT_KIND, RunState};
use crate::manifest::tree::file_faults::BadSpots;
use crate::migration::{CheckpointFile, Error, LostFile, Severity, SortDirectory, Stage, check_stop};
use crate::pipeline::StopToken;

/// The tree whose ledger is verified.
pub struct Tree<'a> {
    pub disk: &'a Arc<dyn Disk>,
    pub root: &'a Path,
    pub files: &'a dyn ReadRoot,
    pub stop: &'a StopToken,
}

/// Which files of the ledger are verified.
pub struct Coverage<'a> {
    share: PathShare,
    /// Whether only files that were named are verified: what selected them does not show in their paths.
    is_by_file: bool,
    by_file: LedgerByFile<'a>,
}

impl<'a> Coverage<'a> {
    /// Covers a share of the files: all of it, or those that are named.
    pub fn new(share: PathShare, is_by_file: bool, sorts: &'a SortDirectory) -> Result<Self, Error> {
        Ok(Self { share, is_by_file, by_file: LedgerByFile::new(sorts)? })
    }

    /// Returns true if the files must be named.
    pub fn is_by_file(&self) -> bool {
        self.is_by_file
    }

    /// Names files.
    pub fn take(&mut self, files: &[PathBuf]) -> Result<(), Error> {
        let noted = NotedLine { line: 0, mark: NAMED, about: 0 };
        files.iter().try_for_each(|file| self.by_file.note(Path::new(&file_text(file)), noted))
    }
}

/// Compares the lines of the ledger with the files that are covered. Returns the runs that have ended and are to be marked
/// as verified, each with the lines to be excepted, because something is wrong with their files.
// Two passes: whether a line still counts depends on later lines of the same file.
pub fn verify_ledger(
    &Tree { disk, root, files: tree, stop }: &Tree<'_>,
    (accepted, mut faulty): (&Accepted, FaultyFiles),
    Coverage { share, is_by_file, mut by_file }: Coverage<'_>,
    sums: &mut VerifyEnd,
) -> Result<BTreeMap<String, Vec<u64>>, Error> {
    let directory = run_directory(root);
    let faulty_before = sums.findings.count.fatal;
    let checkpoint = match CheckpointFile::new(directory.path(), CHECKPOINT_KIND).load::<RunState>(&**disk) {
        Err(error @ Error::State { .. }) => {
            let next = error.next_step().unwrap_or_default();
            sums.findings.push(finding(Severity::Fatal, root, "E_STATE", format!("{error}; {next}")));
            None
        }
        loaded => loaded?,
    };
    let unfinished = checkpoint.as_ref().filter(|state| state.stage == Stage::Running);
    let begun_after = unfinished.map_or(u64::MAX, |state| state.progress.ledger.lines);
    let mut whole = WholeCheck::new(checkpoint.as_ref().map_or(LedgerPosition::START, |state| state.progress.ledger));
    let mut runs = EndedRuns::default();
    let end = for_each_line(&**disk, directory.path(), |line| {
        check_stop(stop)?;
        sums.ledger_lines += 1;
        whole.take(&line);
        let number = line.number;
        let (file, mark, about) = match line.entry {
            LedgerEntry::Written(written) => (written.file, WRITTEN, 0),
            LedgerEntry::Withdrawn { file, line } | LedgerEntry::Restored { file, line } => (file, UNDONE, line),
            LedgerEntry::Removed { file, line } => (file, BACKUP_REMOVED, line),
            LedgerEntry::Ended { .. } => return Ok(_ = runs.marks.insert(line.run, None)),
            LedgerEntry::Verified { except } => return Ok(_ = runs.marks.insert(line.run, Some(except))),
            LedgerEntry::Began { .. } | LedgerEntry::Accepted { .. } => return Ok(()),
        };
        by_file.note(Path::new(&file), NotedLine { line: number, mark, about })
    })?;
    let fault = whole.fault(&end);
    let is_whole = fault.is_none() && sums.findings.count.fatal == faulty_before;
    if let Some(what) = fault {
        let file = directory.path().join(FILE_NAME);
        let file = file.strip_prefix(root).unwrap_or(&file);
        sums.findings.push(finding(Severity::Fatal, file, "E_LEDGER", format!("{what}; {NEXT_WITHOUT}")));
    }
    if let Some(state) = checkpoint.as_ref().filter(|state| state.stage == Stage::Published) {
        for LostFile { path, what } in state.lost_files(&**disk, &directory)? {
            let path = path.strip_prefix(root).unwrap_or(&path);
            sums.findings.push(finding(Severity::Fatal, path, "E_STATE", what.into()));
        }
    }
    let mut check = WrittenCheck { tree, spots: BadSpots::default(), sums };
    let mut in_force = by_file.choose(choose_in_force)?;
    for_each_line(&**disk, directory.path(), |line| {
        check_stop(stop)?;
        let Some(mark) = in_force.mark(line.number)? else { return Ok(()) };
        let LedgerEntry::Written(written) = line.entry else { return Ok(()) };
        if accepted.is_after(&written.file, line.number) {
            return Ok(());
        }
        let is_named = !is_by_file || mark & IS_NAMED > 0;
        if !is_named || !share.covers(&written.path().unwrap_or_default()) {
            runs.leave_out(&line.run, line.number);
            return Ok(());
        }
        let is_begun = line.number > begun_after;
        if !check.verify(&written, line.number, mark, is_begun)? {
            faulty.add(&written.file);
        }
        if faulty.files.contains(&written.file) {
            runs.except(&line.run, line.number);
        }
        Ok(())
    })?;
    Ok(if is_whole && !faulty.are_too_many { runs.into_unmarked() } else { BTreeMap::new() })
}

/// The runs that have ended.
#[derive(Default)]
struct EndedRuns {
    /// The exceptions of the last mark, if there is one.
    marks: BTreeMap<String, Option<Vec<u64>>>,
    /// The exceptions that were found now.
    except: BTreeMap<String, Vec<u64>>,
    /// Runs with files that are not covered.
    in_part: BTreeSet<String>,
}

impl EndedRuns {
    fn except(&mut self, run: &str, line: u64) {
        self.except.entry(run.to_owned()).or_default().push(line);
    }

    /// Leaves out a line that is not covered: if the last mark excepts it, so does the next.
    fn leave_out(&mut self, run: &str, line: u64) {
        if let Some(Some(excepted)) = self.marks.get(run)
            && excepted.binary_search(&line).is_ok()
        {
            self.except(run, line);
        }
        if !self.in_part.contains(run) {
            self.in_part.insert(run.to_owned());
        }
    }

    /// Returns the runs without a mark, and those whose mark has other exceptions. One that was verified in part has to
    /// have a mark already.
    fn into_unmarked(mut self) -> BTreeMap<String, Vec<u64>> {
        let new = self.marks.into_iter().filter_map(|(run, mark)| {
            let except = self.except.remove(&run).unwrap_or_default();
            let is_new = mark.as_ref() != Some(&except) && (mark.is_some() || !self.in_part.contains(&run));
            is_new.then_some((run, except))
        });
        new.collect()
    }
}

// Marks of the first pass: what a line says about its file.
const WRITTEN: u8 = 0;
const UNDONE: u8 = 1;
const BACKUP_REMOVED: u8 = 2;
/// The file was named as covered.
const NAMED: u8 = 3;

// Marks of the second pass: what must exist for a line that was not undone.
const HAS_BACKUP: u8 = 1;
/// No later line has written the file.
const IS_LAST: u8 = 2;
/// The file was named as covered.
const IS_NAMED: u8 = 4;

fn choose_in_force(of_file: &[NotedLine], chosen: &mut Vec<(u64, u8)>) {
    let is = |mark, line| of_file.iter().any(|noted| noted.mark == mark && noted.about == line);
    // A line that undoes another one may itself be withdrawn, if the file could not be replaced.
    let is_undone = |line| {
        let mut undoing = of_file.iter().filter(|noted| noted.mark == UNDONE && noted.about == line);
        undoing.any(|noted| !is(UNDONE, noted.line))
    };
    let is_named = if of_file.iter().any(|noted| noted.mark == NAMED) { IS_NAMED } else { 0 };
    let mut is_last = IS_LAST;
    for written in of_file.iter().rev().filter(|noted| noted.mark == WRITTEN && !is_undone(noted.line)) {
        let has_backup = if is(BACKUP_REMOVED, written.line) { 0 } else { HAS_BACKUP };
        chosen.push((written.line, has_backup | is_last | is_named));
        is_last = 0;
    }
}

/// Compares files with lines of the ledger.
struct WrittenCheck<'a> {
    tree: &'a dyn ReadRoot,
    spots: BadSpots,
    sums: &'a mut VerifyEnd,
}

impl WrittenCheck<'_> {
    /// Returns false if the file or its backup cannot be read, or if the backup is not right. `is_begun` is true of a
    /// line whose replacement the next run finishes or withdraws.
    fn verify(&mut self, written: &WrittenFile, line: u64, mark: u8, is_begun: bool) -> Result<bool, Error> {
        let path = written.path().unwrap_or_default();
        let needs_backup = mark & HAS_BACKUP > 0;
        if needs_backup && self.is_gone(&path) {
            return Ok(self.verify_gone(&path, line));
        }
        let mut is_right = true;
        if mark & IS_LAST > 0 {
            match self.digest(&path)? {
                Err(()) => is_right = false,
                Ok(found) if found.as_ref() == Some(&written.after) => self.sums.ledger_files += 1,
                Ok(found) if is_begun && found.as_ref() == Some(&written.before) => self.sums.ledger_waiting += 1,
                Ok(None) if needs_backup => {
                    is_right = false;
                    let text =
                        format!("it is gone, and its directory is not: line {line} of the ledger names its backup");
                    self.sums.findings.push(finding(Severity::Fatal, &path, "E_GONE", text));
                }
                Ok(_) if needs_backup => {
                    let differs = format!("its bytes differ from line {line} of the ledger");
                    self.note(&path, "W_CHANGED", format!("{differs}: another program has written to it since"));
                }
                Ok(_) => {}
            }
        }
        Ok(is_right && (!needs_backup || self.verify_backup(written, line)?))
    }

    fn verify_backup(&mut self, written: &WrittenFile, line: u64) -> Result<bool, Error> {
        let backup = written.backup_path().unwrap_or_default();
        let Ok(found) = self.digest(&backup)? else { return Ok(false) };
        if found.as_ref() == Some(&written.before) {
            self.sums.backups += 1;
            return Ok(true);
        }
        let text = format!("this backup of line {line} of the ledger is missing or has different bytes");
        self.sums.findings.push(finding(Severity::Fatal, &backup, "E_BACKUP", text));
        Ok(false)
    }

    /// Notes a file that is gone with its directory. Returns false if nothing else of its job is there either: an
    /// application removes runs one by one, but a file system that is not mounted takes all of them along.
    fn verify_gone(&mut self, path: &Path, line: u64) -> bool {
        let job = job_of(path);
        if self.has_runs(job) {
            self.note(path, "W_GONE", format!("its directory was removed after line {line} of the ledger"));
            return true;
        }
        let text = format!(
            "it is gone with everything in {}, and line {line} of the ledger names its backup: mount what is missing, or \
             accept the file as gone with `haul manifest accept`",
            job.display()
        );
        self.sums.findings.push(finding(Severity::Fatal, path, "E_GONE", text));
        false
    }

    /// Returns true if there is a directory in the directory of a job. One that cannot be listed is a fault elsewhere.
    fn has_runs(&self, job: &Path) -> bool {
        let mut has_any = false;
        let listed = self.tree.names(job, &mut |_, kind| has_any |= kind == SourceNameKind::Directory);
        has_any || listed.is_err_and(|error| !is_absent(&error))
    }

    fn note(&mut self, path: &Path, code: &str, text: String) {
        self.sums.findings.push(finding(Severity::Note, path, code, text));
    }

    /// Returns the digest of a file, or `None` if there is none. A file that cannot be read is a finding.
    fn digest(&mut self, path: &Path) -> Result<Result<Option<String>, ()>, Error> {
        match self.spots.read(|| digest_of(self.tree, path))? {
            Ok(found) => Ok(Ok(found.map(|(digest, _)| digest))),
            Err(error) => {
                let refusal = disk_refusal(&error);
                self.sums.findings.push(finding(Severity::Fatal, path, refusal.code.name(), refusal.text));
                Ok(Err(()))
            }
        }
    }

    /// Returns true if a file is gone with its directory. The directory is looked for only if the file is absent.
    fn is_gone(&self, path: &Path) -> bool {
        let is_there = self.tree.file_state(path).is_ok_and(|state| state.is_some());
        let directory = path.parent().unwrap_or(path);
        !is_there && self.tree.names(directory, &mut |_, _| {}).is_err_and(|error| is_absent(&error))
    }
}

/// Returns the directory of the job of a file, or that of all jobs if the file is in no directory of a job.
fn job_of(path: &Path) -> &Path {
    let above: Vec<_> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    match above[..] {
        [.., job, _] if above.len() > 2 => job,
        [.., top] => top,
        [] => path,
    }
}

fn is_absent(error: &DiskError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
