//! Removing what no run and no reader needs any more: listed first, removed under the lock.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincode::Decode;
use serde::Serialize;
use serde_json::json;

use super::checkpoint::Kind;
use super::{CheckpointFile, Error, LockedRun, RunDirectory, RunState, serialize_path};
use crate::durable::{Disk, DiskError, EntryKind, FaultClass, directory_bytes, parent_of, remove_tree};

/// The file that marks a directory in which samples of an estimate are.
pub const SCRATCH_MARK: &str = ".haul-run";

/// Something that can be removed. `K` says what it is, in the words of its room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CleanItem<K> {
    /// Where it is.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// What it is.
    pub kind: K,
    /// Bytes that its removal gives back.
    pub bytes: u64,
    /// True if a run could still resume from it.
    pub loses_work: bool,
    /// True if the checkpoint describes it and goes first.
    pub with_checkpoint: bool,
}

/// What a clean-up has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cleaned {
    /// Bytes that were given back.
    pub bytes: u64,
    /// What could not be removed.
    pub left: Vec<LeftBehind>,
}

/// Something that a clean-up could not remove, or not as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// Where it was when the clean-up began.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// What is in the way, with the path of the entry.
    pub reason: String,
}

/// What the checkpoint tells of the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastRun<T> {
    /// There is none.
    None,
    /// Its state.
    Known(Box<T>),
    /// There is a checkpoint, perhaps of a newer version: what it describes may be of use.
    Unreadable,
}

impl<T: Decode<()>> LastRun<T> {
    /// Reads the checkpoint.
    pub fn load(disk: &dyn Disk, checkpoint: &CheckpointFile) -> Result<Self, Error> {
        match checkpoint.load(disk) {
            Ok(None) => Ok(Self::None),
            Ok(Some(state)) => Ok(Self::Known(Box::new(state))),
            Err(Error::State { .. }) => Ok(Self::Unreadable),
            Err(error) => Err(error),
        }
    }
}

/// Of what lies there: whether work is lost with it, and whether the checkpoint describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemovalCost {
    /// See [`CleanItem::loses_work`].
    pub loses_work: bool,
    /// See [`CleanItem::with_checkpoint`].
    pub with_checkpoint: bool,
}

impl RemovalCost {
    /// What only an unreadable checkpoint could tell the worth of.
    pub const UNKNOWN: Self = Self { loses_work: true, with_checkpoint: false };
}

/// Collects what can be removed.
pub struct CleanList<'a, K> {
    disk: &'a dyn Disk,
    items: Vec<CleanItem<K>>,
}

impl<'a, K> CleanList<'a, K> {
    /// An empty list of what lies on `disk`.
    pub fn new(disk: &'a dyn Disk) -> Self {
        Self { disk, items: Vec::new() }
    }

    /// Adds what lies at `path`, if anything does.
    pub fn add(&mut self, path: PathBuf, kind: K, worth: RemovalCost) -> Result<(), Error> {
        if self.disk.kind(&path)?.is_some() {
            let bytes = directory_bytes(self.disk, &path)?;
            let RemovalCost { loses_work, with_checkpoint } = worth;
            self.items.push(CleanItem { path, kind, bytes, loses_work, with_checkpoint });
        }
        Ok(())
    }

    /// Adds the entries of `directory` that a writer died over: those whose names begin with a dot, end with `.tmp`, and
    /// are of that kind and `is_ours`.
    pub fn add_temporary(
        &mut self,
        directory: &Path,
        entry_kind: EntryKind,
        kind: K,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<(), Error>
    where
        K: Copy,
    {
        if self.disk.kind(directory)?.is_none() {
            return Ok(());
        }
        let is_temporary = |name: &OsStr| {
            name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp") && is_ours(name))
        };
        for entry in self.disk.list(directory)? {
            if entry.kind == entry_kind && is_temporary(&entry.name) {
                self.add(directory.join(entry.name), kind, RemovalCost::default())?;
            }
        }
        Ok(())
    }

    /// Adds the directories in `directory` that an estimate died over, if their names are `is_ours`: those that have its
    /// mark, and empty ones. They are empty before they get the mark, and just before they go.
    pub fn add_scratch(&mut self, directory: &Path, kind: K, is_ours: impl Fn(&str) -> bool) -> Result<(), Error>
    where
        K: Copy,
    {
        let disk = self.disk;
        self.add_temporary(directory, EntryKind::Directory, kind, |name| {
            let path = directory.join(name);
            is_ours(name) && (is_marked(disk, &path) || disk.list(&path).is_ok_and(|entries| entries.is_empty()))
        })
    }

    /// What was added, in that order.
    pub fn items(self) -> Vec<CleanItem<K>> {
        self.items
    }
}

/// Removes these `items` of an earlier plan, under the lock. `plan` makes the plan again: an item that is gone is skipped,
/// and one that has come into use since is an error, before anything is removed. An item that the system does not let go
/// stops none of the others. `command` makes and shows the plan.
pub fn clean_up<R, P, C, K>(
    disk: &Arc<dyn Disk>,
    (directory, kind): (&RunDirectory, Kind),
    items: &[CleanItem<K>],
    plan: impl FnOnce() -> Result<Vec<CleanItem<K>>, Error>,
    run_id: impl FnOnce(RunState<R, P, C>) -> String,
    command: &str,
) -> Result<Cleaned, Error>
where
    K: Copy + PartialEq,
    RunState<R, P, C>: Decode<()>,
{
    if items.is_empty() {
        return Ok(Cleaned::default());
    }
    let lock = LockedRun::create(disk, directory, kind)?;
    let disk = &lock.disk;
    let chosen = still_removable(&**disk, items, &plan()?, command)?;
    let run_id = lock.readable_state(&**disk)?.map(run_id);
    remove_chosen(&**disk, directory, &lock, &chosen, run_id.as_deref())
}

/// Returns the items that are in the plan of now too.
fn still_removable<K: Copy + PartialEq>(
    disk: &dyn Disk,
    items: &[CleanItem<K>],
    now: &[CleanItem<K>],
    command: &str,
) -> Result<Vec<CleanItem<K>>, Error> {
    let in_use = |path: &Path| Error::Usage {
        what: format!("{} has come into use since the clean-up was planned", path.display()),
        next: format!("run `{command}` again to see what can be removed now"),
    };
    let mut chosen = Vec::new();
    for item in items {
        match now.iter().find(|current| current.path == item.path) {
            Some(current) if current.kind != item.kind || current.loses_work && !item.loses_work => {
                return Err(in_use(&item.path));
            }
            Some(current) => chosen.push(current.clone()),
            None if disk.kind(&item.path)?.is_none() => {}
            None => return Err(in_use(&item.path)),
        }
    }
    Ok(chosen)
}

/// Removes the directory at `path` in such a way that nobody ever finds a part of it under its name: it is renamed into
/// the run directory first. Both must be on the same file system.
pub fn retire(disk: &dyn Disk, directory: &RunDirectory, path: &Path) -> Result<(), DiskError> {
    let retired = directory.retired_path();
    // What could not be removed of an earlier one keeps the name, and so does what no run has made.
    let place = match disk.kind(&retired)? {
        None => retired,
        Some(_) => free_name(disk, &retired, path)?,
    };
    disk.rename(path, &place)?;
    disk.sync_directory(parent_of(path))?;
    disk.sync_directory(parent_of(&place))?;
    remove_tree(disk, &place)
}

/// Returns a free name in `directory` that begins with that of `path`.
fn free_name(disk: &dyn Disk, directory: &Path, path: &Path) -> Result<PathBuf, DiskError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 0_u32.. {
        let free = directory.join(format!("{name}.{number}"));
        if disk.kind(&free)?.is_none() {
            return Ok(free);
        }
    }
    unreachable!("a directory does not have so many entries")
}

fn remove_chosen<K>(
    disk: &dyn Disk,
    directory: &RunDirectory,
    lock: &LockedRun,
    chosen: &[CleanItem<K>],
    run_id: Option<&str>,
) -> Result<Cleaned, Error> {
    let mut end = Cleaned::default();
    let mut free = Vec::new();
    for item in chosen {
        match obstacle(disk, &item.path)? {
            None => free.push(item),
            Some(reason) => end.left.push(LeftBehind { path: item.path.clone(), reason }),
        }
    }
    // First the checkpoint: it must never describe what is half removed.
    if free.iter().any(|item| item.with_checkpoint) {
        lock.checkpoint.remove(disk)?;
    }
    let mut removed = Vec::new();
    for item in free {
        match remove_item(disk, directory, &item.path) {
            Ok(()) => {
                end.bytes += item.bytes;
                removed.push(item.path.display().to_string());
            }
            Err(error) if error.fault_class() == FaultClass::Item => {
                end.left.push(LeftBehind { path: item.path.clone(), reason: error.to_string() });
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !chosen.is_empty() {
        let left: Vec<_> = end.left.iter().map(|left| left.path.display().to_string()).collect();
        lock.note(run_id, "cleaned", json!({ "removed": removed, "left": left, "bytes": end.bytes }))?;
    }
    Ok(end)
}

/// Returns true if the directory has the mark of an estimate.
fn is_marked(disk: &dyn Disk, directory: &Path) -> bool {
    matches!(disk.kind(&directory.join(SCRATCH_MARK)), Ok(Some(EntryKind::File)))
}

/// Removes the directory of an estimate, its mark last: if that fails half-way, a clean-up still knows whose it is.
pub fn remove_scratch(disk: &dyn Disk, scratch: &Path) -> Result<(), DiskError> {
    for entry in disk.list(scratch)?.into_iter().filter(|entry| entry.name != SCRATCH_MARK) {
        remove_tree(disk, &scratch.join(entry.name))?;
    }
    remove_tree(disk, scratch)
}

fn remove_item(disk: &dyn Disk, directory: &RunDirectory, path: &Path) -> Result<(), DiskError> {
    let is_temporary = path.extension().is_some_and(|extension| extension == "tmp");
    match disk.kind(path)? {
        Some(EntryKind::Directory) if is_temporary && is_marked(disk, path) => remove_scratch(disk, path),
        Some(EntryKind::Directory) if path != directory.retired_path() => retire(disk, directory, path),
        _ => remove_tree(disk, path),
    }
}

/// Returns what keeps the name of an item from being taken away. It is asked before the checkpoint goes: an item that stays
/// must stay of use.
fn obstacle(disk: &dyn Disk, path: &Path) -> Result<Option<String>, DiskError> {
    let name = Path::new(path.file_name().unwrap_or_default());
    let found = match disk.kind(path)? {
        Some(_) => disk.root(parent_of(path))?.obstacle(name)?,
        None => None,
    };
    Ok(found.map(|obstacle| format!("{}: {obstacle}", path.display())))
}
