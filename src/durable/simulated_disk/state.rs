//! The state of a simulated disk: checks each operation, lets it fail if requested, records it and applies it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::file_node::{Change, FileNode, NEW_FILE_MODE};
use super::tree::{Effect, FileSystemId, NameChange, NameEdit, Node, NodeId, ROOT, Tree};
use crate::durable::attributes::MODE_BITS;
use crate::durable::{DiskEntry, EntryKind};

/// How an operation fails. An operation that the fault does not fit fails with `Eio`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// An input/output error without effect.
    Eio,
    /// A `StorageFull` error without effect.
    Enospc,
    /// Half of the bytes of a write are written, then `StorageFull`.
    ShortWrite,
    /// An input/output error of a sync with the loss of everything unsynced: of the file, or of all files for a sync of
    /// the file system.
    FailedSync,
    /// An `InvalidInput` error without effect, as file systems return it for operations that they do not have.
    Missing,
    /// A `PermissionDenied` error without effect.
    Refused,
}

impl InjectedFault {
    /// All faults of a disk that has every operation.
    pub const ALL: [Self; 4] = [Self::Eio, Self::Enospc, Self::ShortWrite, Self::FailedSync];
}

/// The number of a host.
pub(super) type HostId = usize;

/// An operation that was applied.
pub(super) struct Operation {
    pub(super) label: String,
    pub(super) effect: Effect,
}

pub(super) struct State {
    pub(super) tree: Tree,
    /// The tree before the first operation.
    pub(super) initial: Tree,
    pub(super) log: Vec<Operation>,
    /// The locks that are held, and on which host.
    pub(super) locked: HashSet<(HostId, NodeId)>,
    /// The number of hosts besides the first one.
    pub(super) hosts: HostId,
    /// Files that neither change nor get or lose a name.
    pub(super) immutable: HashSet<NodeId>,
    /// The pending fault, and the number of operations before it.
    pub(super) fault: Option<(usize, InjectedFault)>,
    /// The total bytes that the files of a file system may have.
    pub(super) capacity_bytes: BTreeMap<FileSystemId, u64>,
}

impl State {
    pub(super) fn new(tree: Tree) -> Self {
        let initial = tree.clone();
        Self {
            tree,
            initial,
            log: Vec::new(),
            locked: HashSet::new(),
            hosts: 0,
            immutable: HashSet::new(),
            fault: None,
            capacity_bytes: BTreeMap::new(),
        }
    }

    pub(super) fn install_directories(&mut self, path: &Path) -> NodeId {
        assert!(self.log.is_empty(), "directories are installed before the first operation");
        let mut node = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let existing = self.tree.names(node).expect("only directories above").get(name).copied();
                node = existing.unwrap_or_else(|| self.tree.install_directory(node, name));
            }
        }
        self.initial = self.tree.clone();
        node
    }

    pub(super) fn install_file(&mut self, path: &Path, bytes: &[u8]) {
        let parent = self.install_directories(path.parent().expect("a file has a directory"));
        let name = path.file_name().expect("a file has a name");
        assert!(self.tree.find(path).is_err(), "{} is there already", path.display());
        self.tree.install(parent, name, Node::File(FileNode::settled(Arc::new(bytes.to_vec()), NEW_FILE_MODE)));
        self.initial = self.tree.clone();
    }

    pub(super) fn divide(&mut self, directory: &Path) {
        let directory = self.install_directories(directory);
        self.tree.divide(directory);
        self.initial = self.tree.clone();
    }

    pub(super) fn keep_syncs_from_medium(&mut self, path: &Path) {
        assert!(self.log.is_empty(), "file systems are chosen before the first operation");
        let node = self.tree.find(path).expect("a path of the file system");
        self.tree.not_synced_as_a_whole.insert(self.tree.file_system(node));
        self.initial = self.tree.clone();
    }

    pub(super) fn set_capacity(&mut self, path: &Path, bytes: u64) {
        let node = self.tree.find(path).expect("a path of the file system");
        self.capacity_bytes.insert(self.tree.file_system(node), bytes);
    }

    /// Applies an effect. Every change of the tree goes through here, so each operation can be made to fail.
    fn perform(&mut self, label: String, effect: Effect) -> io::Result<()> {
        match &mut self.fault {
            Some((0, kind)) => {
                let kind = *kind;
                self.fault = None;
                self.fail(kind, label, effect)
            }
            waiting => {
                if let Some((operations_before, _)) = waiting {
                    *operations_before -= 1;
                }
                self.record(label, effect);
                Ok(())
            }
        }
    }

    fn record(&mut self, label: String, effect: Effect) {
        self.tree.apply(&effect);
        self.log.push(Operation { label, effect });
    }

    fn fail(&mut self, kind: InjectedFault, label: String, effect: Effect) -> io::Result<()> {
        let error = match (kind, effect) {
            (InjectedFault::Enospc, _) => libc::ENOSPC,
            (InjectedFault::Missing, _) => libc::EINVAL,
            (InjectedFault::Refused, _) => libc::EPERM,
            (InjectedFault::ShortWrite, Effect::Change(file, Change::Write { offset, bytes })) => {
                let bytes = bytes[..bytes.len() / 2].into();
                self.record(format!("{label}, half of it"), Effect::Change(file, Change::Write { offset, bytes }));
                libc::ENOSPC
            }
            (InjectedFault::FailedSync, Effect::Sync(file)) => {
                self.record(format!("{label}, failing"), Effect::LoseUnsynced(file));
                libc::EIO
            }
            (InjectedFault::FailedSync, Effect::SyncAll(file_system)) => {
                self.record(format!("{label}, failing"), Effect::LoseAllUnsynced(file_system));
                libc::EIO
            }
            _ => libc::EIO,
        };
        Err(io::Error::from_raw_os_error(error))
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.tree.find(path)?;
        if self.tree.is_directory(node) { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(node) }
    }

    /// Returns directory and name for a new entry; `AlreadyExists` if the name is taken.
    fn find_place<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a OsStr)> {
        let (parent, name) = self.tree.find_parent(path)?;
        if self.tree.names(parent)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok((parent, name))
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        let (parent, name) = self.find_place(path)?;
        self.perform(format!("create file {}", path.display()), Effect::CreateFile(parent, name.into()))?;
        self.tree.find(path)
    }

    /// Records two operations, or one if there are no bytes, because a crash may come between them.
    pub(super) fn write_new_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.create_file(path)?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.change(path, file, Change::Write { offset: 0, bytes: bytes.into() })
    }

    pub(super) fn set_immutable(&mut self, path: &Path, is_immutable: bool) {
        let file = self.find_file(path).expect("a file");
        if is_immutable {
            self.immutable.insert(file);
        } else {
            self.immutable.remove(&file);
        }
    }

    fn check_mutable(&self, node: NodeId) -> io::Result<()> {
        if self.immutable.contains(&node) { Err(io::Error::from_raw_os_error(libc::EPERM)) } else { Ok(()) }
    }

    /// Checks in the same order as Linux, so that the same mistake gets the same error.
    pub(super) fn hard_link(&mut self, source: &Path, target: &Path) -> io::Result<()> {
        let node = self.tree.find(source)?;
        let (parent, name) = self.find_place(target)?;
        self.check_same_file_system(parent, node)?;
        if self.tree.is_directory(node) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.check_mutable(node)?;
        let change = NameChange { edits: vec![edit(parent, name, Some(node))], waits_on: vec![parent] };
        self.perform(format!("link {} to {}", target.display(), source.display()), Effect::Names(change))
    }

    pub(super) fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(self.tree.file(self.find_file(path)?).cached_mode)
    }

    pub(super) fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let file = self.find_file(path)?;
        self.change(path, file, Change::SetMode(mode & MODE_BITS))
    }

    pub(super) fn sync_all(&mut self, file_system: FileSystemId) -> io::Result<()> {
        let label = match file_system {
            0 => "sync the file system".to_owned(),
            other => format!("sync file system {other}"),
        };
        let has_effect = !self.tree.not_synced_as_a_whole.contains(&file_system);
        self.perform(label, if has_effect { Effect::SyncAll(file_system) } else { Effect::Nothing })
    }

    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.find_place(path)?;
        self.perform(format!("create directory {}", path.display()), Effect::CreateDirectory(parent, name.into()))
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        let directory = self.tree.find(path)?;
        self.tree.names(directory)?;
        self.perform(format!("sync directory {}", path.display()), Effect::SyncDirectory(directory))
    }

    pub(super) fn sync(&mut self, path: &Path, file: NodeId) -> io::Result<()> {
        self.perform(format!("sync {}", path.display()), Effect::Sync(file))
    }

    pub(super) fn change(&mut self, path: &Path, file: NodeId, change: Change) -> io::Result<()> {
        let (label, end) = match &change {
            Change::Write { offset, bytes } => {
                let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
                (format!("write {} bytes at {offset} of {}", bytes.len(), path.display()), end)
            }
            Change::SetLen(len) => (format!("set the length of {} to {len}", path.display()), *len),
            Change::SetMode(mode) => (format!("set the mode of {} to {mode:o}", path.display()), 0),
        };
        self.check_mutable(file)?;
        self.check_capacity(file, end)?;
        self.perform(label, Effect::Change(file, change))
    }

    pub(super) fn preallocate(&mut self, path: &Path, file: NodeId, offset: u64, len: u64) -> io::Result<()> {
        self.check_capacity(file, offset.saturating_add(len))?;
        self.perform(format!("preallocate {len} bytes at {offset} of {}", path.display()), Effect::Nothing)
    }

    /// Checks whether the file may grow to `end`.
    fn check_capacity(&self, file: NodeId, end: u64) -> io::Result<()> {
        let file_system = self.tree.file_system(file);
        let Some(&capacity_bytes) = self.capacity_bytes.get(&file_system) else { return Ok(()) };
        let growth = end.saturating_sub(self.tree.file(file).cached.len() as u64);
        if growth > 0 && self.used_bytes(file_system).saturating_add(growth) > capacity_bytes {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn used_bytes(&self, file_system: FileSystemId) -> u64 {
        let files: BTreeSet<NodeId> = self.tree.file_names().into_iter().map(|(_, file)| file).collect();
        let on_it = files.into_iter().filter(|&file| self.tree.file_system(file) == file_system);
        on_it.map(|file| self.tree.file(file).cached.len() as u64).sum()
    }

    pub(super) fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let file_system = self.tree.file_system(self.tree.find(path)?);
        let capacity_bytes = self.capacity_bytes.get(&file_system);
        Ok(capacity_bytes.map_or(1 << 40, |bytes| bytes.saturating_sub(self.used_bytes(file_system))))
    }

    /// Checks in the same order as Linux, so that the same mistake gets the same error.
    pub(super) fn rename(&mut self, from: &Path, to: &Path, may_replace: bool) -> io::Result<()> {
        let (source, source_name) = self.tree.find_parent(from)?;
        let (target, target_name) = self.tree.find_parent(to)?;
        self.check_same_file_system(source, target)?;
        let node = self.tree.find(from)?;
        let replaced = self.tree.names(target)?.get(target_name).copied();
        if replaced.is_some() && !may_replace {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if replaced == Some(node) {
            return Ok(());
        }
        if to.starts_with(from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if from.starts_with(to) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.check_not_mounted(source, node)?;
        self.check_mutable(node)?;
        if let Some(replaced) = replaced {
            self.check_mutable(replaced)?;
            self.check_replaceable(node, replaced)?;
        }
        let edits = vec![edit(source, source_name, None), edit(target, target_name, Some(node))];
        let change = NameChange { edits, waits_on: vec![target] };
        self.perform(format!("rename {} to {}", from.display(), to.display()), Effect::Names(change))
    }

    fn check_replaceable(&self, node: NodeId, replaced: NodeId) -> io::Result<()> {
        match (self.tree.is_directory(node), self.tree.names(replaced)) {
            (false, Ok(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (true, Err(not_a_directory)) => Err(not_a_directory),
            (true, Ok(names)) if !names.is_empty() => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn exchange(&mut self, a: &Path, b: &Path) -> io::Result<()> {
        let ((parent_a, name_a), (parent_b, name_b)) = (self.tree.find_parent(a)?, self.tree.find_parent(b)?);
        self.check_same_file_system(parent_a, parent_b)?;
        let (node_a, node_b) = (self.tree.find(a)?, self.tree.find(b)?);
        if node_a == node_b {
            return Ok(());
        }
        if a.starts_with(b) || b.starts_with(a) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.check_mutable(node_a).and_then(|()| self.check_mutable(node_b))?;
        let edits = vec![edit(parent_a, name_a, Some(node_b)), edit(parent_b, name_b, Some(node_a))];
        let change = NameChange { edits, waits_on: vec![parent_a, parent_b] };
        self.perform(format!("exchange {} and {}", a.display(), b.display()), Effect::Names(change))
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.check_mutable(self.find_file(path)?)?;
        self.remove_name(path, format!("remove file {}", path.display()))
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        let node = self.tree.find(path)?;
        if !self.tree.names(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.check_not_mounted(self.tree.find_parent(path)?.0, node)?;
        self.remove_name(path, format!("remove directory {}", path.display()))
    }

    fn check_same_file_system(&self, a: NodeId, b: NodeId) -> io::Result<()> {
        let is_same = self.tree.file_system(a) == self.tree.file_system(b);
        if is_same { Ok(()) } else { Err(io::ErrorKind::CrossesDevices.into()) }
    }

    /// A directory that is the root of a file system keeps its name.
    fn check_not_mounted(&self, directory: NodeId, node: NodeId) -> io::Result<()> {
        self.check_same_file_system(directory, node).map_err(|_| io::ErrorKind::ResourceBusy.into())
    }

    fn remove_name(&mut self, path: &Path, label: String) -> io::Result<()> {
        let (parent, name) = self.tree.find_parent(path)?;
        let change = NameChange { edits: vec![edit(parent, name, None)], waits_on: vec![parent] };
        self.perform(label, Effect::Names(change))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let names = self.tree.names(self.tree.find(path)?)?;
        Ok(names.iter().map(|(name, &node)| DiskEntry { name: name.clone(), kind: self.kind_of(node) }).collect())
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match self.tree.find(path) {
            Ok(node) => Ok(Some(self.kind_of(node))),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn kind_of(&self, node: NodeId) -> EntryKind {
        if self.tree.is_directory(node) { EntryKind::Directory } else { EntryKind::File }
    }

    pub(super) fn try_lock(&mut self, host: HostId, path: &Path, owner: &str) -> io::Result<Result<NodeId, String>> {
        let node = match self.find_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create_file(path)?,
            found => found?,
        };
        if self.locked.contains(&(host, node)) {
            return Ok(Err(String::from_utf8_lossy(&self.tree.file(node).cached).into_owned()));
        }
        self.change(path, node, Change::SetLen(0))?;
        self.change(path, node, Change::Write { offset: 0, bytes: owner.as_bytes().into() })?;
        self.locked.insert((host, node));
        Ok(Ok(node))
    }
}

fn edit(directory: NodeId, name: &OsStr, node: Option<NodeId>) -> NameEdit {
    NameEdit { directory, name: name.into(), node }
}
