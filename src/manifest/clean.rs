//! Backups of verified runs, removed once they are old enough.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::accept::Accepted;
use super::migrate::evaluate::{NotReplaced, finding};
use super::migrate::ledger::{Ledger, LedgerEntry, LedgerPosition, WrittenFile, for_each_line};
use super::migrate::ledger_by_file::{ChosenLines, LedgerByFile, NotedLine};
use super::migrate::state::{CHECKPOINT_KIND, for_each_line_of_whole, name_ledger_end};
use super::migrate::{disk_of_tree, run_directory};
use super::runs::began_at;
use super::still_whole::StillWhole;
use super::tree::file_faults::concerns_one_file;
use super::tree::writable::WritableTree;
use crate::durable::Disk;
use crate::migration::{Durability, Error, FirstFindings, LockedRun, Severity, SortDirectory};

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

/// Backups of one run that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptBackups {
    /// The run.
    pub run_id: String,
    /// Backups that are there.
    pub backups: u64,
    /// Why they are kept.
    pub why: KeptWhy,
}

/// Why backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptWhy {
    /// No verification of the run was completed since it ended.
    NotVerified,
    /// The run began too short a time ago.
    TooYoung,
    /// The last verification found a fault in the file or in its backup.
    Faulty,
    /// The file is no longer what was verified.
    Changed,
    /// A run whose backups are kept has the same one.
    Shared,
}

/// What a clean-up would remove, and what it would keep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CleanList {
    /// Backups that can be removed, by run.
    pub runs: Vec<RunBackups>,
    /// Backups that are kept, by run and reason.
    pub kept: Vec<KeptBackups>,
}

/// What a clean-up has removed.
#[derive(Debug, Clone, Default)]
pub struct CleanEnd {
    /// Number of backups.
    pub backups: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Backups that cannot be removed.
    pub findings: FirstFindings,
}

/// A run as the ledger tells of it.
#[derive(Default)]
struct Run {
    is_verified: bool,
    except: BTreeSet<u64>,
    began_at: Option<Timestamp>,
}

/// What the ledger says of runs and of their backups. What it calls removed is removed again: a crash may have kept it.
struct Removable {
    runs: BTreeMap<String, Run>,
    accepted: Accepted,
    /// The lines whose backups no kept line needs.
    lines: ChosenLines,
}

// What is noted of a line: whether its backup may go.
const MAY_GO: u8 = 0;
const IS_KEPT: u8 = 1;

// Of lines that have one backup in common, the last removes it: until then each finds that it is there.
const EARLIER: u8 = 0;
const LAST: u8 = 1;

fn removable(disk: &dyn Disk, root: &Path, before: Timestamp, sorts: &SortDirectory) -> Result<Removable, Error> {
    let directory = run_directory(root);
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let mut accepted = Accepted::default();
    // The lines that are missing may need these backups.
    for_each_line_of_whole(disk, directory.path(), |line| {
        accepted.take(&line);
        match line.entry {
            LedgerEntry::Verified { except } => {
                let run = runs.entry(line.run).or_default();
                (run.is_verified, run.except) = (true, except.into_iter().collect());
            }
            LedgerEntry::Began { .. } => runs.entry(line.run.clone()).or_default().began_at = began_at(&line.run),
            _ => {}
        }
        Ok(())
    })?;
    let mut by_backup = LedgerByFile::new(sorts)?;
    for_each_line(disk, directory.path(), |line| {
        let LedgerEntry::Written(written) = &line.entry else { return Ok(()) };
        let why = why_kept(runs.get(&line.run), before, &accepted, (line.number, &written.file));
        let mark = if why.is_some() { IS_KEPT } else { MAY_GO };
        let backup = written.backup_path().unwrap_or_default();
        by_backup.note(&backup, NotedLine { line: line.number, mark, about: 0 })
    })?;
    let lines = by_backup.choose(|of_backup, chosen| {
        if of_backup.iter().all(|noted| noted.mark == MAY_GO) {
            let marks = std::iter::once(LAST).chain(std::iter::repeat(EARLIER));
            chosen.extend(of_backup.iter().rev().zip(marks).map(|(noted, mark)| (noted.line, mark)));
        }
    })?;
    Ok(Removable { runs, accepted, lines })
}

/// Returns why the backup of a line is kept, or `None` if it may go as far as its own run is concerned.
fn why_kept(run: Option<&Run>, before: Timestamp, accepted: &Accepted, (line, file): (u64, &str)) -> Option<KeptWhy> {
    let Some(run) = run.filter(|run| run.is_verified) else { return Some(KeptWhy::NotVerified) };
    if run.began_at.is_none_or(|began_at| began_at >= before) {
        return Some(KeptWhy::TooYoung);
    }
    (run.except.contains(&line) && !accepted.is_after(file, line)).then_some(KeptWhy::Faulty)
}

/// A line of the ledger whose backup can be removed.
struct Line {
    run: String,
    number: u64,
    written: WrittenFile,
    /// Length of the backup; `None` if a later line names it too.
    len_bytes: Option<u64>,
}

/// Whether a backup that is there goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Goes,
    /// It is all that is left of a file which has changed since it was verified.
    KeptAsChanged,
    /// The ledger says why.
    Kept,
}

/// Shows `visit` every line whose backup is there, and whether it is removed.
fn for_each_backup(
    disk: &dyn Disk,
    root: &Path,
    (lines, accepted): (&mut ChosenLines, &Accepted),
    mut visit: impl FnMut(Line, Verdict) -> Result<(), Error>,
) -> Result<(), Error> {
    let tree = disk.root(root)?;
    let mut whole = StillWhole::new(&*tree, accepted);
    for_each_line(disk, run_directory(root).path(), |line| {
        let mark = lines.mark(line.number)?;
        let LedgerEntry::Written(written) = line.entry else { return Ok(()) };
        let state = match tree.file_state(&written.backup_path().unwrap_or_default()) {
            // What cannot be looked at cannot be removed either.
            Err(error) if concerns_one_file(&error) => None,
            found => found?,
        };
        let Some(state) = state else { return Ok(()) };
        let len_bytes = (mark != Some(EARLIER)).then_some(state.len_bytes);
        let verdict = match mark {
            None => Verdict::Kept,
            Some(_) if whole.check(&written)? => Verdict::Goes,
            Some(_) => Verdict::KeptAsChanged,
        };
        visit(Line { run: line.run, number: line.number, written, len_bytes }, verdict)
    })?;
    Ok(())
}

/// What can be removed of runs that began before `before`, and what is kept. Reads only.
pub fn clean_list(disk: &Arc<dyn Disk>, root: &Path, before: Timestamp) -> Result<CleanList, Error> {
    let sorts = SortDirectory::temporary(disk)?;
    let Removable { runs, accepted, mut lines } = removable(&**disk, root, before, &sorts)?;
    let mut found: BTreeMap<String, RunBackups> = BTreeMap::new();
    let mut kept: BTreeMap<(String, KeptWhy), u64> = BTreeMap::new();
    for_each_backup(&**disk, root, (&mut lines, &accepted), |line, verdict| {
        let run = runs.get(&line.run);
        if verdict != Verdict::Goes {
            let why = match verdict {
                Verdict::KeptAsChanged => KeptWhy::Changed,
                _ => why_kept(run, before, &accepted, (line.number, &line.written.file)).unwrap_or(KeptWhy::Shared),
            };
            *kept.entry((line.run, why)).or_default() += 1;
            return Ok(());
        }
        let Some(bytes) = line.len_bytes else { return Ok(()) };
        let began_at = run.and_then(|run| run.began_at).map_or_else(String::new, |at| at.to_string());
        let nothing = RunBackups { run_id: line.run.clone(), began_at, backups: 0, bytes: 0 };
        let of_run = found.entry(line.run).or_insert(nothing);
        of_run.backups += 1;
        of_run.bytes += bytes;
        Ok(())
    })?;
    let kept = kept.into_iter().map(|((run_id, why), backups)| KeptBackups { run_id, backups, why }).collect();
    Ok(CleanList { runs: found.into_values().collect(), kept })
}

/// Removes the backups of runs that began before `before`. The ledger says so first.
pub fn clean(disk: Arc<dyn Disk>, root: &Path, before: Timestamp) -> Result<CleanEnd, Error> {
    let disk = disk_of_tree(&disk, root)?;
    let directory = run_directory(root);
    let mut end = CleanEnd::default();
    let Some(held) = LockedRun::open(&disk, &directory, CHECKPOINT_KIND)? else { return Ok(end) };
    let disk = held.disk.clone();
    let sorts = SortDirectory::temporary(&disk)?;
    let Removable { accepted, mut lines, .. } = removable(&*disk, root, before, &sorts)?;
    let mut ledger = Ledger::open(&*disk, directory.path(), "", LedgerPosition::START, |_| Ok(()))?;
    let tree = WritableTree::open(&*disk, root, Durability::Group)?;
    let mut group = Vec::new();
    for_each_backup(&*disk, root, (&mut lines, &accepted), |line, verdict| {
        if verdict == Verdict::Goes {
            group.push(line);
        }
        if group.len() < GROUP_FILES { Ok(()) } else { remove(&tree, &mut ledger, &mut group, &mut end) }
    })?;
    remove(&tree, &mut ledger, &mut group, &mut end)?;
    name_ledger_end(&*disk, &held, ledger.sync()?)?;
    held.note(None, "cleaned", json!({ "backups": end.backups, "bytes": end.bytes }))?;
    Ok(end)
}

fn remove(tree: &WritableTree, ledger: &mut Ledger, group: &mut Vec<Line>, end: &mut CleanEnd) -> Result<(), Error> {
    for line in group.iter() {
        ledger.begin_run(&line.run);
        ledger.append(LedgerEntry::Removed { file: line.written.file.clone(), line: line.number })?;
    }
    ledger.sync()?;
    for line in group.drain(..) {
        let Some(len_bytes) = line.len_bytes else { continue };
        let backup = line.written.backup_path().unwrap_or_default();
        match remove_backup(tree, &backup) {
            Ok(()) => {
                end.backups += 1;
                end.bytes += len_bytes;
            }
            Err(NotReplaced::Refused(refusal)) => {
                end.findings.push(finding(Severity::Refused, &backup, refusal.code.name(), refusal.text));
            }
            Err(NotReplaced::Failed(error)) => return Err(error.into()),
        }
    }
    Ok(tree.sync()?)
}

fn remove_backup(tree: &WritableTree, backup: &Path) -> Result<(), NotReplaced> {
    let directory = tree.directory_of(backup)?;
    match directory.remove_file(backup.file_name().unwrap_or_default()) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed?,
    }
    directory.sync_names().map_err(NotReplaced::Failed)
}
