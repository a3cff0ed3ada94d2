//! Backups of verified runs, removed once they are old enough.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::migrate::ledger::{
    FILE_NAME, Ledger, LedgerEntry, LedgerPosition, WholeCheck, WrittenFile, damaged, for_each_line,
};
use super::migrate::ledger_by_file::{ChosenLines, LedgerByFile, NotedLine};
use super::migrate::run_directory;
use super::migrate::state::{CHECKPOINT_KIND, RunState, name_ledger_end};
use super::tree::writable::WritableTree;
use crate::durable::Disk;
use crate::migration::{CheckpointFile, Durability, Error, LastRun, LockedRun, SortDirectory};

/// Files whose backups are removed together.
const GROUP_FILES: usize = 4096;

/// What can be removed of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunBackups {
    /// The run.
    pub run_id: String,
    /// When it began.
    pub began_at: String,
    /// Backups that are there.
    pub backups: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A run as the ledger tells of it.
#[derive(Default)]
struct Run {
    is_verified: bool,
    began_at: Option<Timestamp>,
}

/// Runs that were verified, ended, and began before an instant, and the lines whose backups no other run needs. What
/// the ledger calls removed is removed again: a crash may have kept it.
struct Removable {
    runs: BTreeMap<String, Timestamp>,
    lines: ChosenLines,
}

// What is noted of a line: whose its backup is.
const OF_OLD_RUN: u8 = 0;
const OF_KEPT_RUN: u8 = 1;

// Of lines that have one backup in common, the last removes it: until then each finds that it is there.
const EARLIER: u8 = 0;
const LAST: u8 = 1;

fn removable(disk: &dyn Disk, root: &Path, before: Timestamp, sorts: &SortDirectory) -> Result<Removable, Error> {
    let directory = run_directory(root);
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let state = LastRun::<RunState>::load(disk, &CheckpointFile::new(directory.path(), CHECKPOINT_KIND))?;
    let known = if let LastRun::Known(state) = state { state.progress.ledger } else { LedgerPosition::START };
    let mut whole = WholeCheck::new(known);
    let end = for_each_line(disk, directory.path(), |line| {
        whole.take(&line);
        match line.entry {
            LedgerEntry::Verified => runs.entry(line.run).or_default().is_verified = true,
            LedgerEntry::Began { .. } => runs.entry(line.run.clone()).or_default().began_at = began_at(&line.run),
            _ => {}
        }
        Ok(())
    })?;
    if let Some(what) = whole.fault(&end) {
        // The lines that are missing may need these backups.
        return Err(damaged(&directory.path().join(FILE_NAME), end.len_bytes, what));
    }
    let old = |run: Run| run.began_at.filter(|&at| run.is_verified && at < before);
    let runs: BTreeMap<_, _> = runs.into_iter().filter_map(|(id, run)| Some((id, old(run)?))).collect();
    let mut by_backup = LedgerByFile::new(sorts)?;
    for_each_line(disk, directory.path(), |line| {
        let LedgerEntry::Written(written) = line.entry else { return Ok(()) };
        let mark = if runs.contains_key(&line.run) { OF_OLD_RUN } else { OF_KEPT_RUN };
        let backup = written.backup_path().unwrap_or_default();
        by_backup.note(&backup, NotedLine { line: line.number, mark, about: 0 })
    })?;
    let lines = by_backup.choose(|of_backup, chosen| {
        if of_backup.iter().all(|noted| noted.mark == OF_OLD_RUN) {
            let marks = std::iter::once(LAST).chain(std::iter::repeat(EARLIER));
            chosen.extend(of_backup.iter().rev().zip(marks).map(|(noted, mark)| (noted.line, mark)));
        }
    })?;
    Ok(Removable { runs, lines })
}

/// The instant in the id of a run.
fn began_at(run_id: &str) -> Option<Timestamp> {
    let (secs, nanos) = uuid::Uuid::parse_str(run_id).ok()?.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(secs).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// A line of the ledger whose backup can be removed.
struct Line {
    run: String,
    number: u64,
    written: WrittenFile,
    /// Length of the backup; `None` if a later line names it too.
    len_bytes: Option<u64>,
}

/// Shows `visit` every line whose backup is there and can be removed.
fn for_each_backup(
    disk: &dyn Disk,
    root: &Path,
    lines: &mut ChosenLines,
    mut visit: impl FnMut(Line) -> Result<(), Error>,
) -> Result<(), Error> {
    let tree = disk.root(root)?;
    for_each_line(disk, run_directory(root).path(), |line| {
        let Some(mark) = lines.mark(line.number)? else { return Ok(()) };
        let LedgerEntry::Written(written) = line.entry else { return Ok(()) };
        let Some(state) = tree.file_state(&written.backup_path().unwrap_or_default())? else { return Ok(()) };
        let len_bytes = (mark == LAST).then_some(state.len_bytes);
        visit(Line { run: line.run, number: line.number, written, len_bytes })
    })?;
    Ok(())
}

/// What can be removed of runs that began before `before`. Reads only.
pub fn clean_list(disk: &Arc<dyn Disk>, root: &Path, before: Timestamp) -> Result<Vec<RunBackups>, Error> {
    let sorts = SortDirectory::temporary(disk)?;
    let Removable { runs, mut lines } = removable(&**disk, root, before, &sorts)?;
    let mut found: BTreeMap<String, RunBackups> = BTreeMap::new();
    for_each_backup(&**disk, root, &mut lines, |line| {
        let Some(bytes) = line.len_bytes else { return Ok(()) };
        let began_at = runs.get(&line.run).map(Timestamp::to_string).unwrap_or_default();
        let nothing = RunBackups { run_id: line.run.clone(), began_at, backups: 0, bytes: 0 };
        let of_run = found.entry(line.run).or_insert(nothing);
        of_run.backups += 1;
        of_run.bytes += bytes;
        Ok(())
    })?;
    Ok(found.into_values().collect())
}

/// Removes the backups of runs that began before `before`, and gives how many and their bytes. The ledger says so
/// first.
pub fn clean(disk: Arc<dyn Disk>, root: &Path, before: Timestamp) -> Result<(u64, u64), Error> {
    let directory = run_directory(root);
    let Some(held) = LockedRun::open(&disk, &directory, CHECKPOINT_KIND)? else { return Ok((0, 0)) };
    let sorts = SortDirectory::temporary(&disk)?;
    let mut removable = removable(&*disk, root, before, &sorts)?;
    let mut ledger = Ledger::open(&*disk, directory.path(), "", LedgerPosition::START, |_| Ok(()))?;
    let tree = WritableTree::open(&*disk, root, Durability::Group)?;
    let (mut count, mut bytes, mut group) = (0, 0, Vec::new());
    for_each_backup(&*disk, root, &mut removable.lines, |line| {
        count += u64::from(line.len_bytes.is_some());
        bytes += line.len_bytes.unwrap_or(0);
        group.push(line);
        if group.len() < GROUP_FILES { Ok(()) } else { remove(&tree, &mut ledger, &mut group) }
    })?;
    remove(&tree, &mut ledger, &mut group)?;
    name_ledger_end(&*disk, &held, ledger.sync()?)?;
    held.note(None, "cleaned", json!({ "backups": count, "bytes": bytes }))?;
    Ok((count, bytes))
}

fn remove(tree: &WritableTree, ledger: &mut Ledger, group: &mut Vec<Line>) -> Result<(), Error> {
    for line in group.iter() {
        ledger.begin_run(&line.run);
        ledger.append(LedgerEntry::Removed { file: line.written.file.clone(), line: line.number })?;
    }
    ledger.sync()?;
    for line in group.drain(..).filter(|line| line.len_bytes.is_some()) {
        let backup = line.written.backup_path().unwrap_or_default();
        let directory = tree.directory_of(&backup)?;
        match directory.remove_file(backup.file_name().unwrap_or_default()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        tree.sync_names(&*directory)?;
    }
    Ok(tree.sync()?)
}
