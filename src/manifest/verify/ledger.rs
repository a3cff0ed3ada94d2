//! Compares the ledger with the files: each file and its backup must have the recorded bytes, unless a later line
//! explains the difference (docs/source-sigilzero.md, "Verification and index").

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::report::VerifyEnd;
use crate::durable::{Disk, ReadRoot};
use crate::manifest::migrate::crash_recovery::digest_of;
use crate::manifest::migrate::evaluate::finding;
use crate::manifest::migrate::ledger::{
    FILE_NAME, LedgerEntry, LedgerPosition, NEXT_WITHOUT, WholeCheck, WrittenFile, for_each_line,
};
use crate::manifest::migrate::ledger_by_file::{LedgerByFile, NotedLine};
use crate::manifest::migrate::run_directory;
use crate::manifest::migrate::state::{CHECKPOINT_KIND, RunState};
use crate::migration::{CheckpointFile, Error, Severity, SortDirectory, Stage};

/// Compares every line of the ledger with the files. Returns the runs that have ended and are not marked as verified.
// Two passes: whether a line still counts depends on later lines of the same file.
pub fn verify_ledger(
    disk: &Arc<dyn Disk>,
    root: &Path,
    tree: &dyn ReadRoot,
    sums: &mut VerifyEnd,
) -> Result<BTreeSet<String>, Error> {
    let directory = run_directory(root);
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
    let sorts = SortDirectory::temporary(disk)?;
    let mut runs = BTreeSet::new();
    let mut by_file = LedgerByFile::new(&sorts)?;
    let end = for_each_line(&**disk, directory.path(), |line| {
        sums.ledger_lines += 1;
        whole.take(&line);
        let number = line.number;
        let (file, mark, about) = match line.entry {
            LedgerEntry::Written(written) => (written.file, WRITTEN, 0),
            LedgerEntry::Withdrawn { file, line } | LedgerEntry::Restored { file, line } => (file, UNDONE, line),
            LedgerEntry::Removed { file, line } => (file, BACKUP_REMOVED, line),
            LedgerEntry::Ended { .. } => return Ok(_ = runs.insert(line.run)),
            LedgerEntry::Verified => return Ok(_ = runs.remove(&line.run)),
            LedgerEntry::Began { .. } => return Ok(()),
        };
        by_file.note(Path::new(&file), NotedLine { line: number, mark, about })
    })?;
    if let Some(what) = whole.fault(&end) {
        let file = directory.path().join(FILE_NAME);
        let file = file.strip_prefix(root).unwrap_or(&file);
        sums.findings.push(finding(Severity::Fatal, file, "E_LEDGER", format!("{what}; {NEXT_WITHOUT}")));
    }
    let mut in_force = by_file.choose(choose_in_force)?;
    for_each_line(&**disk, directory.path(), |line| {
        let Some(mark) = in_force.mark(line.number)? else { return Ok(()) };
        let LedgerEntry::Written(written) = line.entry else { return Ok(()) };
        let is_begun = line.number > begun_after;
        verify_written(tree, &written, (line.number, is_begun), mark, sums)
    })?;
    Ok(runs)
}

// Marks of the first pass: what a line says about its file.
const WRITTEN: u8 = 0;
const UNDONE: u8 = 1;
const BACKUP_REMOVED: u8 = 2;

// Marks of the second pass: what must exist for a line that was not undone.
const HAS_BACKUP: u8 = 1;
/// No later line has written the file.
const IS_LAST: u8 = 2;

fn choose_in_force(of_file: &[NotedLine], chosen: &mut Vec<(u64, u8)>) {
    let is = |mark, line| of_file.iter().any(|noted| noted.mark == mark && noted.about == line);
    // A line that undoes another one may itself be withdrawn, if the file could not be replaced.
    let is_undone = |line| {
        let mut undoing = of_file.iter().filter(|noted| noted.mark == UNDONE && noted.about == line);
        undoing.any(|noted| !is(UNDONE, noted.line))
    };
    let mut is_last = IS_LAST;
    for written in of_file.iter().rev().filter(|noted| noted.mark == WRITTEN && !is_undone(noted.line)) {
        let has_backup = if is(BACKUP_REMOVED, written.line) { 0 } else { HAS_BACKUP };
        chosen.push((written.line, has_backup | is_last));
        is_last = 0;
    }
}

/// `is_begun` is true of a line whose replacement the next run finishes or withdraws.
fn verify_written(
    tree: &dyn ReadRoot,
    written: &WrittenFile,
    (line, is_begun): (u64, bool),
    mark: u8,
    sums: &mut VerifyEnd,
) -> Result<(), Error> {
    let path = written.path().unwrap_or_default();
    if mark & IS_LAST > 0 {
        if is_content(tree, &path, &written.after)? {
            sums.ledger_files += 1;
        } else if is_begun && is_content(tree, &path, &written.before)? {
            sums.ledger_waiting += 1;
        } else if mark & HAS_BACKUP > 0 {
            let text =
                format!("its bytes differ from line {line} of the ledger: another program has written to it since");
            sums.findings.push(finding(Severity::Note, &path, "W_CHANGED", text));
        }
    }
    if mark & HAS_BACKUP > 0 {
        let backup = written.backup_path().unwrap_or_default();
        if is_content(tree, &backup, &written.before)? {
            sums.backups += 1;
        } else {
            let text = format!("this backup of line {line} of the ledger is missing or has different bytes");
            sums.findings.push(finding(Severity::Fatal, &backup, "E_BACKUP", text));
        }
    }
    Ok(())
}

fn is_content(tree: &dyn ReadRoot, path: &Path, digest: &str) -> Result<bool, Error> {
    Ok(digest_of(tree, path)?.is_some_and(|(found, _)| found == digest))
}
