//! Backups of verified runs, removed once they are old enough.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::ledger::{Entry, Ledger, Position, Written, for_each_line};
use super::migrate::run_directory;
use super::state::CHECKPOINT_KIND;
use crate::durable::Disk;
use crate::migration::{Error, HeldRun};

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

/// Runs that were verified, ended, and began before `before`; with the lines that later runs still need.
struct Removable {
    runs: BTreeMap<String, Timestamp>,
    /// Backups that a run refers to which keeps its own.
    kept: HashSet<PathBuf>,
    /// Lines whose backups were removed before.
    removed: HashSet<u64>,
}

fn removable(disk: &dyn Disk, root: &Path, before: Timestamp) -> Result<Removable, Error> {
    let directory = run_directory(root);
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let mut removed = HashSet::new();
    for_each_line(disk, directory.path(), |line| {
        match line.entry {
            Entry::Verified => runs.entry(line.run).or_default().is_verified = true,
            Entry::Began { .. } => runs.entry(line.run.clone()).or_default().began_at = began_at(&line.run),
            Entry::Removed { line, .. } => _ = removed.insert(line),
            _ => {}
        }
        Ok(())
    })?;
    let old = |run: Run| run.began_at.filter(|&at| run.is_verified && at < before);
    let runs: BTreeMap<_, _> = runs.into_iter().filter_map(|(id, run)| Some((id, old(run)?))).collect();
    let mut kept = HashSet::new();
    for_each_line(disk, directory.path(), |line| {
        if let Entry::Written(written) = line.entry
            && !runs.contains_key(&line.run)
        {
            kept.extend(written.backup_path());
        }
        Ok(())
    })?;
    Ok(Removable { runs, kept, removed })
}

/// The instant in the id of a run.
fn began_at(run_id: &str) -> Option<Timestamp> {
    let (secs, nanos) = uuid::Uuid::parse_str(run_id).ok()?.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(secs).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// Shows `visit` every backup that can be removed.
fn for_each_backup(
    disk: &dyn Disk,
    root: &Path,
    removable: &Removable,
    mut visit: impl FnMut(&str, u64, Written, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let tree = disk.root(root)?;
    for_each_line(disk, run_directory(root).path(), |line| {
        let Entry::Written(written) = line.entry else { return Ok(()) };
        let backup = written.backup_path().unwrap_or_default();
        let is_wanted = removable.runs.contains_key(&line.run) && !removable.removed.contains(&line.number);
        if !is_wanted || removable.kept.contains(&backup) {
            return Ok(());
        }
        match tree.file_state(&backup)? {
            Some(state) => visit(&line.run, line.number, written, state.len_bytes),
            None => Ok(()),
        }
    })?;
    Ok(())
}

/// What can be removed of runs that began before `before`. Reads only.
pub fn clean_list(disk: &dyn Disk, root: &Path, before: Timestamp) -> Result<Vec<RunBackups>, Error> {
    let removable = removable(disk, root, before)?;
    let mut found: BTreeMap<String, RunBackups> = BTreeMap::new();
    for_each_backup(disk, root, &removable, |run, _, _, bytes| {
        let of_run = found.entry(run.to_owned()).or_insert_with(|| RunBackups {
            run_id: run.to_owned(),
            began_at: removable.runs[run].to_string(),
            backups: 0,
            bytes: 0,
        });
        of_run.backups += 1;
        of_run.bytes += bytes;
        Ok(())
    })?;
    Ok(found.into_values().collect())
}

/// Removes the backups of runs that began before `before`, and gives how many and their bytes. The ledger says so first.
pub fn clean(disk: Arc<dyn Disk>, root: &Path, before: Timestamp) -> Result<(u64, u64), Error> {
    let directory = run_directory(root);
    let Some(held) = HeldRun::open(&disk, &directory, CHECKPOINT_KIND)? else { return Ok((0, 0)) };
    let removable = removable(&*disk, root, before)?;
    let mut ledger = Ledger::open(&*disk, directory.path(), "", Position::START, |_| Ok(()))?;
    let (mut count, mut bytes, mut group) = (0, 0, Vec::new());
    for_each_backup(&*disk, root, &removable, |run, line, written, len_bytes| {
        group.push((run.to_owned(), line, written));
        count += 1;
        bytes += len_bytes;
        if group.len() < GROUP_FILES { Ok(()) } else { remove(&*disk, root, &mut ledger, &mut group) }
    })?;
    remove(&*disk, root, &mut ledger, &mut group)?;
    held.note(None, "cleaned", json!({ "backups": count, "bytes": bytes }))?;
    Ok((count, bytes))
}

fn remove(
    disk: &dyn Disk,
    root: &Path,
    ledger: &mut Ledger,
    group: &mut Vec<(String, u64, Written)>,
) -> Result<(), Error> {
    for (run, line, written) in group.iter() {
        ledger.begin_run(run);
        ledger.append(Entry::Removed { file: written.file.clone(), line: *line })?;
    }
    ledger.sync()?;
    let tree = disk.root(root)?;
    for (_, _, written) in group.drain(..) {
        let backup = written.backup_path().unwrap_or_default();
        let directory = tree.open_directory(backup.parent().unwrap_or(Path::new("")))?;
        match directory.remove_file(backup.file_name().unwrap_or_default()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(disk.file_system(root)?.sync()?)
}
